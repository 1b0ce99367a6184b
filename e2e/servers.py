"""The server under test: a built roost with a configuration and data of its own, or one that runs already."""

import os
import pathlib
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Elsewhere:
    """A server that somebody else started: it is used and left alone."""

    can_be_killed = False
    registration_token = None

    def __init__(self, url):
        if urllib.parse.urlparse(url).hostname not in ("127.0.0.1", "localhost", "::1"):
            raise ValueError(f"{url} is not this machine")
        self.url = url

    def start(self):
        return self.url

    def close(self):
        pass


class Roost:
    can_be_killed = True

    def __init__(self, binary, database, run):
        self.binary = binary
        self.run = run
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = None
        self.output = run / "server.log"
        self.postgres = None
        self.registration_token = None
        self.registration = "token"
        if database == "postgres":
            self.postgres = given_postgres() or PrivatePostgres()
        self.configure()

    def configure(self):
        database = f'url = "{self.postgres.url}"' if self.postgres else 'url = "sqlite:roost.db"'
        (self.run / "roost.toml").write_text(
            f"""server_name = "localhost"
data_dir = "{self.run / 'data'}"

[database]
{database}

[[listen]]
address = "127.0.0.1:{self.port}"
serves = ["client"]

[registration]
mode = "{self.registration}"

[rate_limits]
enabled = false
"""
        )

    def start(self):
        """Starts the server and waits until it answers; its address."""
        with open(self.output, "a") as output:
            command = [str(self.binary), "serve", "--config", str(self.run / "roost.toml")]
            self.process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while not answers(self.url):
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended at once with {self.process.returncode}:\n{self.tail()}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"the server does not answer:\n{self.tail()}")
            time.sleep(0.02)
        if self.registration_token is None:
            self.registration_token = self.printed_token()
        return self.url

    def printed_token(self):
        """The one-time token that the first start prints, soon after it begins to answer."""
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            found = re.search(r"registration token\W+([A-Za-z0-9._~-]{8,})\s", self.output.read_text(), re.IGNORECASE)
            if found:
                return found.group(1)
            time.sleep(0.02)
        raise RuntimeError(f"the first start printed no registration token:\n{self.tail()}")

    def open_registration(self):
        """Starts the server again with open registration."""
        self.end()
        self.registration = "open"
        self.configure()
        self.start()

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def end(self):
        """Asks the server to end; its exit status, and how long it took."""
        begin = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self.kill()
            status = None
        return status, time.monotonic() - begin

    def tail(self):
        return "\n".join(self.output.read_text(errors="replace").splitlines()[-20:])

    def close(self):
        if self.process and self.process.poll() is None:
            self.kill()
        if self.postgres:
            self.postgres.close()


def answers(url):
    try:
        with urllib.request.urlopen(f"{url}/_matrix/client/versions", timeout=5):
            return True
    except (OSError, urllib.error.URLError):
        return False


def given_postgres():
    """A database in the cluster that the test command has started, if it says where that is."""
    cluster = os.environ.get("ROOST_TEST_POSTGRES")
    return GivenPostgres(cluster) if cluster else None


class GivenPostgres:
    def __init__(self, cluster):
        self.cluster = cluster
        self.name = f"roost_e2e_{secrets.token_hex(6)}"
        parts = urllib.parse.urlparse(cluster)
        self.url = parts._replace(path=f"/{self.name}").geturl()
        self.psql(f"CREATE DATABASE {self.name} TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C' ENCODING 'UTF8'")

    def psql(self, statement):
        # The cluster's address may name no database; every cluster has this one.
        parts = urllib.parse.urlparse(self.cluster)
        url = self.cluster if parts.path.strip("/") else parts._replace(path="/postgres").geturl()
        subprocess.run(["psql", url, "-qXc", statement], check=True, stdout=subprocess.DEVNULL)

    def close(self):
        self.psql(f"DROP DATABASE IF EXISTS {self.name} WITH (FORCE)")


class PrivatePostgres:
    """A cluster of its own, in a temporary folder that is removed in the end."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="roost-e2e-postgres-"))
        self.as_owner = []
        if os.getuid() == 0:
            # PostgreSQL refuses to run as root; its package has made an account for it.
            shutil.chown(self.folder, "postgres", "postgres")
            self.as_owner = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--init-groups"]
        port = free_port()
        data = self.folder / "data"
        self.command("initdb", "-D", str(data), "-U", "roost", "--auth", "trust", "--locale", "C", "--encoding", "UTF8")
        listen = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={self.folder}"
        self.command("pg_ctl", "-D", str(data), "-l", str(self.folder / "log"), "-w", "-o", listen, "start")
        server = f"postgres://roost@127.0.0.1:{port}"
        self.url = f"{server}/roost"
        subprocess.run(["psql", f"{server}/postgres", "-qXc", "CREATE DATABASE roost"], check=True)

    def command(self, name, *arguments):
        found = shutil.which(name) or next(iter(sorted(pathlib.Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))), None)
        if not found:
            raise RuntimeError(f"{name} is missing: apt-get install postgresql")
        subprocess.run([*self.as_owner, str(found), *arguments], check=True, cwd="/", stdout=subprocess.DEVNULL)

    def close(self):
        try:
            self.command("pg_ctl", "-D", str(self.folder / "data"), "-m", "immediate", "-w", "stop")
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)
