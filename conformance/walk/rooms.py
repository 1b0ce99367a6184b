"""Rooms: making them, being in them, what is written in them and read of them."""

from .client import V1, path

VERSIONS = [str(number) for number in range(1, 13)]


def walk(the):
    alice, bob, carol = the.register("host"), the.register("guest"), the.register("stranger")
    creating(the, alice, bob)
    state(the, alice, bob, carol)
    messages(the, alice, bob, carol)
    redactions(the, alice, bob)
    marks(the, alice, bob, carol)
    for version in VERSIONS:
        one_of_each(the, alice, bob, version)


def creating(the, alice, bob):
    for preset in ("private_chat", "trusted_private_chat", "public_chat"):
        alice.create_room(preset=preset, invite=[bob.id], is_direct=preset == "private_chat")
    alice.create_room(visibility="public", name="Walked", topic="A walk", room_alias_name="walked")
    alice.create_room(
        creation_content={"m.federate": False, "type": "m.space"},
        initial_state=[{"type": "m.room.encryption", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}],
        power_level_content_override={"events_default": 10},
    )
    alice.post("createRoom", body={"room_alias_name": "walked"}, expect=400, errcode="M_ROOM_IN_USE")
    alice.post("createRoom", body={"room_version": "nine"}, expect=400, errcode="M_UNSUPPORTED_ROOM_VERSION")
    alice.post("createRoom", body={"visibility": "sometimes"}, expect=400)
    alice.post("createRoom", body={"invite": ["nobody"]}, expect=400)
    alice.post("createRoom", body={"initial_state": [{"content": {}}]}, expect=400)
    alice.post("createRoom", body={"power_level_content_override": {"users": {bob.id: "high"}}}, expect=400)
    alice.ask("POST", path("createRoom"), b"{", expect=400, errcode="M_NOT_JSON")
    the.ask("POST", path("createRoom"), {}, expect=401, errcode="M_MISSING_TOKEN")
    alice.get("joined_rooms")
    the.ask("GET", path("joined_rooms"), expect=401)


def state(the, alice, bob, carol):
    room = alice.create_room(preset="public_chat", name="Stately")
    bob.join(room)
    alice.state(room, "m.room.topic", {"topic": "State"})
    alice.ask("PUT", path("rooms", room, "state", "m.room.name") + "/", {"name": "With a slash"})
    alice.ask("PUT", path("rooms", room, "state", "m.room.name"), {"name": "Without"})
    alice.state(room, "org.example.thing", {"a": 1}, "key/with/slashes")
    the.check(alice.get("rooms", room, "state", "m.room.topic", "") == {"topic": "State"}, "state is not what was set")
    alice.get("rooms", room, "state", "org.example.thing", "key/with/slashes")
    alice.get("rooms", room, "state", "m.room.topic", "", format="event")
    status, _, data = the.send("GET", path("rooms", room, "state"), token=bob.token)
    the.check(status == 200 and data.startswith(b"["), "the state of a room is no list")
    alice.get("rooms", room, "state", "m.room.absent", "", expect=404, errcode="M_NOT_FOUND")
    carol.get("rooms", room, "state", expect=403, errcode="M_FORBIDDEN")
    carol.get("rooms", room, "state", "m.room.topic", "", expect=403, errcode="M_FORBIDDEN")
    bob.state(room, "m.room.topic", {"topic": "No"}, expect=403, errcode="M_FORBIDDEN")
    bob.state(room, "m.room.name", {"name": "No"}, expect=403)
    alice.state(room, "m.room.canonical_alias", {"alias": "#nothing:localhost"}, expect=400, errcode="M_BAD_ALIAS")
    alice.state(room, "m.room.canonical_alias", {"alias": "no alias"}, expect=400, errcode="M_INVALID_PARAM")
    alice.state(room, "m.room.power_levels", {"users": {alice.id: "much"}}, expect=403)
    alice.ask("PUT", path("rooms", room, "state", "m.room.topic", ""), b"{", expect=400, errcode="M_NOT_JSON")

    alice.get("rooms", room, "members")
    alice.get("rooms", room, "members", membership="join")
    alice.get("rooms", room, "members", not_membership="leave")
    alice.get("rooms", room, "members", at=alice.sync()["next_batch"])
    alice.get("rooms", room, "members", membership="friend", expect=400)
    carol.get("rooms", room, "members", expect=403, errcode="M_FORBIDDEN")
    alice.get("rooms", room, "joined_members")
    carol.get("rooms", room, "joined_members", expect=403, errcode="M_FORBIDDEN")
    alice.get("rooms", "!nowhere", "state", expect=403)
    the.ask("GET", path("rooms", room, "state"), expect=401)

    open_room = alice.create_room(initial_state=[{"type": "m.room.history_visibility", "content": {"history_visibility": "world_readable"}}])
    alice.say(open_room, "for the world")
    carol.get("rooms", open_room, "messages", dir="b")
    carol.get("rooms", open_room, "state", "m.room.create", "")


def messages(the, alice, bob, carol):
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    said = [alice.say(room, f"message {number}") for number in range(12)]
    body = {"msgtype": "m.text", "body": "once"}
    first = alice.put("rooms", room, "send", "m.room.message", "same", body=body)
    the.check(first == alice.put("rooms", room, "send", "m.room.message", "same", body=body), "one transaction makes two events")
    relation = {"m.relates_to": {"rel_type": "m.thread", "event_id": said[0]}, **body}
    bob.put("rooms", room, "send", "m.room.message", the.transaction(), body=relation)
    reaction = {"m.relates_to": {"rel_type": "m.annotation", "event_id": said[0], "key": "👍"}}
    bob.put("rooms", room, "send", "m.reaction", the.transaction(), body=reaction)
    edit = {"m.new_content": body, "m.relates_to": {"rel_type": "m.replace", "event_id": said[1]}, **body}
    alice.put("rooms", room, "send", "m.room.message", the.transaction(), body=edit)
    carol.say(room, "let me in", expect=403, errcode="M_FORBIDDEN")
    target = path("rooms", room, "send", "m.room.message", "bad")
    alice.ask("PUT", target, b"{", expect=400, errcode="M_NOT_JSON")
    alice.ask("PUT", target, [1], expect=400, errcode="M_BAD_JSON")
    alice.ask("PUT", target, {"body": "x" * 70_000}, expect=413, errcode="M_TOO_LARGE")
    alice.ask("PUT", target, {"body": "x", "number": 1.5}, expect=400, errcode="M_BAD_JSON")
    the.ask("PUT", target, body, expect=401)

    page = alice.get("rooms", room, "messages", dir="b", limit=5)
    the.check(len(page.get("chunk", [])) == 5, "a page is not as long as it was asked for")
    alice.get("rooms", room, "messages", dir="b", limit=5, from_=page.get("end"))
    alice.get("rooms", room, "messages", dir="f", limit=5)
    alice.get("rooms", room, "messages", dir="f", from_=page.get("start"), to=page.get("end"))
    alice.get("rooms", room, "messages", dir="b", filter='{"lazy_load_members":true,"types":["m.room.message"]}')
    alice.get("rooms", room, "messages", dir="b", filter='{"contains_url":true,"not_senders":["@x:localhost"]}')
    alice.get("rooms", room, "messages", dir="b", limit=1000)
    alice.get("rooms", room, "messages", dir="sideways", expect=400)
    alice.get("rooms", room, "messages", expect=400)
    alice.get("rooms", room, "messages", dir="b", from_="no token", expect=400)
    alice.get("rooms", room, "messages", dir="b", filter="{", expect=400)
    carol.get("rooms", room, "messages", dir="b", expect=403, errcode="M_FORBIDDEN")
    the.ask("GET", path("rooms", room, "messages", dir="b"), expect=401)

    context = alice.get("rooms", room, "context", said[5], limit=4)
    the.check(context.get("event", {}).get("event_id") == said[5], "the context is that of another event")
    alice.get("rooms", room, "context", said[5], limit=0)
    alice.get("rooms", room, "context", said[5], filter='{"lazy_load_members":true}')
    alice.get("rooms", room, "context", "$absent", expect=404, errcode="M_NOT_FOUND")
    carol.get("rooms", room, "context", said[5], expect=404, errcode="M_NOT_FOUND")
    alice.get("rooms", room, "event", said[0])
    bob.get("rooms", room, "event", said[1])
    alice.get("rooms", room, "event", "$absent", expect=404, errcode="M_NOT_FOUND")
    carol.get("rooms", room, "event", said[0], expect=404, errcode="M_NOT_FOUND")

    nearest = ("rooms", room, "timestamp_to_event")
    alice.get(*nearest, below=V1, ts=0, dir="f")
    alice.get(*nearest, below=V1, ts=2**52, dir="b")
    alice.get(*nearest, below=V1, ts=0, dir="b", expect=404, errcode="M_NOT_FOUND")
    alice.get(*nearest, below=V1, ts="noon", dir="b", expect=400)
    carol.get(*nearest, below=V1, ts=0, dir="f", expect=403)


def redactions(the, alice, bob):
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    said, heard = alice.say(room, "a slip"), bob.say(room, "another")
    done = alice.put("rooms", room, "redact", said, "r1", body={"reason": "a slip"})
    the.check(done == alice.put("rooms", room, "redact", said, "r1", body={"reason": "a slip"}), "one transaction redacts twice")
    the.check(alice.get("rooms", room, "event", said).get("content") == {}, "a redacted event keeps its content")
    alice.put("rooms", room, "redact", heard, the.transaction())
    mine = alice.say(room, "mine")
    bob.put("rooms", room, "redact", mine, the.transaction(), expect=403, errcode="M_FORBIDDEN")
    alice.put("rooms", room, "redact", "$absent", the.transaction(), expect=404)
    the.ask("PUT", path("rooms", room, "redact", mine, "x"), {}, expect=401)
    topic = alice.state(room, "m.room.topic", {"topic": "to go"})
    alice.put("rooms", room, "redact", topic, the.transaction())
    alice.get("rooms", room, "messages", dir="b")
    alice.sync()


def marks(the, alice, bob, carol):
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    said = alice.say(room, "read this")
    for kind in ("m.read", "m.read.private", "m.fully_read"):
        bob.post("rooms", room, "receipt", kind, said)
    later = alice.say(room, "and this")
    bob.post("rooms", room, "receipt", "m.read", later, body={"thread_id": "main"})
    bob.post("rooms", room, "receipt", "m.unknown", said, expect=400)
    bob.post("rooms", room, "receipt", "m.read", said, body={"thread_id": ""}, expect=400)
    carol.post("rooms", room, "receipt", "m.read", said, expect=403)
    bob.post("rooms", room, "read_markers", body={"m.fully_read": later, "m.read": later, "m.read.private": later})
    bob.post("rooms", room, "read_markers", body={"m.fully_read": 5}, expect=400)
    carol.post("rooms", room, "read_markers", body={"m.read": said}, expect=403)
    since = alice.sync()["next_batch"]
    typing = ("rooms", room, "typing", bob.id)
    bob.put(*typing, body={"typing": True, "timeout": 20_000})
    alice.sync(since=since)
    bob.put(*typing, body={"typing": False})
    bob.put(*typing, body={"typing": "yes"}, expect=400)
    alice.put(*typing, body={"typing": True}, expect=403)
    carol.put("rooms", room, "typing", carol.id, body={"typing": True}, expect=403)
    the.ask("PUT", path(*typing), {"typing": True}, expect=401)


def one_of_each(the, alice, bob, version):
    """The same little story in each version of rooms."""
    room = alice.create_room(room_version=version, preset="private_chat", name=f"Version {version}")
    alice.post("rooms", room, "invite", body={"user_id": bob.id})
    bob.sync()
    bob.join(room)
    said = alice.say(room, "hello")
    alice.state(room, "m.room.join_rules", {"join_rule": "public"})
    levels = alice.get("rooms", room, "state", "m.room.power_levels", "")
    alice.state(room, "m.room.power_levels", {**levels, "events": {"m.room.topic": 0}})
    bob.state(room, "m.room.topic", {"topic": version})
    alice.put("rooms", room, "redact", said, the.transaction())
    for reader in (alice, bob):
        reader.get("rooms", room, "messages", dir="b", limit=30)
        reader.sync(full_state="true")
    the.send("GET", path("rooms", room, "state"), token=alice.token)
    bob.post("rooms", room, "leave")
