"""Getting into rooms and out of them; aliases, the directory, summaries, upgrades."""

from .client import V1, path


def walk(the):
    alice, bob, carol = the.register("owner"), the.register("friend"), the.register("outsider")
    in_and_out(the, alice, bob, carol)
    knocking(the, alice, bob, carol)
    restricted(alice, bob, carol)
    aliases(the, alice, bob, carol)
    directory(the, alice, bob)
    summaries(the, alice, bob, carol)
    upgrades(the, alice, bob, carol)


def in_and_out(the, alice, bob, carol):
    room = alice.create_room(preset="private_chat", room_alias_name="private")
    alice.post("rooms", room, "invite", body={"user_id": bob.id, "reason": "come in"})
    carol.post("rooms", room, "invite", body={"user_id": bob.id}, expect=403, errcode="M_FORBIDDEN")
    alice.post("rooms", room, "invite", expect=400)
    alice.post("rooms", room, "invite", body={"user_id": "nobody"}, expect=400)
    carol.join(room, expect=403, errcode="M_FORBIDDEN")
    bob.join(room, body={"reason": "gladly"})
    bob.join(room)
    alice.post("rooms", room, "invite", body={"user_id": bob.id}, expect=403)
    bob.post("rooms", room, "kick", body={"user_id": alice.id}, expect=403, errcode="M_FORBIDDEN")
    alice.post("rooms", room, "kick", body={"user_id": bob.id, "reason": "out"})
    alice.post("rooms", room, "kick", body={"user_id": carol.id}, expect=403)
    bob.post("rooms", room, "ban", body={"user_id": carol.id}, expect=403, errcode="M_FORBIDDEN")
    alice.post("rooms", room, "ban", body={"user_id": carol.id, "reason": "not here"})
    alice.post("rooms", room, "invite", body={"user_id": carol.id}, expect=403)
    alice.post("rooms", room, "unban", body={"user_id": carol.id})
    alice.post("rooms", room, "unban", body={"user_id": carol.id}, expect=403)
    for act in ("kick", "ban", "unban"):
        alice.post("rooms", room, act, expect=400)
        the.ask("POST", path("rooms", room, act), {"user_id": bob.id}, expect=401)
    alice.post("rooms", room, "forget", expect=400)
    alice.ask("POST", path("rooms", room, "leave"))
    alice.post("rooms", room, "leave")
    alice.post("rooms", room, "forget")
    carol.post("rooms", "!nowhere", "leave", expect=403)
    carol.post("rooms", "!nowhere", "join", expect=404)
    carol.post("join", "#nowhere:localhost", expect=404, errcode="M_NOT_FOUND")
    carol.post("join", "neither", expect=400)

    open_room = alice.create_room(preset="public_chat", room_alias_name="open")
    bob.post("join", "#open:localhost")
    carol.post("join", open_room, body={"reason": "by id"})
    membership = {"membership": "leave", "reason": "by state"}
    carol.state(open_room, "m.room.member", membership, carol.id)
    alice.state(open_room, "m.room.member", {"membership": "ban"}, carol.id)
    carol.join(open_room, expect=403)
    the.ask("POST", path("rooms", open_room, "join"), {}, expect=401)
    the.ask("POST", path("rooms", open_room, "leave"), {}, expect=401)


def knocking(the, alice, bob, carol):
    room = alice.create_room(initial_state=[{"type": "m.room.join_rules", "content": {"join_rule": "knock"}}], name="Knock")
    bob.post("knock", room, body={"reason": "may I?"})
    bob.sync()
    carol.post("knock", room)
    alice.post("rooms", room, "invite", body={"user_id": bob.id})
    bob.join(room)
    bob.post("knock", room, expect=403, errcode="M_FORBIDDEN")
    carol.post("rooms", room, "leave")
    bob.post("knock", alice.create_room(preset="private_chat"), expect=403, errcode="M_FORBIDDEN")
    bob.post("knock", "#nowhere:localhost", expect=404, errcode="M_NOT_FOUND")
    the.ask("POST", path("knock", room), {}, expect=401)


def restricted(alice, bob, carol):
    space = alice.create_room(preset="public_chat", creation_content={"type": "m.space"})
    bob.join(space)
    rule = {"join_rule": "restricted", "allow": [{"type": "m.room_membership", "room_id": space}]}
    room = alice.create_room(initial_state=[{"type": "m.room.join_rules", "content": rule}])
    bob.join(room)
    carol.join(room, expect=403, errcode="M_FORBIDDEN")


def aliases(the, alice, bob, carol):
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    alias = ("directory", "room", "#named:localhost")
    alice.put(*alias, body={"room_id": room})
    the.ask("GET", path(*alias))
    alice.put(*alias, body={"room_id": room}, expect=409)
    alice.state(room, "m.room.canonical_alias", {"alias": "#named:localhost"})
    alice.get("rooms", room, "aliases")
    bob.get("rooms", room, "aliases")
    carol.get("rooms", room, "aliases", expect=403, errcode="M_FORBIDDEN")
    bob.delete(*alias, expect=403, errcode="M_FORBIDDEN")
    alice.delete(*alias)
    alice.delete(*alias, expect=404, errcode="M_NOT_FOUND")
    the.ask("GET", path(*alias), expect=404, errcode="M_NOT_FOUND")
    alice.put("directory", "room", "#other:elsewhere.test", body={"room_id": room}, expect=400)
    alice.put("directory", "room", "noalias", body={"room_id": room}, expect=400)
    alice.put(*alias, expect=400)
    the.ask("PUT", path(*alias), {"room_id": room}, expect=401)
    the.ask("DELETE", path(*alias), expect=401)


def directory(the, alice, bob):
    rooms = [alice.create_room(preset="public_chat", visibility="public", name=f"Listed {number}", topic="cake") for number in range(3)]
    bob.join(rooms[0])
    the.ask("GET", path("publicRooms"))
    page = the.ask("GET", path("publicRooms", limit=1))
    the.ask("GET", path("publicRooms", limit=1, since=page.get("next_batch")))
    alice.post("publicRooms", body={"filter": {"generic_search_term": "cake", "room_types": [None]}, "limit": 2})
    alice.post("publicRooms")
    the.ask("GET", path("publicRooms", since="no token"), expect=400)
    the.ask("GET", path("publicRooms", limit="all"), expect=400)
    alice.post("publicRooms", body={"limit": "all"}, expect=400)
    the.ask("GET", path("directory", "list", "room", rooms[0]))
    the.ask("GET", path("directory", "list", "room", "!nowhere"), expect=404, errcode="M_NOT_FOUND")
    alice.put("directory", "list", "room", rooms[0], body={"visibility": "private"})
    alice.put("directory", "list", "room", rooms[0], body={"visibility": "hidden"}, expect=400)
    bob.put("directory", "list", "room", rooms[0], body={"visibility": "public"}, expect=403, errcode="M_FORBIDDEN")
    alice.put("directory", "list", "room", "!nowhere", body={"visibility": "public"}, expect=404)
    the.ask("PUT", path("directory", "list", "room", rooms[0]), {"visibility": "public"}, expect=401)


def summaries(the, alice, bob, carol):
    room = alice.create_room(preset="public_chat", name="Summed", topic="up", room_alias_name="summed")
    bob.join(room)
    for reader in (alice, carol):
        reader.get("room_summary", room, below=V1)
        reader.get("room_summary", "#summed:localhost", below=V1)
    the.ask("GET", path("room_summary", room, below=V1), expect=401, errcode="M_MISSING_TOKEN")
    hidden = alice.create_room(preset="private_chat")
    carol.get("room_summary", hidden, below=V1, expect=404, errcode="M_NOT_FOUND")
    carol.get("room_summary", "#nowhere:localhost", below=V1, expect=404, errcode="M_NOT_FOUND")


def upgrades(the, alice, bob, carol):
    room = alice.create_room(preset="public_chat", room_version="10", name="Old", room_alias_name="old")
    bob.join(room)
    bob.post("rooms", room, "upgrade", body={"new_version": "12"}, expect=403, errcode="M_FORBIDDEN")
    alice.post("rooms", room, "upgrade", body={"new_version": "nine"}, expect=400, errcode="M_UNSUPPORTED_ROOM_VERSION")
    alice.post("rooms", room, "upgrade", expect=400)
    replacement = alice.post("rooms", room, "upgrade", body={"new_version": "12"}).get("replacement_room", "")
    alice.get("rooms", replacement, "state", "m.room.create", "")
    tombstone = alice.get("rooms", room, "state", "m.room.tombstone", "")
    the.check(tombstone.get("replacement_room") == replacement, "the tombstone names another room")
    carol.post("rooms", room, "upgrade", body={"new_version": "12"}, expect=403)
    carol.post("rooms", "!nowhere", "upgrade", body={"new_version": "12"}, expect=404)
    bob.join(replacement)
    the.ask("POST", path("rooms", room, "upgrade"), {"new_version": "12"}, expect=401)
