"""What /sync tells, in all its forms."""

import json

from .client import path


def by_wish(the):
    """Answers that the client wants otherwise than the schema of an answer has them, by the filter's own text."""
    alice = the.register("wishful")
    room = alice.create_room(preset="public_chat", name="Wished")
    alice.say(room, "for a filter")
    alice.sync(filter=json.dumps({"event_format": "federation"}))


def walk(the):
    alice, bob, carol = the.register("reader"), the.register("writer"), the.register("caller")
    the.ask("GET", path("sync"), expect=401, errcode="M_MISSING_TOKEN")
    alice.sync(since="no token", expect=400)
    alice.sync(filter="{", expect=400)
    alice.sync(timeout="soon", expect=400)
    alice.sync()

    room = bob.create_room(preset="public_chat", name="Synced", topic="Telling")
    alice.join(room)
    first = alice.sync()
    the.check(room in first.get("rooms", {}).get("join", {}), "a joined room is not told")
    since = first.get("next_batch")
    alice.sync(since=since)
    for number in range(15):
        bob.say(room, f"line {number}")
    narrow = json.dumps({"room": {"timeline": {"limit": 5}}})
    gap = alice.sync(since=since, filter=narrow).get("rooms", {}).get("join", {}).get(room, {}).get("timeline", {})
    the.check(gap.get("limited") is True, "fifteen events of which five are asked for are no gap")
    alice.get("rooms", room, "messages", dir="b", from_=gap.get("prev_batch"))

    for wanted in (
        {"room": {"state": {"lazy_load_members": True}}},
        {"room": {"state": {"lazy_load_members": True, "include_redundant_members": True}, "timeline": {"limit": 1}}},
        {"room": {"timeline": {"types": ["m.room.message"], "limit": 100}, "state": {"types": []}}},
        {"room": {"rooms": [room], "not_rooms": ["!other"], "include_leave": True}},
        {"room": {"rooms": []}},
        {"room": {"ephemeral": {"not_types": ["*"]}, "account_data": {"types": ["m.*"]}}},
        {"room": {"timeline": {"contains_url": False, "senders": [bob.id], "unread_thread_notifications": True}}},
        {"event_fields": ["content.body"]},
        {"event_fields": ["type"]},
        {"presence": {"not_types": ["*"]}, "account_data": {"not_types": ["m.push_rules"]}},
    ):
        alice.sync(filter=json.dumps(wanted))
        alice.sync(filter=json.dumps(wanted), since=since)
    alice.sync(full_state="true", since=since)
    alice.sync(use_state_after="true")
    alice.sync(use_state_after="true", since=since)
    alice.sync(set_presence="offline", _cacheBuster="1")

    # Invitations, knocks and leaves.
    private = bob.create_room(preset="private_chat", invite=[alice.id], name="Come")
    knocked = bob.create_room(initial_state=[{"type": "m.room.join_rules", "content": {"join_rule": "knock"}}], name="Knock")
    alice.post("knock", knocked)
    since = alice.sync()["next_batch"]
    alice.join(private)
    alice.post("rooms", knocked, "leave")
    alice.post("rooms", room, "leave")
    alice.sync(since=since)
    alice.sync(filter=json.dumps({"room": {"include_leave": True}}))
    bob.post("rooms", private, "kick", body={"user_id": alice.id})
    alice.sync(since=since)
    alice.post("rooms", private, "forget")
    alice.sync(since=since)

    # What else is told.
    shared = carol.create_room(preset="public_chat", name="Shared")
    bob.join(shared)
    since = carol.sync()["next_batch"]
    said = bob.say(shared, "hear")
    bob.put("rooms", shared, "typing", bob.id, body={"typing": True, "timeout": 20_000})
    carol.post("rooms", shared, "receipt", "m.read", said)
    bob.post("rooms", shared, "receipt", "m.read.private", said)
    carol.put("user", carol.id, "account_data", "org.example.synced", body={"told": True})
    carol.put("user", carol.id, "rooms", shared, "account_data", "org.example.synced", body={"told": True})
    carol.put("user", carol.id, "rooms", shared, "tags", "m.favourite", body={"order": 0.5})
    carol.put("pushrules", "global", "content", "synced", body={"pattern": "synced", "actions": ["notify"]})
    bob.put("profile", bob.id, "displayname", body={"displayname": "The Writer"})
    carol.sync(since=since)
    bob.put("rooms", shared, "redact", said, the.transaction())
    latest = carol.sync(since=since)["next_batch"]
    carol.sync(since=latest, timeout=50)
    carol.put("user", carol.id, "account_data", "m.ignored_user_list", body={"ignored_users": {bob.id: {}}})
    carol.sync(since=since)
    carol.sync()
