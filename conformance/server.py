"""A built roost of the suites' own, for as long as they run, and where the shared tools are."""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT / "e2e"))

from servers import PrivatePostgres, free_port, given_postgres  # noqa: E402


def shared(name):
    """A folder beside the checkout that holds tools of others, if there is one. ROOST_TEST_SHARED names another place."""
    place = pathlib.Path(os.environ.get("ROOST_TEST_SHARED") or ROOT.parent / "shared") / name
    return place if place.is_dir() else None


def target():
    """Where everything is made."""
    return pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target").resolve()


def skipped(suite, why):
    """Says visibly that a suite did not run: a line for people and one for CI."""
    print(f"skipped: {suite}: {why}")
    print(f"::warning title=conformance {suite} skipped::{why}")
    return 0


class Roost:
    """A server named localhost with open registration and everything that it serves on one address."""

    def __init__(self, binary, database, folder):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.folder = folder
        self.postgres = (given_postgres() or PrivatePostgres()) if database == "postgres" else None
        self.url = f"http://127.0.0.1:{free_port()}"
        url = self.postgres.url if self.postgres else "sqlite:roost.db"
        (folder / "roost.toml").write_text(
            f"""server_name = "localhost"
data_dir = "{folder / 'data'}"
public_base_url = "https://roost.test"

[database]
url = "{url}"

[[listen]]
address = "{self.url.removeprefix('http://')}"
serves = ["client", "federation", "admin", "metrics"]

[registration]
mode = "open"
shared_secret = "complement"

[passwords]
memory_kib = 8
iterations = 1

[rate_limits]
enabled = false

[support]
page = "https://roost.test/support"
"""
        )
        with open(folder / "server.log", "w") as log:
            command = [str(binary), "serve", "--config", str(folder / "roost.toml")]
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            wait_for(f"{self.url}/_matrix/client/versions", self.process, folder / "server.log")
        except BaseException:
            self.close()
            raise

    def close(self):
        end(self.process)
        if self.postgres:
            self.postgres.close()


def wait_for(url, process, log):
    """Until something answers there."""
    deadline = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"nothing answers at {url}:\n{log.read_text(errors='replace')[-3000:]}") from None
            time.sleep(0.05)


def end(process):
    """Asks a process to end, and sees to it that it does."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=90)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
