"""What an identity server talks to: a mail server and a homeserver, both on loopback and in this process."""

import datetime
import http.server
import ipaddress
import json
import pathlib
import quopri
import re
import socketserver
import ssl
import threading
import time
import urllib.parse

import signedjson.key
import signedjson.sign
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from unpaddedbase64 import encode_base64


def certificate(folder: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path, pathlib.Path]:
    """An authority and a certificate by it for 127.0.0.1: the files of authority, certificate and key."""
    now = datetime.datetime.now(datetime.timezone.utc)
    day = datetime.timedelta(days=1)

    def build(name, key, issuer, issuer_key, authority):
        builder = (
            x509.CertificateBuilder()
            .subject_name(name).issuer_name(issuer).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now - day).not_valid_after(now + 30 * day)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if not authority:
            names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(issuer_key, hashes.SHA256())

    def name(text):
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = build(name("tests"), authority_key, name("tests"), authority_key, True)
    leaf = build(name("homeserver"), key, name("tests"), authority_key, False)
    paths = folder / "ca.pem", folder / "cert.pem", folder / "key.pem"
    paths[0].write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(leaf.public_bytes(serialization.Encoding.PEM))
    paths[2].write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return paths


class Mailbox:
    """A mail server that keeps what it is given."""

    def __init__(self):
        self.letters = []
        mailbox = self

        class Conversation(socketserver.StreamRequestHandler):
            def handle(self):
                self.wfile.write(b"220 mail.test\r\n")
                to, data = [], None
                for line in iter(self.rfile.readline, b""):
                    text = line.decode(errors="replace").rstrip("\r\n")
                    if data is not None:
                        if text != ".":
                            data.append(text)
                            continue
                        body = "\n".join(data)
                        if "quoted-printable" in body.lower():
                            body = quopri.decodestring(body.encode()).decode(errors="replace")
                        mailbox.letters.append((to, body))
                        to, data, answer = [], None, "250 taken"
                    elif text[:4].upper() in ("EHLO", "HELO"):
                        answer = "250-mail.test\r\n250 8BITMIME"
                    elif text[:4].upper() == "DATA":
                        data, answer = [], "354 go on"
                    elif text[:4].upper() == "QUIT":
                        self.wfile.write(b"221 bye\r\n")
                        return
                    else:
                        if text[:4].upper() == "RCPT":
                            to.append(text.split("<", 1)[-1].split(">", 1)[0])
                        answer = "250 fine"
                    self.wfile.write(answer.encode() + b"\r\n")

        self.server = serve(socketserver.ThreadingTCPServer, Conversation)
        self.port = self.server.server_address[1]

    def link(self) -> urllib.parse.SplitResult:
        """The link in the last mail."""
        body = self.letters[-1][1]
        found = re.search(r"https?://\S*submitToken\S*", body)
        return urllib.parse.urlsplit(found.group(0).rstrip("\">"))

    def token(self) -> str:
        return urllib.parse.parse_qs(self.link().query)["token"][0]


class Homeserver:
    """A homeserver that vouches for every token `token-of-NAME`, has a key and keeps what it is told."""

    def __init__(self, files):
        self.told = []
        self.key = signedjson.key.generate_signing_key("hs")
        homeserver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self, status, body):
                text = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def do_GET(self):
                url = urllib.parse.urlsplit(self.path)
                if url.path == "/_matrix/federation/v1/openid/userinfo":
                    token = urllib.parse.parse_qs(url.query).get("access_token", [""])[0]
                    if token.startswith("token-of-"):
                        return self.answer(200, {"sub": f"@{token[9:]}:{homeserver.name}"})
                    return self.answer(401, {"errcode": "M_UNKNOWN_TOKEN", "error": "unknown"})
                if url.path.rstrip("/") == "/_matrix/key/v2/server":
                    key_id = f"{homeserver.key.alg}:{homeserver.key.version}"
                    keys = {
                        "server_name": homeserver.name,
                        "valid_until_ts": int(time.time() * 1000) + 3_600_000,
                        "verify_keys": {key_id: {"key": encode_base64(homeserver.key.verify_key.encode())}},
                        "old_verify_keys": {},
                    }
                    return self.answer(200, signedjson.sign.sign_json(keys, homeserver.name, homeserver.key))
                return self.answer(404, {"errcode": "M_UNRECOGNIZED", "error": "no such path"})

            def do_PUT(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if self.path.endswith("/3pid/onbind"):
                    homeserver.told.append((self.command, json.loads(body)))
                    return self.answer(200, {})
                return self.answer(404, {"errcode": "M_UNRECOGNIZED", "error": "no such path"})

            do_POST = do_PUT

            def log_message(self, *_):
                pass

        self.server = serve(http.server.ThreadingHTTPServer, Handler, files)
        self.name = f"127.0.0.1:{self.server.server_address[1]}"

    def sign(self, uri: str, body: dict, destination: str) -> str:
        """The header of a request that the homeserver has signed, as homeservers in use do it."""
        request = {"method": "POST", "uri": uri, "origin": self.name, "destination_is": destination, "content": body}
        signed = signedjson.sign.sign_json(request, self.name, self.key)
        (key, sig), = signed["signatures"][self.name].items()
        return f'X-Matrix origin={self.name},key="{key}",sig="{sig}"'


def serve(kind, handler, files=None):
    kind.allow_reuse_address = True
    kind.daemon_threads = True
    server = kind(("127.0.0.1", 0), handler)
    if files:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files[1], files[2])
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
