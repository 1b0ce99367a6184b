"""The whole story with Synapse as the homeserver: two of its users register at Roost's identity server with OpenID tokens, one
invites an address that nobody has bound, the other one proves it and binds it, finds the invitation, joins, and unbinds it again
through Synapse, which signs the request.

    conformance/run identity-story
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.parse

from . import outside, servers

CLIENT = "/_matrix/client/v3"


class Synapse(servers.Server):
    """A Synapse on loopback with a certificate of the tests' authority."""

    def __init__(self, python, folder, files):
        port, federation = servers.free_port(), servers.free_port()
        self.server_name = f"127.0.0.1:{federation}"
        limits = "\n".join(
            f"{name}: {{per_second: 1000, burst_count: 1000}}"
            for name in ("rc_message", "rc_registration", "rc_joins_per_room", "rc_third_party_invite", "rc_3pid_validation"))
        (folder / "log.yaml").write_text(
            "version: 1\nformatters: {f: {format: '%(asctime)s %(name)s %(levelname)s %(message)s'}}\n"
            "handlers: {h: {class: logging.StreamHandler, formatter: f}}\nroot: {level: INFO, handlers: [h]}\n")
        (folder / "homeserver.yaml").write_text(f"""
server_name: "{self.server_name}"
pid_file: {folder}/pid
report_stats: false
listeners:
  - {{port: {port}, type: http, bind_addresses: ['127.0.0.1'], resources: [{{names: [client]}}]}}
  - {{port: {federation}, type: http, tls: true, bind_addresses: ['127.0.0.1'], resources: [{{names: [federation]}}]}}
tls_certificate_path: {files[1]}
tls_private_key_path: {files[2]}
federation_custom_ca_list: [{files[0]}]
use_insecure_ssl_client_just_for_testing_do_not_use: true
ip_range_blacklist: ['192.0.2.0/24']
ip_range_whitelist: ['127.0.0.0/8']
database: {{name: sqlite3, args: {{database: {folder}/homeserver.db}}}}
log_config: {folder}/log.yaml
media_store_path: {folder}/media
signing_key_path: {folder}/signing.key
registration_shared_secret: tests
macaroon_secret_key: tests
form_secret: tests
trusted_key_servers: []
enable_registration: true
enable_registration_without_verification: true
{limits}
""")
        config = ["-c", str(folder / "homeserver.yaml")]
        subprocess.run([python, "-m", "synapse.app.homeserver", *config, "--generate-keys"], check=True, cwd=folder)
        self.start("Synapse", [python, "-m", "synapse.app.homeserver", *config], folder, port, "/_matrix/client/versions")

    def user(self, name):
        body = {"username": name, "password": f"password of {name}", "auth": {"type": "m.login.dummy"}}
        status, answer = self.call("POST", f"{CLIENT}/register", body)
        assert status == 200, answer
        return answer["user_id"], answer["access_token"]


class Identity(servers.Server):
    """Roost's identity server with TLS: homeservers speak nothing else to it."""

    def __init__(self, binary, folder, mailbox, files):
        self.server_name = "id.test"
        port, secure = servers.free_port(), servers.free_port()
        self.address = f"127.0.0.1:{secure}"
        (folder / "roost.toml").write_text(f"""
server_name = "id.test"
data_dir = "{folder}/data"
[[listen]]
address = "127.0.0.1:{port}"
serves = ["identity"]
[[listen]]
address = "{self.address}"
serves = ["identity"]
tls_certificate = "{files[1]}"
tls_private_key = "{files[2]}"
[email]
smtp_url = "smtp://127.0.0.1:{mailbox.port}"
[outbound]
allow_ranges = ["127.0.0.0/8"]
[federation]
extra_ca_files = ["{files[0]}"]
[log]
requests = true
[rate_limits]
enabled = false
[identity]
public_base_url = "https://{self.address}"
plain_lookups = true
""")
        command = [str(binary), "identity", "--config", str(folder / "roost.toml")]
        self.start("Roost", command, folder, port, "/_matrix/identity/v2")

    def v2(self, method, path, body=None, token=None):
        return self.call(method, f"/_matrix/identity/v2{path}", body, token)

    def finds(self, token, address):
        pepper = self.v2("GET", "/hash_details", token=token)[1]["lookup_pepper"]
        body = {"algorithm": "none", "pepper": pepper, "addresses": [f"{address} email"]}
        return self.v2("POST", "/lookup", body, token)[1]["mappings"].get(f"{address} email")


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--server", required=True, help="the roost binary")
    arguments.add_argument("--synapse", required=True, help="a Python that has matrix-synapse")
    options = arguments.parse_args()
    running = []
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        files, mailbox = outside.certificate(folder), outside.Mailbox()
        for name in ("synapse", "roost"):
            (folder / name).mkdir()
        try:
            running.append(Synapse(os.path.abspath(options.synapse), folder / "synapse", files))
            running.append(Identity(os.path.abspath(options.server), folder / "roost", mailbox, files))
            tell(*running, mailbox)
        except BaseException:
            for one in running:
                lines = [line for line in one.log.read_text().splitlines() if "/sync " not in line]
                print(f"--- {one.name}", *lines[-100:], sep="\n", file=sys.stderr)
            raise
        finally:
            for one in running:
                one.stop()
    print("identity-story: passed")


def tell(synapse, identity, mailbox):
    def step(text, truth, seen=""):
        print(f"{'ok    ' if truth else 'FAILED'} {text}")
        assert truth, (text, seen)

    def member(name):
        user, token = synapse.user(name)
        _, openid = synapse.call("POST", f"{CLIENT}/user/{urllib.parse.quote(user)}/openid/request_token", {}, token)
        status, answer = identity.v2("POST", "/account/register", openid)
        step(f"{name} registers with an OpenID token of Synapse", status == 200, answer)
        who = identity.v2("GET", "/account", token=answer["token"])[1]["user_id"]
        step(f"the identity server knows who {name} is", who == user, who)
        return user, token, answer["token"]

    alice, alice_token, alice_id = member("alice")
    _, room = synapse.call("POST", f"{CLIENT}/createRoom", {"name": "A room for Bob"}, alice_token)
    room = room["room_id"]
    invite = {"medium": "email", "address": "Bob@Example.org", "id_server": identity.address, "id_access_token": alice_id}
    status, answer = synapse.call("POST", f"{CLIENT}/rooms/{urllib.parse.quote(room)}/invite", invite, alice_token)
    step("alice invites an address that nobody has bound", status == 200, answer)
    to, text = mailbox.letters[-1]
    step("a mail about it goes to the address", to == ["bob@example.org"] and "A room for Bob" in text, text)
    _, state = synapse.call("GET", f"{CLIENT}/rooms/{urllib.parse.quote(room)}/state", token=alice_token)
    pending = [event for event in state if event["type"] == "m.room.third_party_invite"]
    step("the room has a third-party invite with two keys", len(pending) == 1 and len(pending[0]["content"]["public_keys"]) == 2, pending)

    bob, bob_token, bob_id = member("bob")
    body = {"client_secret": "secret", "email": "bob@example.org", "send_attempt": 1}
    sid = identity.v2("POST", "/validate/email/requestToken", body, bob_id)[1]["sid"]
    link = mailbox.link()
    status, page = identity.call("GET", f"{link.path}?{link.query}", headers={"Accept": "text/html"})
    step("bob opens the link in the mail", status == 200 and "Thank you" in page, page)
    body = {"client_secret": "secret", "sid": sid, "id_server": identity.address, "id_access_token": bob_id}
    status, answer = synapse.call("POST", f"{CLIENT}/account/3pid/bind", body, bob_token)
    step("bob binds the address through Synapse", status == 200, answer)
    step("it is found", identity.finds(alice_id, "bob@example.org") == bob)

    waiting, since = None, ""
    for _ in range(300):
        # Synapse keeps the answer to a first /sync for a while.
        _, synced = synapse.call("GET", f"{CLIENT}/sync{since}", token=bob_token)
        since = f"?since={synced['next_batch']}"
        waiting = synced.get("rooms", {}).get("invite", {}).get(room)
        if waiting:
            break
        time.sleep(0.1)
    step("bob finds the invitation waiting", bool(waiting), synced)
    status, answer = synapse.call("POST", f"{CLIENT}/join/{urllib.parse.quote(room)}", {}, bob_token)
    step("and joins the room", status == 200, answer)

    # Hashes know no case, so whoever looks up has to fold it; Synapse leaves that to the client.
    invite["address"] = "bob@example.org"
    second = synapse.call("POST", f"{CLIENT}/createRoom", {"name": "Another"}, alice_token)[1]["room_id"]
    status, answer = synapse.call("POST", f"{CLIENT}/rooms/{urllib.parse.quote(second)}/invite", invite, alice_token)
    step("alice invites the address again, which is bound now", status == 200, answer)
    _, state = synapse.call("GET", f"{CLIENT}/rooms/{urllib.parse.quote(second)}/state", token=alice_token)
    invited = [event for event in state if event["type"] == "m.room.member" and event["state_key"] == bob]
    step("and bob is invited by name", len(invited) == 1 and invited[0]["content"]["membership"] == "invite", state)

    body = {"medium": "email", "address": "bob@example.org", "id_server": identity.address}
    status, answer = synapse.call("POST", f"{CLIENT}/account/3pid/unbind", body, bob_token)
    step("bob unbinds the address through Synapse, which signs", (status, answer.get("id_server_unbind_result")) == (200, "success"), answer)
    step("it is no longer found", identity.finds(alice_id, "bob@example.org") is None)


if __name__ == "__main__":
    main()
