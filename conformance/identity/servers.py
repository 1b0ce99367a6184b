"""The identity servers: Roost's and Sydent, each started for one run on loopback."""

import http.client
import json
import pathlib
import socket
import subprocess
import sys
import time

TERMS_URL = "https://id.test/terms-1.0-en.html"


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Server:
    """A running identity server."""

    server_name = "id.test"

    def __init__(self, name: str, command: list[str], folder: pathlib.Path, port: int):
        self.start(name, command, folder, port, "/_matrix/identity/v2")

    def start(self, name, command, folder, port, ping):
        """Starts the program and waits until it answers at `ping`."""
        self.name, self.port, self.log = name, port, folder / "log"
        out = self.log.open("ab")
        self.process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=out)
        for _ in range(600):
            try:
                if self.call("GET", ping)[0] == 200:
                    return
            except OSError:
                pass
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        self.stop()
        sys.exit(f"{name} did not start:\n{self.log.read_text()[-4000:]}")

    def call(self, method, path, body=None, token=None, headers=None):
        """Status and body (parsed when it is JSON); redirects are not followed."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        sent = {"Content-Type": "application/json", **(headers or {})}
        if token:
            sent["Authorization"] = f"Bearer {token}"
        text = body if body is None or isinstance(body, (str, bytes)) else json.dumps(body)
        try:
            connection.request(method, path, text, sent)
            answer = connection.getresponse()
            raw = answer.read()
            self.headers = {name.lower(): value for name, value in answer.getheaders()}
            try:
                return answer.status, json.loads(raw)
            except ValueError:
                return answer.status, raw.decode(errors="replace")
        finally:
            connection.close()

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def roost(binary, folder, mailbox, files, terms):
    port = free_port()
    text = f"""
server_name = "id.test"
data_dir = "{folder}/data"
[[listen]]
address = "127.0.0.1:{port}"
serves = ["identity"]
[email]
smtp_url = "smtp://127.0.0.1:{mailbox.port}"
[outbound]
allow_ranges = ["127.0.0.0/8"]
[federation]
extra_ca_files = ["{files[0]}"]
[rate_limits]
enabled = false
[identity]
plain_lookups = true
next_link_hosts = ["app.test"]
"""
    if terms:
        text += f'terms = [{{ id = "terms", version = "1.0", languages = {{ en = {{ name = "Terms", url = "{TERMS_URL}" }} }} }}]\n'
    (folder / "roost.toml").write_text(text)
    return Server("Roost", [str(binary), "identity", "--config", str(folder / "roost.toml")], folder, port)


def sydent(python, folder, mailbox, terms):
    port = free_port()
    brand = folder / "res" / "plain"
    brand.mkdir(parents=True)
    head = "Date: %(date)s\nFrom: %(from)s\nTo: %(to)s\nMessage-ID: %(messageid)s\nSubject: "
    (brand / "verification_template.eml").write_text(head + "Confirm\n\n%(link)s\n%(token)s\n")
    (brand / "invite_template.eml").write_text(head + "Invitation\n\nprivate_key=%(ephemeral_private_key)s token=%(token)s\n")
    (brand / "verify_response_template.html").write_text("<p>%(message)s</p>")
    text = f"""
[general]
server.name = id.test
log.level = INFO
pidfile.path = {folder}/pid
templates.path = {folder}/res
brand.default = plain
ip.whitelist = 127.0.0.1
{f'terms.path = {folder}/terms.yaml' if terms else ''}
[db]
db.file = {folder}/sydent.db
[http]
clientapi.http.bind_address = 127.0.0.1
clientapi.http.port = {port}
replication.https.bind_address = 127.0.0.1
replication.https.port = {free_port()}
federation.verifycerts = False
client_http_base = http://127.0.0.1:{port}
[email]
email.from = noreply@id.test
email.smtphost = 127.0.0.1
email.smtpport = {mailbox.port}
email.hostname = id.test
email.ratelimit_sender.burst = 10000
email.ratelimit_sender.rate_hz = 1000
[sms]
[crypto]
"""
    (folder / "sydent.conf").write_text(text)
    if terms:
        (folder / "terms.yaml").write_text(
            f'master_version: "1"\ndocs:\n  terms:\n    version: "1.0"\n    langs:\n'
            f'      en:\n        name: Terms\n        url: "{TERMS_URL}"\n')
    command = [str(python), "-m", "sydent.sydent", "-c", str(folder / "sydent.conf")]
    return Server("Sydent", command, folder, port)
