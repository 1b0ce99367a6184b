"""Container engines: whether one runs, and the stand-in for one."""

import contextlib
import http.client
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import server

LAUNCHER = server.HERE / "complement" / "launcher"


class Engine(http.client.HTTPConnection):
    """The Docker Engine API on a Unix socket: the few calls that this project makes itself."""

    def __init__(self, path):
        super().__init__("localhost", timeout=60)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)

    def call(self, method, target, body=None, wanted=(200, 201, 204), kind="application/json"):
        """The answer's body: JSON where it is some, bytes otherwise."""
        data = json.dumps(body).encode() if body is not None and not isinstance(body, bytes) else body
        try:
            self.request(method, "/v1.45" + target, data, {"Content-Type": kind} if data else {})
            answer = self.getresponse()
            read = answer.read()
        finally:
            self.close()
        if answer.status not in wanted:
            raise RuntimeError(f"{method} {target}: {answer.status} {read[:300]!r}")
        return json.loads(read) if read[:1] in (b"{", b"[") else read


def running():
    """Whether a container engine answers: the one that DOCKER_HOST names, or the usual one."""
    host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if not host.startswith("unix://"):
        # Elsewhere: its client knows how to reach it.
        return shutil.which("docker") is not None and subprocess.run(["docker", "version"], capture_output=True).returncode == 0
    try:
        return Engine(host.removeprefix("unix://")).call("GET", "/_ping") == b"OK"
    except (OSError, RuntimeError, http.client.HTTPException):
        return False


def stand_in_lacks():
    """What the stand-in for an engine lacks here; None when it can run."""
    if server.shared("complement") is None:
        return "no container engine runs, and there is no ../shared/complement beside this checkout to stand in for one"
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return "no container engine runs, and the stand-in needs root and unshare"
    if shutil.which("openssl") is None:
        return "the launcher needs openssl"
    probe = subprocess.run(["unshare", "-m", "true"], capture_output=True)
    return None if probe.returncode == 0 else "no container engine runs, and the stand-in may not make mount namespaces here"


@contextlib.contextmanager
def stand_in(binary, folder):
    """The stand-in for a container engine, whose containers are Roost by the launcher; the path of its socket."""
    tools = server.shared("complement")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    # A socket's path is short, and a build folder's may be long.
    place = pathlib.Path(tempfile.mkdtemp(prefix="roost-engine-"))
    path = place / "engine.sock"
    bin_folder = folder / "bin"
    bin_folder.mkdir()
    (bin_folder / "roost").symlink_to(binary.resolve())
    environment = {**os.environ, "PATH": f"{bin_folder}:{os.environ['PATH']}"}
    with open(folder / "engine.log", "w") as log:
        command = [sys.executable, str(tools / "fakedockerd.py"), str(path), str(folder / "state"), str(LAUNCHER)]
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        for _ in range(200):
            if process.poll() is not None:
                raise RuntimeError((folder / "engine.log").read_text())
            with contextlib.suppress(OSError):
                Engine(str(path)).call("GET", "/_ping")
                break
            time.sleep(0.05)
        yield str(path)
    finally:
        server.end(process)
        shutil.rmtree(place, ignore_errors=True)
