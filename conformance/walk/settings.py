"""What a user keeps: profile, account data, tags, filters, push rules; and finding others."""

import json

from .client import path


def walk(the):
    alice, bob = the.register("settler"), the.register("neighbour")
    profile(the, alice, bob)
    account_data(the, alice, bob)
    tags(alice, bob)
    filters(the, alice, bob)
    push_rules(the, alice)
    directory(the, alice, bob)


def profile(the, alice, bob):
    mine = ("profile", alice.id)
    alice.put(*mine, "displayname", body={"displayname": "The Settler"})
    alice.put(*mine, "avatar_url", body={"avatar_url": "mxc://example.org/abc"})
    alice.put(*mine, "m.tz", body={"m.tz": "Europe/Berlin"})
    alice.put(*mine, "org.example.field", body={"org.example.field": {"any": ["thing", 1, None]}})
    bob.get(*mine)
    the.ask("GET", path(*mine))
    for field in ("displayname", "avatar_url", "m.tz", "org.example.field"):
        bob.get(*mine, field)
    bob.get(*mine, "org.example.absent", expect=404, errcode="M_NOT_FOUND")
    bob.get("profile", "@nobody:localhost", expect=404, errcode="M_NOT_FOUND")
    bob.get("profile", "@nobody:localhost", "displayname", expect=404, errcode="M_NOT_FOUND")
    bob.put(*mine, "displayname", body={"displayname": "Stolen"}, expect=403, errcode="M_FORBIDDEN")
    bob.delete(*mine, "displayname", expect=403, errcode="M_FORBIDDEN")
    alice.put(*mine, "displayname", body={"displayname": 5}, expect=400)
    alice.put(*mine, "displayname", body={}, expect=400)
    alice.put(*mine, "org.example.field", body={"org.example.field": "x" * 70_000}, expect=400, errcode="M_PROFILE_TOO_LARGE")
    alice.put(*mine, "k" * 300, body={"k" * 300: 1}, expect=400, errcode="M_KEY_TOO_LARGE")
    the.ask("PUT", path(*mine, "displayname"), {"displayname": "x"}, expect=401)
    alice.delete(*mine, "org.example.field")
    alice.delete(*mine, "org.example.field")
    alice.delete(*mine, "avatar_url")
    alice.get(*mine, "avatar_url", expect=404)


def account_data(the, alice, bob):
    room = alice.create_room(name="kept")
    for where in (("user", alice.id, "account_data"), ("user", alice.id, "rooms", room, "account_data")):
        alice.put(*where, "org.example.kept", body={"kept": True})
        the.check(alice.get(*where, "org.example.kept") == {"kept": True}, "account data is not what was kept")
        alice.get(*where, "org.example.absent", expect=404, errcode="M_NOT_FOUND")
        bob.get(*where, "org.example.kept", expect=403, errcode="M_FORBIDDEN")
        bob.put(*where, "org.example.kept", body={}, expect=403, errcode="M_FORBIDDEN")
        alice.put(*where, "m.fully_read", body={"event_id": "$x"}, expect=405)
        alice.put(*where, "m.push_rules", body={}, expect=405)
        alice.ask("PUT", path(*where, "org.example.kept"), b"[1", expect=400, errcode="M_NOT_JSON")
        alice.ask("PUT", path(*where, "org.example.kept"), [1], expect=400, errcode="M_BAD_JSON")
        the.ask("GET", path(*where, "org.example.kept"), expect=401)
    alice.put("user", alice.id, "account_data", "m.ignored_user_list", body={"ignored_users": {}})
    alice.put("user", alice.id, "account_data", "m.direct", body={bob.id: [room]})
    alice.get("user", alice.id, "rooms", "no room", "account_data", "org.example.kept", expect=400)


def tags(alice, bob):
    room = alice.create_room(name="tagged")
    where = ("user", alice.id, "rooms", room, "tags")
    alice.put(*where, "m.favourite", body={"order": 0.25})
    alice.put(*where, "u.mine")
    alice.get(*where)
    alice.put(*where, "u.mine", body={"order": "first"}, expect=400)
    bob.get(*where, expect=403, errcode="M_FORBIDDEN")
    bob.put(*where, "u.yours", expect=403)
    bob.delete(*where, "u.mine", expect=403)
    alice.delete(*where, "u.mine")
    alice.delete(*where, "u.never")


def filters(the, alice, bob):
    wanted = {
        "room": {"timeline": {"limit": 3, "types": ["m.room.message"]}, "state": {"lazy_load_members": True}, "include_leave": True},
        "presence": {"types": []},
        "account_data": {"not_types": ["org.example.*"]},
        "event_fields": ["type", "content", "sender"],
        "event_format": "client",
    }
    stored = alice.post("user", alice.id, "filter", body=wanted).get("filter_id", "")
    alice.get("user", alice.id, "filter", stored)
    alice.get("user", alice.id, "filter", "123456", expect=404, errcode="M_NOT_FOUND")
    alice.get("user", alice.id, "filter", "nonsense", expect=404)
    bob.get("user", alice.id, "filter", stored, expect=403)
    bob.post("user", alice.id, "filter", body=wanted, expect=403)
    alice.post("user", alice.id, "filter", body={"room": {"timeline": {"limit": "many"}}}, expect=400)
    alice.post("user", alice.id, "filter", body={"room": {"rooms": ["no room"]}}, expect=400)
    alice.sync(filter=stored)
    alice.sync(filter=json.dumps(wanted))
    alice.ask("GET", path("sync", filter="654321"), expect=400)
    the.ask("POST", path("user", alice.id, "filter"), wanted, expect=401)


def push_rules(the, alice):
    alice.ask("GET", path("pushrules") + "/")
    alice.ask("GET", path("pushrules", "global") + "/")
    rules = ("pushrules", "global")
    for kind, rule in (("override", ".m.rule.master"), ("underride", ".m.rule.message"), ("content", ".m.rule.contains_user_name")):
        found = alice.ask("GET", path(*rules, kind, rule), expect=200 if kind != "content" else 404)
        the.check(kind == "content" or found.get("rule_id") == rule, f"{rule} is told as another")
    alice.get(*rules, "override", ".m.rule.master", "enabled")
    alice.get(*rules, "override", ".m.rule.master", "actions")
    alice.put(*rules, "override", ".m.rule.master", "enabled", body={"enabled": True})
    alice.put(*rules, "override", ".m.rule.master", "enabled", body={"enabled": False})
    alice.put(*rules, "content", "cake", body={"pattern": "cake", "actions": ["notify", {"set_tweak": "sound", "value": "default"}]})
    alice.put(*rules, "content", "pie", body={"pattern": "pie", "actions": []}, before="cake")
    alice.put(*rules, "content", "tart", body={"pattern": "tart", "actions": []}, after="cake")
    alice.put(*rules, "room", "!room:localhost", body={"actions": ["notify"]})
    alice.put(*rules, "sender", "@friend:localhost", body={"actions": ["notify"]})
    conditions = [{"kind": "event_match", "key": "content.body", "pattern": "tea"}, {"kind": "room_member_count", "is": "<3"}]
    alice.put(*rules, "underride", "tea", body={"conditions": conditions, "actions": ["notify"]})
    alice.get(*rules, "content", "cake")
    alice.put(*rules, "content", "cake", "enabled", body={"enabled": False})
    alice.put(*rules, "content", "cake", "actions", body={"actions": ["notify"]})
    alice.get(*rules, "content", "cake", "enabled")
    alice.get(*rules, "content", "cake", "actions")
    alice.ask("GET", path("pushrules") + "/")
    alice.delete(*rules, "content", "cake")
    for below in ((), ("enabled",), ("actions",)):
        alice.get(*rules, "content", "cake", *below, expect=404, errcode="M_NOT_FOUND")
    alice.delete(*rules, "content", "cake", expect=404, errcode="M_NOT_FOUND")
    alice.put(*rules, "content", "cake", "enabled", body={"enabled": True}, expect=404)
    alice.put(*rules, "content", "cake", "actions", body={"actions": []}, expect=404)
    alice.put(*rules, "content", "nopattern", body={"actions": []}, expect=400)
    alice.put(*rules, "content", ".m.mine", body={"pattern": "x", "actions": []}, expect=400)
    alice.put(*rules, "content", "lost", body={"pattern": "x", "actions": []}, before="nowhere", expect=400)
    alice.put(*rules, "nokind", "x", body={"actions": []}, expect=400)
    alice.delete(*rules, "override", ".m.rule.master", expect=400)
    the.ask("GET", path("pushrules") + "/", expect=401)


def directory(the, alice, bob):
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    found = alice.post("user_directory", "search", body={"search_term": "neighbour"})
    the.check([one["user_id"] for one in found.get("results", [])] == [bob.id], "a neighbour is not found")
    alice.post("user_directory", "search", body={"search_term": "neighbour", "limit": 1})
    alice.post("user_directory", "search", body={"search_term": "nobody is called this"})
    alice.post("user_directory", "search", expect=400)
    the.ask("POST", path("user_directory", "search"), {"search_term": "x"}, expect=401)
