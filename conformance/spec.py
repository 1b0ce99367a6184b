#!/usr/bin/env python3
"""Sends the end-to-end conversation and the walk through the shared checking proxy: which answers break the specification?

The results file has a line for each (operation, status) that was seen, with its violations. Violations of answers in a
format that the client has chosen (`walk --by-wish`) are listed in EXPLAINED and in KNOWN.md; all others fail.
"""

import argparse
import contextlib
import csv
import json
import os
import pathlib
import subprocess
import sys

import server

RESULTS = server.HERE / "results" / "spec.tsv"
ENDPOINTS = server.HERE / "results" / "endpoints.tsv"

SYNC = "GET /_matrix/client/v3/sync"
# Of the format of servers, which a filter can ask for: KNOWN.md says why that is as it must be.
EXPLAINED = {(SYNC, f"rooms.join.*.{part}.events[]: event_id is required") for part in ("timeline", "state")}


@contextlib.contextmanager
def proxy(tools, python, upstream, report):
    """The checking proxy in front of `upstream`; its report is complete once this is left."""
    port = server.free_port()
    log = report.with_suffix(".log")
    command = [str(python), str(tools / "spec_proxy.py"), "--listen", f"127.0.0.1:{port}", "--upstream", upstream, "--report", str(report)]
    with open(log, "w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
    try:
        server.wait_for(f"http://127.0.0.1:{port}/_matrix/client/versions", process, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.end(process)


def rows(report, explained=False):
    """(operation, status) -> the violations seen there."""
    found = {}
    for key, entry in report["operations"].items():
        for status in entry["statuses"]:
            found.setdefault((key, status), set())
    for key, statuses in report["unmatched"].items():
        for status in statuses:
            found.setdefault((f"{key} (outside the specification)", status), set())
    for violation in report["violations"]:
        if explained and (violation["operation"], violation["message"]) in EXPLAINED:
            continue
        key = violation["operation"]
        if (key, str(violation["status"])) not in found:
            key = f"{key} (outside the specification)"
        found.setdefault((key, str(violation["status"])), set()).add(f"[{violation['check']}] {violation['message']}")
    return found


def unvisited(found):
    """Served operations of the Client-Server API which nobody asked for with success or failure: the walk has a hole."""
    seen = {key.strip() for key, _ in found}
    with ENDPOINTS.open(newline="") as table:
        served = [row for row in csv.DictReader(table, delimiter="\t") if row["api"] == "client-server" and row["verdict"] == "served"]
    return sorted({f"{row['method']} {row['path'].strip()}" for row in served} - seen)


def committed():
    if not RESULTS.exists():
        return {}
    with RESULTS.open(newline="") as table:
        return {(row["operation"], row["status"]): row["violations"] for row in csv.DictReader(table, delimiter="\t")}


def report_changes(found):
    """What is not as in the committed file."""
    before = committed()
    now = {key: "; ".join(sorted(violations)) for key, violations in found.items()}
    for key in sorted(now.keys() - before.keys()):
        print(f"new: {key[0]} {key[1]} {now[key]}".rstrip())
    for key in sorted(before.keys() - now.keys()):
        print(f"not seen this time: {key[0]} {key[1]}")
    for key in sorted(key for key in now.keys() & before.keys() if now[key] != before[key]):
        print(f"changed: {key[0]} {key[1]}: {before[key] or 'nothing'} -> {now[key] or 'nothing'}")
    return now


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--server", type=pathlib.Path, required=True, help="the roost binary to test")
    arguments.add_argument("--database", choices=["sqlite", "postgres"], default="sqlite")
    arguments.add_argument("--no-e2e", action="store_true", help="only the walk, which needs no Node")
    arguments.add_argument("--update", action="store_true", help="write the committed results anew")
    options = arguments.parse_args()
    tools = server.shared("specproxy")
    if tools is None or server.shared("spec") is None:
        return server.skipped("spec", "there is no ../shared/specproxy with ../shared/spec beside this checkout")
    python = server.target() / "specproxy" / "bin" / "python"
    if not python.exists():
        print("run `scripts/install-test-tools specproxy` first", file=sys.stderr)
        return 1

    folder = server.target() / "conformance" / f"spec-{options.database}"
    reports = []
    failures = []
    roost = server.Roost(options.server.resolve(), options.database, folder)
    try:
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        suites = [("walk", [sys.executable, "-m", "walk", "BASE"]), ("by-wish", [sys.executable, "-m", "walk", "BASE", "--by-wish"])]
        if not options.no_e2e:
            e2e = [str(server.ROOT / "e2e" / "run"), "--base-url", "BASE", "--messages", "10"]
            suites.append(("e2e", [*e2e, "--work", str(server.target() / "e2e")]))
        for name, command in suites:
            report = folder / f"{name}.json"
            with proxy(tools, python, roost.url, report) as base:
                command = [base if word == "BASE" else word for word in command]
                if subprocess.run(command, cwd=server.HERE, env=environment).returncode != 0:
                    failures.append(f"{name} did not go as it should")
            reports.append((name, json.loads(report.read_text())))
    finally:
        roost.close()

    found = {}
    for name, report in reports:
        if report["unchecked"]:
            failures.append(f"{name}: {report['unchecked']} answers went unchecked")
        for key, violations in rows(report, explained=name == "by-wish").items():
            found.setdefault(key, set()).update(violations)
    violations = sum(len(these) for these in found.values())
    for (operation, status), these in sorted(found.items()):
        for one in sorted(these):
            print(f"violation: {operation} {status} {one}")
    if violations:
        print(f"examples: {python} {tools / 'spec_proxy.py'} summary --examples {folder}/*.json")
    holes = unvisited(found)
    for hole in holes:
        print(f"served, and asked for by nobody (add it to conformance/walk): {hole}")

    if options.update:
        with RESULTS.open("w", newline="") as table:
            writer = csv.writer(table, delimiter="\t", lineterminator="\n")
            writer.writerow(("operation", "status", "violations"))
            writer.writerows((*key, "; ".join(sorted(these))) for key, these in sorted(found.items()))
    report_changes(found)
    for failure in failures:
        print(failure)
    requests = sum(entry["count"] for _, report in reports for entry in report["operations"].values())
    operations = len({key for key, _ in found if "outside" not in key})
    print(f"spec: {requests} requests, {operations} operations, {len(found)} kinds of answers, {violations} with violations")
    return 1 if violations or holes or failures else 0


if __name__ == "__main__":
    sys.exit(main())
