"""What lies beside the endpoints: unknown paths, wrong methods, CORS, old prefixes, the tools' registration."""

import hashlib
import hmac

from .client import V3, path


def walk(the):
    user = the.register("wanderer")
    for target in ("/_matrix", "/_matrix/client", V3, V3 + "/", V3 + "/nothing", "/_matrix/client/v99/sync", "/_matrix/client/unknown", "/_matrix/nothing"):
        for method in ("GET", "POST", "PUT", "DELETE"):
            the.ask(method, target, None if method == "GET" else {}, expect=404, errcode="M_UNRECOGNIZED")
    for method, target in (("DELETE", "/sync"), ("PUT", "/createRoom"), ("PATCH", "/login"), ("POST", "/publicRooms/"), ("GET", "/logout")):
        status, _, _ = the.send(method, V3 + target, {}, user.token)
        the.check(status in (404, 405), f"{method} {target} is answered with {status}")
        the.ask(method, V3 + target, {}, expect=status, errcode="M_UNRECOGNIZED")
    the.ask("GET", "/_matrix/client/r0/login")
    the.ask("GET", "/_matrix/client/r0/account/whoami", token=user.token)
    for target in (V3 + "/sync", V3 + "/login", V3 + "/nothing", "/_matrix/client/versions"):
        status, headers, _ = the.send("OPTIONS", target, headers={"Origin": "https://app.test", "Access-Control-Request-Method": "POST"})
        the.check(status in (200, 204), f"a preflight of {target} is answered with {status}")
        for name in ("Access-Control-Allow-Origin", "Access-Control-Allow-Methods", "Access-Control-Allow-Headers"):
            the.check(name in headers, f"a preflight of {target} lacks {name}")
        _, headers, _ = the.send("GET", target, headers={"Origin": "https://app.test"})
        the.check(headers.get("Access-Control-Allow-Origin") == "*", f"GET {target} is not open to every origin")
    room = user.create_room(preset="public_chat")
    user.ask("POST", path("rooms", room, "leave"), b"", headers={"Content-Type": "text/plain"})
    user.ask("POST", path("rooms", room, "join"), b"")
    user.ask("PUT", path("rooms", room, "send", "m.room.message", "plain"), b'{"body":"x"}', headers={"Content-Type": "text/plain"})
    user.ask("PUT", path("rooms", room, "send", "m.room.message", "utf8"), b'{"body":"\xff"}', expect=400, errcode="M_NOT_JSON")
    deep = b'{"a":' * 500 + b"1" + b"}" * 500
    user.ask("PUT", path("rooms", room, "send", "m.room.message", "deep"), deep, expect=400, errcode="M_BAD_JSON")
    by_tool(the)


def by_tool(the):
    """The registration for tools that servers of the ecosystem share."""
    target = "/_synapse/admin/v1/register"
    nonce = the.ask("GET", target).get("nonce", "")
    body = {"nonce": nonce, "username": "bytool", "password": "a long password", "admin": False}
    text = "\0".join([nonce, "bytool", "a long password", "notadmin"])
    body["mac"] = hmac.new(b"complement", text.encode(), hashlib.sha1).hexdigest()
    the.ask("POST", target, body)
    the.ask("POST", target, body, expect=400)
