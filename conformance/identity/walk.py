"""The walk past the Identity Service API: what is asked, and what the specification wants for an answer."""

import base64
import hashlib
import time
import urllib.parse

import signedjson.key
import signedjson.sign
from unpaddedbase64 import decode_base64, encode_base64

from .servers import TERMS_URL

V2 = "/_matrix/identity/v2"


class Walk:
    """One server's answers, by the names of the steps."""

    def __init__(self, server, mailbox, homeserver):
        self.server, self.mailbox, self.homeserver = server, mailbox, homeserver
        self.steps = []

    def note(self, name, seen, wanted):
        """`seen` and `wanted` are compared as they are; `wanted` is what the specification says."""
        self.steps.append((name, seen, wanted))

    def call(self, method, path, body=None, token=None, headers=None):
        return self.server.call(method, V2 + path, body, token, headers)

    def check(self, name, answer, status, errcode=""):
        got = answer[1].get("errcode", "") if isinstance(answer[1], dict) else ""
        self.note(name, f"{answer[0]} {got}".strip(), f"{status} {errcode}".strip())
        return answer[1] if isinstance(answer[1], dict) else {}

    def holds(self, name, truth):
        self.note(name, "yes" if truth else "no", "yes")

    def register(self, name):
        body = {"access_token": f"token-of-{name}", "token_type": "Bearer",
                "matrix_server_name": self.homeserver.name, "expires_in": 3600}
        return self.call("POST", "/account/register", body)

    def mail(self, token, secret, address, attempt=1, **more):
        body = {"client_secret": secret, "email": address, "send_attempt": attempt, **more}
        return self.call("POST", "/validate/email/requestToken", body, token)

    def validated(self, token, secret, address):
        answer = self.mail(token, secret, address)[1]
        if not isinstance(answer, dict) or "sid" not in answer:
            return "none"
        sid = answer["sid"]
        body = {"sid": sid, "client_secret": secret, "token": self.mailbox.token()}
        self.call("POST", "/validate/email/submitToken", body, token)
        return sid

    def lookup(self, token, algorithm, addresses, pepper=None):
        if pepper is None:
            pepper = self.call("GET", "/hash_details", token=token)[1]["lookup_pepper"]
        if algorithm == "sha256":
            addresses = [sha256(f"{address} {pepper}") for address in addresses]
        answer = self.call("POST", "/lookup", {"algorithm": algorithm, "pepper": pepper, "addresses": addresses}, token)
        return answer, addresses

    def signed_by(self, value):
        """Whether the server's long-term key has signed this."""
        (key_id, _), = value["signatures"][self.server.server_name].items()
        key = self.call("GET", f"/pubkey/{urllib.parse.quote(key_id)}")[1]["public_key"]
        key = signedjson.key.decode_verify_key_bytes(key_id, decode_base64(key))
        try:
            signedjson.sign.verify_signed_json(value, self.server.server_name, key)
            return True
        except signedjson.sign.SignatureVerifyException:
            return False


def sha256(text):
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")


def open_server(walk):
    """A server that asks for no terms."""
    walk.check("versions", walk.server.call("GET", "/_matrix/identity/versions"), 200)
    walk.note("ping", walk.call("GET", ""), (200, {}))
    walk.note("OPTIONS allows browsers", (walk.server.call("OPTIONS", f"{V2}/lookup")[0] // 100,
              walk.server.headers.get("access-control-allow-origin")), (2, "*"))
    walk.check("an unknown path", walk.call("GET", "/nothing"), 404, "M_UNRECOGNIZED")
    walk.check("a wrong method", walk.call("GET", "/lookup"), 405, "M_UNRECOGNIZED")
    walk.note("terms of a server without any", walk.call("GET", "/terms"), (200, {"policies": {}}))

    alice = walk.check("register", walk.register("alice"), 200).get("token")
    bob = walk.register("bob")[1]["token"]
    body = {"access_token": "bad", "token_type": "Bearer", "matrix_server_name": walk.homeserver.name, "expires_in": 1}
    walk.check("register with a bad token", walk.call("POST", "/account/register", body), 401, "M_UNAUTHORIZED")
    walk.check("register without a server", walk.call("POST", "/account/register", {"access_token": "x"}), 400, "M_MISSING_PARAMS")
    body["matrix_server_name"] = "not a name"
    walk.check("register at what is no server", walk.call("POST", "/account/register", body), 400, "M_INVALID_PARAM")
    alice_id, bob_id = f"@alice:{walk.homeserver.name}", f"@bob:{walk.homeserver.name}"
    walk.note("account", walk.call("GET", "/account", token=alice), (200, {"user_id": alice_id}))
    walk.check("account without a token", walk.call("GET", "/account"), 401, "M_UNAUTHORIZED")
    walk.check("account with a wrong token", walk.call("GET", "/account", token="wrong"), 401, "M_UNAUTHORIZED")
    walk.check("a token in the query", walk.call("GET", f"/account?access_token={alice}"), 200)

    # Keys.
    walk.check("a key that is not there", walk.call("GET", "/pubkey/ed25519:nothing"), 404, "M_NOT_FOUND")
    unknown = encode_base64(b"x" * 32)
    walk.note("an unknown key is not valid", walk.call("GET", f"/pubkey/isvalid?public_key={unknown}"), (200, {"valid": False}))
    walk.note("an unknown ephemeral key is not valid",
              walk.call("GET", f"/pubkey/ephemeral/isvalid?public_key={unknown}"), (200, {"valid": False}))
    walk.check("isvalid without a key", walk.call("GET", "/pubkey/isvalid"), 400, "M_MISSING_PARAMS")

    # Validation.
    for name, change, code in [
        ("a secret with a space", {"client_secret": "a b"}, "M_INVALID_PARAM"),
        ("a secret of 256 characters", {"client_secret": "x" * 256}, "M_INVALID_PARAM"),
        ("an empty secret", {"client_secret": ""}, "M_INVALID_PARAM"),
        ("no mail address", {"email": "nobody"}, "M_INVALID_EMAIL"),
        ("a mail address with a name", {"email": "A <a@example.org>"}, "M_INVALID_EMAIL"),
        ("a header in a mail address", {"email": "a@example.org\r\nBcc: b@example.org"}, "M_INVALID_EMAIL"),
        ("a send_attempt that is no number", {"send_attempt": "x"}, "M_INVALID_PARAM"),
    ]:
        body = {"client_secret": "secret", "email": "a@example.org", "send_attempt": 1, **change}
        walk.check(f"requestToken: {name}", walk.call("POST", "/validate/email/requestToken", body, alice), 400, code)
    body = {"client_secret": "secret", "email": "a@example.org"}
    walk.check("requestToken: nothing of send_attempt", walk.call("POST", "/validate/email/requestToken", body, alice), 400, "M_MISSING_PARAMS")
    before = len(walk.mailbox.letters)
    sid = walk.check("requestToken", walk.mail(alice, "secret", "alice@example.org"), 200).get("sid")
    walk.note("a mail is sent", len(walk.mailbox.letters) - before, 1)
    first = walk.mailbox.token()
    walk.note("the same send_attempt has the same session", walk.mail(alice, "secret", "alice@example.org")[1].get("sid"), sid)
    walk.note("and sends no mail", len(walk.mailbox.letters) - before, 1)
    walk.note("a higher one has the same session", walk.mail(alice, "secret", "alice@example.org", 2)[1].get("sid"), sid)
    walk.note("and sends another mail", len(walk.mailbox.letters) - before, 2)
    validated = f"/3pid/getValidated3pid?sid={sid}&client_secret=secret"
    walk.check("getValidated3pid too early", walk.call("GET", validated, token=alice), 400, "M_SESSION_NOT_VALIDATED")
    walk.check("getValidated3pid with a wrong secret", walk.call("GET", f"/3pid/getValidated3pid?sid={sid}&client_secret=x", token=alice), 404, "M_NO_VALID_SESSION")
    walk.check("getValidated3pid of no session", walk.call("GET", "/3pid/getValidated3pid?sid=999999&client_secret=x", token=alice), 404, "M_NO_VALID_SESSION")
    walk.check("getValidated3pid without a sid", walk.call("GET", "/3pid/getValidated3pid?client_secret=x", token=alice), 400, "M_MISSING_PARAMS")
    bind = {"sid": sid, "client_secret": "secret", "mxid": alice_id}
    walk.check("bind too early", walk.call("POST", "/3pid/bind", bind, alice), 400, "M_SESSION_NOT_VALIDATED")
    submit = {"sid": sid, "client_secret": "secret", "token": "wrong"}
    walk.check("submitToken with a wrong token", walk.call("POST", "/validate/email/submitToken", submit, alice), 400, "M_TOKEN_INCORRECT")
    walk.check("submitToken with a wrong secret", walk.call("POST", "/validate/email/submitToken", {**submit, "client_secret": "x"}, alice), 400, "M_INVALID_PARAM")
    walk.check("submitToken of no session", walk.call("POST", "/validate/email/submitToken", {**submit, "sid": "999999"}, alice), 400, "M_INVALID_PARAM")
    submit["token"] = first
    walk.note("the token of the first mail is still good", walk.call("POST", "/validate/email/submitToken", submit, alice), (200, {"success": True}))
    seen = walk.call("GET", validated, token=alice)
    walk.note("getValidated3pid", (seen[0], {key: seen[1].get(key) for key in ("medium", "address")}),
              (200, {"medium": "email", "address": "alice@example.org"}))
    other = walk.mail(alice, "link", "link@example.org")[1]["sid"]
    link = walk.mailbox.link()
    page = walk.server.call("GET", f"{link.path}?{link.query}")
    walk.note("the link shows a page for people", (page[0], isinstance(page[1], str)), (200, True))
    walk.check("and has validated", walk.call("GET", f"/3pid/getValidated3pid?sid={other}&client_secret=link", token=alice), 200)
    bad = walk.server.call("GET", f"{link.path}?{link.query.replace('token=', 'token=x')}")
    walk.note("a wrong link is a 4XX", bad[0] // 100, 4)
    walk.check("a next_link to a good host", walk.mail(alice, "next", "next@example.org", next_link="https://app.test/done"), 200)
    link = walk.mailbox.link()
    walk.note("redirects there", walk.server.call("GET", f"{link.path}?{link.query}")[0] // 100, 3)

    # Binding and looking up.
    mine = walk.call("POST", "/3pid/bind", bind, alice)
    signed = walk.check("bind", mine, 200)
    walk.holds("the association is signed", bool(signed) and walk.signed_by(signed))
    walk.holds("it has all members", {"address", "medium", "mxid", "not_before", "not_after", "ts", "signatures"} <= signed.keys())
    answer, asked = walk.lookup(bob, "sha256", ["alice@example.org email", "nobody@example.org email"])
    walk.note("lookup by hash", answer, (200, {"mappings": {asked[0]: alice_id}}))
    answer, _ = walk.lookup(bob, "none", ["alice@example.org email", "alice@example.org msisdn"])
    walk.note("lookup by address", answer, (200, {"mappings": {"alice@example.org email": alice_id}}))
    details = walk.call("GET", "/hash_details", token=bob)[1]
    walk.holds("sha256 is an algorithm", "sha256" in details.get("algorithms", []))
    walk.check("lookup with a wrong pepper", walk.lookup(bob, "sha256", [], "x")[0], 400, "M_INVALID_PEPPER")
    walk.check("lookup with an unknown algorithm", walk.lookup(bob, "md5", [])[0], 400, "M_INVALID_PARAM")
    walk.check("lookup of what is no list", walk.call("POST", "/lookup", {"algorithm": "sha256", "pepper": details["lookup_pepper"], "addresses": "x"}, bob), 400, "M_INVALID_PARAM")
    walk.check("lookup without addresses", walk.call("POST", "/lookup", {"algorithm": "sha256", "pepper": "x"}, bob), 400, "M_MISSING_PARAMS")
    for name, address, canonical in [
        ("an address in capitals", "Louise@Example.ORG", "louise@example.org"),
        ("an address with a sharp s", "Strauß@Example.ORG", "strauss@example.org"),
    ]:
        walk.check(f"requestToken of {name}", walk.mail(alice, "fold", address), 200)
        folded = walk.validated(alice, f"fold{len(address)}", address)
        walk.check(f"bind {name}", walk.call("POST", "/3pid/bind", {"sid": folded, "client_secret": f"fold{len(address)}", "mxid": alice_id}, alice), 200)
        answer, _ = walk.lookup(bob, "none", [f"{canonical} email"])
        walk.note(f"{name} is found case-folded", answer[1].get("mappings"), {f"{canonical} email": alice_id})
    stranger = walk.validated(alice, "any", "any@example.org")
    walk.check("bind to another user", walk.call("POST", "/3pid/bind", {"sid": stranger, "client_secret": "any", "mxid": "@billg:microsoft.test"}, alice), 200)
    walk.check("bind to what is no user", walk.call("POST", "/3pid/bind", {"sid": sid, "client_secret": "secret", "mxid": "alice"}, alice), 400, "M_INVALID_PARAM")

    # Unbinding.
    threepid = {"medium": "email", "address": "alice@example.org"}
    unbind = {"mxid": alice_id, "threepid": threepid, "sid": sid, "client_secret": "secret"}
    walk.check("unbind another address", walk.call("POST", "/3pid/unbind", {**unbind, "threepid": {"medium": "email", "address": "x@example.org"}}, alice), 403, "M_FORBIDDEN")
    walk.check("unbind without a threepid", walk.call("POST", "/3pid/unbind", {"mxid": alice_id}, alice), 400, "M_MISSING_PARAMS")
    walk.check("unbind by session", walk.call("POST", "/3pid/unbind", unbind, alice), 200)
    walk.note("it is no longer found", walk.lookup(bob, "none", ["alice@example.org email"])[0], (200, {"mappings": {}}))
    again = walk.validated(alice, "again", "alice@example.org")
    walk.call("POST", "/3pid/bind", {"sid": again, "client_secret": "again", "mxid": alice_id}, alice)
    body, uri = {"mxid": alice_id, "threepid": threepid}, f"{V2}/3pid/unbind"
    forged = walk.homeserver.sign(uri, {**body, "mxid": bob_id}, walk.server.server_name)
    walk.check("unbind by a signature of something else", walk.call("POST", "/3pid/unbind", body, headers={"Authorization": forged}), 403, "M_FORBIDDEN")
    foreign = {"mxid": "@alice:elsewhere.test", "threepid": threepid}
    header = walk.homeserver.sign(uri, foreign, walk.server.server_name)
    walk.check("unbind a user of another homeserver", walk.call("POST", "/3pid/unbind", foreign, headers={"Authorization": header}), 403, "M_FORBIDDEN")
    header = walk.homeserver.sign(uri, body, walk.server.server_name)
    walk.check("unbind by the homeserver's signature", walk.call("POST", "/3pid/unbind", body, headers={"Authorization": header}), 200)
    walk.note("it is no longer found by anybody", walk.lookup(bob, "none", ["alice@example.org email"])[0], (200, {"mappings": {}}))

    invitations(walk, alice, bob, alice_id, bob_id)
    walk.note("logout", walk.call("POST", "/account/logout", {}, bob), (200, {}))
    walk.check("logout of an unknown token", walk.call("POST", "/account/logout", {}, bob), 401, "M_UNKNOWN_TOKEN")
    walk.check("nothing works after it", walk.call("GET", "/account", token=bob), 401, "M_UNAUTHORIZED")


def invitations(walk, alice, bob, alice_id, bob_id):
    invite = {"medium": "email", "address": "bob@example.org", "room_id": "!room:example.org", "sender": alice_id, "room_name": "Room"}
    before = len(walk.mailbox.letters)
    stored = walk.check("store-invite", walk.call("POST", "/store-invite", invite, alice), 200)
    walk.note("the invitation is mailed", len(walk.mailbox.letters) - before, 1)
    token, keys = stored.get("token", ""), stored.get("public_keys", [])
    walk.holds("its token keeps to the grammar", 0 < len(token) <= 255 and all(c.isalnum() or c in ".=_-" for c in token))
    walk.holds("it has two public keys", len(keys) == 2)
    walk.holds("the name does not tell the address", "bob@example.org" not in stored.get("display_name", "bob@example.org"))
    for key, path in zip(keys, ("/pubkey/isvalid", "/pubkey/ephemeral/isvalid")):
        query = urllib.parse.quote(key["public_key"], safe="")
        walk.note(f"{path} of its key", walk.call("GET", f"{path}?public_key={query}"), (200, {"valid": True}))
    walk.check("store-invite of a phone number", walk.call("POST", "/store-invite", {**invite, "medium": "msisdn", "address": "447700900001"}, alice), 400, "M_UNRECOGNIZED")
    walk.check("store-invite without a room", walk.call("POST", "/store-invite", {key: invite[key] for key in ("medium", "address", "sender")}, alice), 400, "M_MISSING_PARAMS")
    walk.check("store-invite of what is no address", walk.call("POST", "/store-invite", {**invite, "address": "nobody"}, alice), 400, "M_INVALID_EMAIL")
    walk.note("store-invite in another's name", walk.call("POST", "/store-invite", {**invite, "sender": bob_id}, alice)[0], 403)
    private = encode_base64(signedjson.key.generate_signing_key("0").encode())
    signed = walk.check("sign-ed25519", walk.call("POST", "/sign-ed25519", {"mxid": bob_id, "token": token, "private_key": private}, bob), 200)
    walk.note("what is signed", {key: signed.get(key) for key in ("mxid", "sender", "token")}, {"mxid": bob_id, "sender": alice_id, "token": token})
    walk.check("sign-ed25519 of an unknown token", walk.call("POST", "/sign-ed25519", {"mxid": bob_id, "token": "x", "private_key": private}, bob), 404, "M_UNRECOGNIZED")
    walk.check("sign-ed25519 with what is no key", walk.call("POST", "/sign-ed25519", {"mxid": bob_id, "token": token, "private_key": "x"}, bob), 400, "M_INVALID_PARAM")
    told = len(walk.homeserver.told)
    sid = walk.validated(bob, "bob", "bob@example.org")
    walk.call("POST", "/3pid/bind", {"sid": sid, "client_secret": "bob", "mxid": bob_id}, bob)
    for _ in range(100):
        if len(walk.homeserver.told) > told:
            break
        time.sleep(0.05)
    news = walk.homeserver.told[told:]
    walk.note("the homeserver is told once", len(news), 1)
    method, body = news[0] if news else ("", {})
    walk.note("by PUT, as the definition of the endpoint says", method, "PUT")
    invites = body.get("invites", [])
    walk.note("of the invitation", [(one.get("room_id"), one.get("sender"), one.get("mxid")) for one in invites], [("!room:example.org", alice_id, bob_id)])
    walk.holds("which is signed", bool(invites) and walk.signed_by(invites[0]["signed"]))
    walk.holds("and so is the whole", "signatures" in body and walk.signed_by(body))
    answer = walk.call("POST", "/store-invite", invite, alice)
    walk.check("store-invite of a bound address", answer, 400, "M_THREEPID_IN_USE")
    walk.note("which says whose it is", answer[1].get("mxid"), bob_id)


def with_terms(walk):
    """A server that asks for terms."""
    walk.note("terms", walk.call("GET", "/terms")[1], {"policies": {"terms": {"version": "1.0", "en": {"name": "Terms", "url": TERMS_URL}}}})
    alice = walk.register("alice")[1]["token"]
    for method, path in [("GET", "/account"), ("GET", "/hash_details"), ("POST", "/lookup"), ("POST", "/3pid/bind"), ("POST", "/store-invite"),
                         ("POST", "/validate/email/requestToken"), ("POST", "/sign-ed25519"), ("GET", "/3pid/getValidated3pid?sid=1&client_secret=a")]:
        body = None if method == "GET" else {}
        walk.check(f"{method} {path.split('?')[0]} before the terms", walk.call(method, path, body, alice), 403, "M_TERMS_NOT_SIGNED")
    walk.check("accepting something else", walk.call("POST", "/terms", {"user_accepts": ["https://else.test/"]}, alice), 200)
    walk.check("is not enough", walk.call("GET", "/account", token=alice), 403, "M_TERMS_NOT_SIGNED")
    walk.note("accepting", walk.call("POST", "/terms", {"user_accepts": [TERMS_URL]}, alice), (200, {}))
    walk.check("is", walk.call("GET", "/account", token=alice), 200)
