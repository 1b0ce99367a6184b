#!/usr/bin/env python3
"""Asks a running server for every operation of the Matrix specification and says which it does not serve.

One request an operation, without an access token, so that nothing on the server changes. An operation counts as not served
when the answer is 404 or 405 with M_UNRECOGNIZED (or without a Matrix error), as served when it is anything else below 500, and
as an error of the server otherwise. Only Python's standard library is used.
"""

import argparse
import csv
import http.client
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse

HERE = pathlib.Path(__file__).resolve().parent
FACTS = HERE / "endpoints.tsv"
RESULTS = HERE / "results" / "endpoints.tsv"
# Values that name nothing which exists but are well-formed, so that a route is reached and refuses.
VALUES = {
    "userId": "@nobody:probe.test",
    "roomId": "!nothing:probe.test",
    "roomIdOrAlias": "!nothing:probe.test",
    "roomAlias": "#nothing:probe.test",
    "eventId": "$nothing",
    "serverName": "probe.test",
    "ruleId": "nothing",
    "kind": "override",
    "scope": "global",
}


def path_of(template: str) -> str:
    """The template with its parameters filled in, escaped."""
    path = template.strip()  # one path is told from another by a blank at its end
    return re.sub(r"\{(\w+)\}", lambda name: urllib.parse.quote(VALUES.get(name[1], "nothing"), safe=""), path)


def ask(base: urllib.parse.SplitResult, method: str, template: str) -> tuple[int, str]:
    """Status and errcode of one request; status 0 when there was no answer."""
    kind = http.client.HTTPSConnection if base.scheme == "https" else http.client.HTTPConnection
    connection = kind(base.hostname, base.port, timeout=20)
    try:
        body = None if method == "GET" else "{}"
        connection.request(method, path_of(template), body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read(1 << 20)
        try:
            parsed = json.loads(text)
        except ValueError:
            parsed = None
        return answer.status, parsed.get("errcode", "") if isinstance(parsed, dict) else ""
    except OSError:
        return 0, ""
    finally:
        connection.close()


def verdict(status: int, errcode: str) -> str:
    """What an answer says of the operation."""
    if status == 0 or status >= 500 and not errcode.startswith("M_"):
        return "error"
    if status in (404, 405) and errcode in ("", "M_UNRECOGNIZED"):
        return "missing"
    return "served"


def start(server: str, folder: str) -> tuple[subprocess.Popen, str]:
    """Starts the binary on a free port of this machine and waits until it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = pathlib.Path(folder) / "roost.toml"
    config.write_text(
        f'server_name = "probe.test"\ndata_dir = "{folder}/data"\n[rate_limits]\nenabled = false\n'
        f'[identity]\nenabled = true\n'
        f'[[listen]]\naddress = "127.0.0.1:{port}"\nserves = ["client", "federation", "admin", "metrics", "identity"]\n'
    )
    log = open(pathlib.Path(folder) / "log", "wb")
    process = subprocess.Popen([server, "serve", "--config", str(config)], stdout=log, stderr=log)
    for _ in range(200):
        if process.poll() is not None:
            break
        if ask(urllib.parse.urlsplit(f"http://127.0.0.1:{port}"), "GET", "/_matrix/client/versions")[0] == 200:
            return process, f"http://127.0.0.1:{port}"
        time.sleep(0.1)
    process.kill()
    sys.exit(f"the server did not start:\n{(pathlib.Path(folder) / 'log').read_text()}")


def probe(base: str) -> list[tuple[str, str, str, str]]:
    """(API, method, path, verdict) of every operation."""
    target = urllib.parse.urlsplit(base)
    with FACTS.open(newline="") as facts:
        return [
            (row["api"], row["method"], row["path"], verdict(*ask(target, row["method"], row["path"])))
            for row in csv.DictReader(facts, delimiter="\t")
        ]


def main() -> int:
    """Probes, prints, compares with the committed results."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--base", help="a server that runs already, as a URL")
    arguments.add_argument("--server", help="the roost binary, to be started for this")
    arguments.add_argument("--update", action="store_true", help="write the committed results anew")
    wanted = arguments.parse_args()
    if bool(wanted.base) == bool(wanted.server):
        arguments.error("give --base or --server")

    with tempfile.TemporaryDirectory() as folder:
        process, base = (None, wanted.base) if wanted.base else start(os.path.abspath(wanted.server), folder)
        try:
            found = probe(base)
        finally:
            if process:
                process.terminate()
                process.wait(10)

    for api in dict.fromkeys(api for api, *_ in found):
        of_api = [row for row in found if row[0] == api]
        served = sum(row[3] == "served" for row in of_api)
        print(f"{api}: {served} of {len(of_api)} operations served")
        for _, method, path, outcome in of_api:
            if outcome != "served":
                print(f"  {outcome}: {method} {path}")

    if wanted.update:
        with RESULTS.open("w", newline="") as results:
            csv.writer(results, delimiter="\t", lineterminator="\n").writerows([("api", "method", "path", "verdict"), *found])
    with RESULTS.open(newline="") as results:
        before = {(row["method"], row["path"], row["api"]): row["verdict"] for row in csv.DictReader(results, delimiter="\t")}
    worse = [row for row in found if row[3] != "served" and before.get((row[1], row[2], row[0])) == "served"]
    better = [row for row in found if row[3] == "served" and before.get((row[1], row[2], row[0])) != "served"]
    broken = [row for row in found if row[3] == "error"]
    for title, rows in (("no longer served", worse), ("newly served (run with --update)", better)):
        for _, method, path, _ in rows:
            print(f"{title}: {method} {path}")
    failed = len({*worse, *broken, *better})
    print(f"endpoints: {len(found) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
