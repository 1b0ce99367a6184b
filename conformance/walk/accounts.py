"""Accounts: what the server can do, registration, login, sessions, devices, passwords, the end."""

from .client import V1, V3, User, path


def walk(the):
    told(the)
    registration(the)
    login(the)
    refreshing(the)
    devices(the)
    passwords(the)
    the_end(the)


def told(the):
    """What a client asks before it has an account."""
    the.ask("GET", "/_matrix/client/versions")
    the.ask("GET", "/.well-known/matrix/client")
    the.ask("GET", "/.well-known/matrix/server")
    the.ask("GET", "/.well-known/matrix/support")
    the.ask("GET", path("login"))
    the.ask("GET", path("capabilities"), expect=401, errcode="M_MISSING_TOKEN")
    user = the.register("capable")
    capabilities = user.get("capabilities").get("capabilities", {})
    the.check(len(capabilities.get("m.room_versions", {}).get("available", {})) == 12, "capabilities do not name twelve room versions")
    the.ask("GET", "/_matrix/client/versions", token=user.token)
    # Features that this server does not have, each in the endpoint's own way.
    user.get("voip", "turnServer", expect=404, errcode="M_NOT_FOUND")
    user.get("thirdparty", "protocols")
    user.get("pushers")
    user.get("room_keys", "version", expect=404, errcode="M_NOT_FOUND")


def registration(the):
    register = path("register")
    asked = the.ask("POST", register, {"username": "newcomer", "password": "a long password"}, expect=401)
    the.check(asked.get("session") and asked.get("flows"), "registration does not say what to prove")
    the.ask("POST", register, {"auth": {"type": "m.login.terms", "session": asked.get("session")}}, expect=401)
    the.ask("POST", register, {"auth": {"type": "m.login.dummy", "session": "no such session"}}, expect=401)
    made = the.ask("POST", register, {"auth": {"type": "m.login.dummy", "session": asked.get("session")}})
    the.check(made.get("user_id", "").startswith("@newcomer:"), "the session forgot the name it was begun with")
    dummy = {"type": "m.login.dummy"}
    the.ask("POST", register, {"auth": dummy})
    the.ask("POST", register, {"auth": dummy, "username": "inhibited", "password": "a long password", "inhibit_login": True})
    the.ask("POST", register, {"auth": dummy, "username": "refreshing", "password": "a long password", "refresh_token": True})
    named = {"device_id": "WALKDEVICE", "initial_device_display_name": "The walk's"}
    the.check(the.register("withdevice", **named).device == "WALKDEVICE", "registration ignores device_id")
    the.ask("POST", register, {"auth": dummy, "username": "newcomer", "password": "a long password"}, expect=400, errcode="M_USER_IN_USE")
    for bad in ("with space", "ümlaut", "@id:localhost", "", "a" * 300):
        the.ask("POST", register, {"auth": dummy, "username": bad, "password": "a long password"}, expect=400, errcode="M_INVALID_USERNAME")
    the.check(the.register("CAPITALS").id.startswith("@capitals:"), "capitals do not become small letters")
    the.ask("POST", register + "?kind=guest", {}, expect=403)
    the.ask("POST", register + "?kind=other", {}, expect=400)
    the.ask("POST", register, b"{no json", expect=400, errcode="M_NOT_JSON")
    the.ask("POST", register, b'"text"', expect=400, errcode="M_BAD_JSON")
    the.ask("POST", register, {"username": 5}, expect=400, errcode="M_BAD_JSON")
    the.ask("POST", register, {"type": "m.login.application_service", "username": "ghost"}, expect=401)

    the.ask("GET", path("register", "available", username="nobodyhasthis"))
    the.ask("GET", path("register", "available", username="newcomer"), expect=400, errcode="M_USER_IN_USE")
    the.ask("GET", path("register", "available", username="not a name"), expect=400, errcode="M_INVALID_USERNAME")
    the.ask("GET", path("register", "available"), expect=400, errcode="M_MISSING_PARAM")
    validity = ("register", "m.login.registration_token", "validity")
    answer = the.ask("GET", path(*validity, below=V1, token="nobodysToken"))
    the.check(answer.get("valid") is False, "a token that nobody made is valid")
    the.ask("GET", path(*validity, below=V1), expect=400)


def log_in(the, identifier, password, expect=200, errcode=None, **more):
    body = {"type": "m.login.password", "identifier": identifier, "password": password, **more}
    return the.ask("POST", path("login"), body, expect=expect, errcode=errcode)


def login(the):
    user = the.register("traveller")
    ident = {"type": "m.id.user", "user": "traveller"}
    log_in(the, ident, user.password)
    log_in(the, {"type": "m.id.user", "user": user.id}, user.password, device_id="LAPTOP", initial_device_display_name="Laptop")
    log_in(the, ident, user.password, refresh_token=True)
    the.ask("POST", path("login"), {"type": "m.login.password", "user": "traveller", "password": user.password})
    log_in(the, ident, "wrong", expect=403, errcode="M_FORBIDDEN")
    log_in(the, {"type": "m.id.user", "user": "nobody here"}, "wrong", expect=403, errcode="M_FORBIDDEN")
    log_in(the, {"type": "m.id.user", "user": "@traveller:elsewhere.test"}, user.password, expect=403)
    log_in(the, {"type": "m.id.thirdparty", "medium": "email", "address": "a@b.test"}, "wrong", expect=403)
    log_in(the, {"type": "m.id.phone", "country": "GB", "phone": "07700900000"}, "wrong", expect=403)
    log_in(the, {"type": "m.id.unknown"}, "wrong", expect=400)
    the.ask("POST", path("login"), {"type": "m.login.unknown"}, expect=400)
    the.ask("POST", path("login"), {"type": "m.login.token", "token": "never given"}, expect=400)
    the.ask("POST", path("login"), {}, expect=400)
    the.ask("POST", path("login"), b"{", expect=400, errcode="M_NOT_JSON")

    user.get("account", "whoami")
    the.ask("GET", path("account", "whoami"), expect=401, errcode="M_MISSING_TOKEN")
    the.ask("GET", path("account", "whoami"), token="nonsense", expect=401, errcode="M_UNKNOWN_TOKEN")
    the.ask("GET", path("account", "whoami", access_token=user.token))
    other = User(the, log_in(the, ident, user.password), user.password)
    other.post("logout")
    other.get("account", "whoami", expect=401, errcode="M_UNKNOWN_TOKEN")
    other.post("logout", expect=401, errcode="M_UNKNOWN_TOKEN")
    the.ask("POST", path("logout"), expect=401, errcode="M_MISSING_TOKEN")
    user.ask("POST", path("logout", "all"))
    user.get("account", "whoami", expect=401, errcode="M_UNKNOWN_TOKEN")
    the.ask("POST", path("logout", "all"), expect=401)


def refreshing(the):
    begun = the.ask("POST", path("register"), {"auth": {"type": "m.login.dummy"}, "refresh_token": True})
    the.check(begun.get("expires_in_ms", 0) > 0 and begun.get("refresh_token"), "a client that can refresh gets no refresh token")
    again = the.ask("POST", path("refresh"), {"refresh_token": begun.get("refresh_token")})
    the.ask("GET", path("account", "whoami"), token=again.get("access_token"))
    the.ask("POST", path("refresh"), {"refresh_token": "never given"}, expect=401, errcode="M_UNKNOWN_TOKEN")
    the.ask("POST", path("refresh"), {}, expect=400)


def devices(the):
    user = the.register("gadgeteer")
    ident = {"type": "m.id.user", "user": user.id}
    for name in ("PHONE", "TABLET", "WATCH"):
        log_in(the, ident, user.password, device_id=name)
    listed = user.get("devices").get("devices", [])
    the.check(len(listed) == 4, "not all devices are listed")
    user.get("devices", "PHONE")
    user.get("devices", "TOASTER", expect=404, errcode="M_NOT_FOUND")
    user.put("devices", "PHONE", body={"display_name": "My phone"})
    the.check(user.get("devices", "PHONE").get("display_name") == "My phone", "a device keeps its old name")
    user.put("devices", "TOASTER", body={"display_name": "None"}, expect=404, errcode="M_NOT_FOUND")
    user.put("devices", "PHONE", body={"display_name": 5}, expect=400)

    delete = path("devices", "PHONE")
    asked = user.ask("DELETE", delete, {}, expect=401)
    user.ask("DELETE", delete, {"auth": user.proof("wrong", asked.get("session"))}, expect=401)
    user.ask("DELETE", delete, {"auth": user.proof(session=asked.get("session"))})
    user.get("devices", "PHONE", expect=404)
    asked = user.post("delete_devices", body={"devices": ["TABLET", "WATCH"]}, expect=401)
    user.post("delete_devices", body={"devices": ["TABLET", "WATCH"], "auth": user.proof(session=asked.get("session"))})
    the.check(len(user.get("devices").get("devices", [])) == 1, "deleted devices are listed")
    user.post("delete_devices", expect=400)
    the.ask("GET", V3 + "/devices", expect=401)


def passwords(the):
    user = the.register("changer")
    ident = {"type": "m.id.user", "user": user.id}
    other = User(the, log_in(the, ident, user.password), user.password)
    asked = user.post("account", "password", body={"new_password": "another password"}, expect=401)
    wrong = {"new_password": "another password", "auth": user.proof("wrong", asked.get("session"))}
    user.post("account", "password", body=wrong, expect=401)
    user.post("account", "password", body={"new_password": "another password", "auth": user.proof(session=asked.get("session"))})
    log_in(the, ident, user.password, expect=403)
    log_in(the, ident, "another password")
    other.get("account", "whoami", expect=401, errcode="M_UNKNOWN_TOKEN")
    user.password = "another password"
    kept = User(the, log_in(the, ident, user.password), user.password)
    body = {"new_password": "a third password", "logout_devices": False, "auth": user.proof()}
    user.post("account", "password", body=body)
    kept.get("account", "whoami")
    the.ask("POST", path("account", "password"), {"new_password": "another password"}, expect=401)


def the_end(the):
    user = the.register("leaver")
    asked = user.post("account", "deactivate", expect=401)
    user.post("account", "deactivate", body={"auth": user.proof("wrong", asked.get("session"))}, expect=401)
    user.post("account", "deactivate", body={"auth": user.proof(session=asked.get("session"))})
    user.get("account", "whoami", expect=401, errcode="M_UNKNOWN_TOKEN")
    # Their password is wiped, so they can not be told from others: "Servers MAY instead use M_FORBIDDEN".
    log_in(the, {"type": "m.id.user", "user": user.id}, user.password, expect=403, errcode="M_FORBIDDEN")
    body = {"auth": {"type": "m.login.dummy"}, "username": "leaver", "password": "a long password"}
    the.ask("POST", path("register"), body, expect=400, errcode="M_USER_IN_USE")
    erased = the.register("erased")
    erased.post("account", "deactivate", body={"auth": erased.proof(), "erase": True})
