#!/usr/bin/env python3
"""Proves that Roost starts, restarts and ends as Complement wants it, under the stand-in for a container engine."""

import argparse
import hashlib
import hmac
import io
import json
import pathlib
import ssl
import subprocess
import sys
import tarfile
import time
import urllib.error
import urllib.parse
import urllib.request

import engine
import server

NAME = "hs1"


class Box:
    """A container, through the calls that Complement makes."""

    def __init__(self, docker, image, authority):
        self.docker = docker
        body = {
            "Image": image,
            "Env": [f"SERVER_NAME={NAME}"],
            "Labels": {"roost": "launcher"},
            "HostConfig": {"ExtraHosts": ["host.docker.internal:host-gateway"]},
            "NetworkingConfig": {"EndpointsConfig": {"roost-launcher": {"Aliases": [NAME]}}},
        }
        self.id = docker.call("POST", "/containers/create?name=" + image.replace(":", "_"), body)["Id"]
        self.authority = authority
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            for file in ("ca.crt", "ca.key"):
                tar.add(authority / file, f"ca/{file}")
        docker.call("PUT", f"/containers/{self.id}/archive?path=%2Fcomplement", packed.getvalue(), kind="application/x-tar")

    def act(self, what):
        self.docker.call("POST", f"/containers/{self.id}/{what}")

    def inspect(self):
        return self.docker.call("GET", f"/containers/{self.id}/json")

    def port(self, inside):
        return int(self.inspect()["NetworkSettings"]["Ports"][f"{inside}/tcp"][0]["HostPort"])

    def start(self):
        self.act("start")
        deadline = time.monotonic() + 60
        while True:
            try:
                if self.ask("GET", "/_matrix/client/versions", timeout=2)[0] == 200:
                    return
            except OSError:
                pass
            if time.monotonic() > deadline or self.inspect()["State"]["Status"] == "exited":
                raise RuntimeError(f"it does not answer:\n{self.logs()[-3000:].decode(errors='replace')}")
            time.sleep(0.05)

    def logs(self):
        return self.docker.call("GET", f"/containers/{self.id}/logs?stdout=1&stderr=1") or b""

    def ask(self, method, path, body=None, token=None, timeout=20):
        return request(f"http://127.0.0.1:{self.port(8008)}{path}", method, body, token, timeout)

    def ask_tls(self, path):
        """Over TLS, where the certificate must be the authority's and bear the server's name."""
        context = ssl.create_default_context(cafile=str(self.authority / "ca.crt"))
        handler = NamedHandler(NAME, context)
        opener = urllib.request.build_opener(handler)
        with opener.open(f"https://127.0.0.1:{self.port(8448)}{path}", timeout=20) as answer:
            return answer.status, json.loads(answer.read())

    def remove(self):
        self.docker.call("DELETE", f"/containers/{self.id}?force=1")


class NamedHandler(urllib.request.HTTPSHandler):
    """HTTPS to an address, asking for the certificate of a name."""

    def __init__(self, name, context):
        super().__init__(context=context)
        self.name, self.ours = name, context

    def https_open(self, request_):
        name, context = self.name, self.ours

        class Connection(urllib.request.http.client.HTTPSConnection):
            def connect(self):
                urllib.request.http.client.HTTPConnection.connect(self)
                self.sock = context.wrap_socket(self.sock, server_hostname=name)

        return self.do_open(Connection, request_, context=context)


def request(url, method, body, token, timeout):
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    asked = urllib.request.Request(url, None if body is None else json.dumps(body).encode(), headers, method=method)
    try:
        with urllib.request.urlopen(asked, timeout=timeout) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def make_authority(folder):
    """A certificate authority such as Complement makes for each run."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "7", "-subj", "/CN=Launcher test", "-addext", "keyUsage=critical,keyCertSign"]
    subprocess.run([*command, "-keyout", str(folder / "ca.key"), "-out", str(folder / "ca.crt")], check=True, capture_output=True)
    return folder


def wanted(condition, what):
    if not condition:
        raise AssertionError(what)


def by_secret(box):
    """An account by the shared secret, as Complement makes its administrators."""
    status, answer = box.ask("GET", "/_synapse/admin/v1/register")
    wanted(status == 200, f"no nonce: {status} {answer}")
    body = {"nonce": answer["nonce"], "username": "boss", "password": "a long password", "admin": True}
    text = "\0".join([answer["nonce"], "boss", "a long password", "admin"])
    body["mac"] = hmac.new(b"complement", text.encode(), hashlib.sha1).hexdigest()
    status, answer = box.ask("POST", "/_synapse/admin/v1/register", body)
    wanted(status == 200 and answer["user_id"] == f"@boss:{NAME}", f"{status} {answer}")


def converse(box):
    """A user with a room and a message in it."""
    body = {"username": "alice", "password": "a long password", "auth": {"type": "m.login.dummy"}}
    status, user = box.ask("POST", "/_matrix/client/v3/register", body)
    wanted(status == 200 and user["user_id"] == f"@alice:{NAME}", f"{status} {user}")
    status, room = box.ask("POST", "/_matrix/client/v3/createRoom", {}, user["access_token"])
    wanted(status == 200, f"{status} {room}")
    path = f"/_matrix/client/v3/rooms/{urllib.parse.quote(room['room_id'])}"
    status, said = box.ask("PUT", f"{path}/send/m.room.message/1", {"msgtype": "m.text", "body": "kept"}, user["access_token"])
    wanted(status == 200, f"{status} {said}")
    return user["access_token"], f"{path}/event/{urllib.parse.quote(said['event_id'])}"


def remembers(box, token, event):
    status, answer = box.ask("GET", event, token=token)
    wanted(status == 200 and answer["content"]["body"] == "kept", f"{status} {answer}")


def speaks_tls(box):
    status, answer = box.ask_tls("/_matrix/client/versions")
    wanted(status == 200 and answer["versions"], f"{status} {answer}")


def stranger_is_refused(box, folder):
    """The check of the certificate can fail: another authority's is not taken."""
    own, box.authority = box.authority, make_authority(folder / "stranger")
    try:
        box.ask_tls("/_matrix/client/versions")
    except urllib.error.URLError as error:
        wanted(isinstance(error.reason, ssl.SSLCertVerificationError), f"refused for another reason: {error}")
    else:
        raise AssertionError("a certificate of another authority was taken")
    finally:
        box.authority = own


def pauses(box):
    box.act("pause")
    try:
        # The signal takes effect soon, not at once.
        wanted(not all(answers(box) for _ in range(20)), "it answers while it is paused")
    finally:
        box.act("unpause")
    wanted(box.ask("GET", "/_matrix/client/versions")[0] == 200, "it does not answer after the pause")


def answers(box):
    try:
        return box.ask("GET", "/_matrix/client/versions", timeout=1)[0] == 200
    except OSError:
        return False


def comes_back_after_kill(box, token, event):
    box.act("kill?signal=KILL")
    wanted(box.inspect()["State"]["ExitCode"] == -9, "SIGKILL did not end it")
    box.start()
    remembers(box, token, event)
    speaks_tls(box)


def ends_on_term(box):
    begun = time.monotonic()
    box.act("stop?t=10")
    took = time.monotonic() - begun
    wanted(box.inspect()["State"]["ExitCode"] == 0, f"it ended with {box.inspect()['State']['ExitCode']}")
    wanted(took < 6, f"it took {took:.1f} s to end")


def comes_back_as_an_image(docker, box, token, event, folder):
    """Complement commits a container and starts others from the image, in a later run with another authority."""
    docker.call("POST", f"/commit?container={box.id}&repo=roost-launcher&tag=kept", {})
    box.remove()
    later = Box(docker, "roost-launcher:kept", make_authority(folder / "later"))
    later.start()
    remembers(later, token, event)
    speaks_tls(later)
    later.remove()


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--server", type=pathlib.Path, required=True, help="the roost binary to test")
    options = arguments.parse_args()
    lacks = engine.stand_in_lacks()
    if lacks:
        return server.skipped("launcher", lacks)
    folder = server.target() / "conformance" / "launcher"
    with engine.stand_in(options.server.resolve(), folder) as path:
        failed = play(engine.Engine(path), folder)
    return 1 if failed else 0


def play(docker, folder):
    """The checks one after another; how many failed."""
    docker.call("POST", "/networks/create", {"Name": "roost-launcher"})
    box = Box(docker, "local", make_authority(folder / "authority"))
    kept = []
    checks = {
        "it comes up on port 8008": box.start,
        "it comes up on port 8448 with a certificate of the authority, for its name": lambda: speaks_tls(box),
        "a certificate of another authority would be noticed": lambda: stranger_is_refused(box, folder),
        "registration is open and rooms can be made": lambda: kept.extend(converse(box)),
        "the shared secret makes accounts": lambda: by_secret(box),
        "it stands still and goes on": lambda: pauses(box),
        "it goes on from the same data after SIGKILL": lambda: comes_back_after_kill(box, *kept),
        "it ends on SIGTERM, soon and with success": lambda: ends_on_term(box),
        "what it said can be read": lambda: wanted(b"hs1" in box.logs(), "there is no log"),
        "a container made of its image goes on with its data": lambda: comes_back_as_an_image(docker, box, *kept, folder),
    }
    failed = 0
    for name, check in checks.items():
        try:
            check()
            print(f"ok: {name}")
        except Exception as failure:  # one check's failure is not the others'
            failed += 1
            print(f"FAILED: {name}\n    {type(failure).__name__}: {failure}")
    print(f"launcher: {len(checks) - failed} passed, {failed} failed")
    return failed


if __name__ == "__main__":
    sys.exit(main())
