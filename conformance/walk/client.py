"""What the walk is made of: requests, users, and the statuses that are expected of them."""

import http.client
import itertools
import json
import urllib.parse

V3 = "/_matrix/client/v3"
V1 = "/_matrix/client/v1"


def path(*parts, below=V3, **query):
    """A path from its parts, each one segment, with a query of what is not None."""
    whole = below + "".join("/" + urllib.parse.quote(part, safe="") for part in parts)
    asked = {name.rstrip("_"): value for name, value in query.items() if value is not None}
    return whole + ("?" + urllib.parse.urlencode(asked, doseq=True) if asked else "")


class Walk:
    """Sends requests and notes those which are not answered with the status that the specification wants.

    That the walk says what it expects is what keeps it honest: a step that goes nowhere shows.
    """

    def __init__(self, base):
        parts = urllib.parse.urlsplit(base)
        self.host, self.port = parts.hostname, parts.port
        self.steps = 0
        self.surprises = []
        self.numbers = itertools.count(1)
        self.connection = None

    def send(self, method, target, body=None, token=None, headers=None):
        """One exchange: status, headers, bytes. `body` is JSON to be, or bytes as they are."""
        sent = {"Authorization": f"Bearer {token}"} if token else {}
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
        sent.update(headers or {})
        for attempt in (1, 2):
            if self.connection is None:
                self.connection = http.client.HTTPConnection(self.host, self.port, timeout=60)
            try:
                self.connection.request(method, target, body, sent)
                answer = self.connection.getresponse()
                data = answer.read()
                if answer.will_close:
                    self.close()
                return answer.status, answer.headers, data
            except (http.client.HTTPException, ConnectionError):
                # An idle connection may have been closed meanwhile; a fresh one tells.
                self.close()
                if attempt == 2:
                    raise

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def ask(self, method, target, body=None, token=None, expect=200, errcode=None, headers=None):
        """One exchange with the status (and errcode) that it must have; the JSON of the answer."""
        self.steps += 1
        status, _, data = self.send(method, target, body, token, headers)
        try:
            answer = json.loads(data)
        except ValueError:
            answer = None
        got = answer.get("errcode") if isinstance(answer, dict) else None
        if status != expect or (errcode and got != errcode):
            wanted = f"{expect} {errcode}" if errcode else f"{expect}"
            self.surprise(f"{method} {target.partition('?')[0]}: wanted {wanted}, got {status} {data[:200].decode(errors='replace')}")
        return answer if isinstance(answer, dict) else {}

    def check(self, holds, what):
        """Something else that must hold."""
        self.steps += 1
        if not holds:
            self.surprise(what)

    def surprise(self, what):
        self.surprises.append(what)

    def transaction(self):
        return f"walk{next(self.numbers)}"

    def register(self, name, **more):
        """A new user with one device."""
        password = f"the password of {name}"
        body = {"username": name, "password": password, "auth": {"type": "m.login.dummy"}, **more}
        return User(self, self.ask("POST", path("register"), body), password)


class User:
    """A user on one device."""

    def __init__(self, walk, answer, password):
        self.walk = walk
        self.id = answer["user_id"]
        self.token = answer["access_token"]
        self.device = answer["device_id"]
        self.password = password

    def ask(self, method, target, body=None, **how):
        return self.walk.ask(method, target, body, token=self.token, **how)

    def get(self, *parts, expect=200, errcode=None, below=V3, **query):
        return self.ask("GET", path(*parts, below=below, **query), expect=expect, errcode=errcode)

    def put(self, *parts, body=None, expect=200, errcode=None, **query):
        return self.ask("PUT", path(*parts, **query), {} if body is None else body, expect=expect, errcode=errcode)

    def post(self, *parts, body=None, expect=200, errcode=None, **query):
        return self.ask("POST", path(*parts, **query), {} if body is None else body, expect=expect, errcode=errcode)

    def delete(self, *parts, expect=200, errcode=None, **query):
        return self.ask("DELETE", path(*parts, **query), expect=expect, errcode=errcode)

    def create_room(self, **body):
        return self.post("createRoom", body=body).get("room_id", "")

    def say(self, room, text, **how):
        """A text message; its event id."""
        body = {"msgtype": "m.text", "body": text}
        return self.put("rooms", room, "send", "m.room.message", self.walk.transaction(), body=body, **how).get("event_id", "")

    def state(self, room, kind, content, key="", **how):
        return self.put("rooms", room, "state", kind, key, body=content, **how).get("event_id", "")

    def join(self, room, **how):
        return self.post("rooms", room, "join", **how)

    def sync(self, **query):
        query.setdefault("timeout", 0)
        return self.get("sync", **query)

    def proof(self, password=None, session=None):
        """What proves to be this user."""
        found = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": self.id}}
        found["password"] = self.password if password is None else password
        if session:
            found["session"] = session
        return found
