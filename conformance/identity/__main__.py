"""Walks past the Identity Service API on Roost and on Sydent, compares each answer with what the specification wants, and says
what differs. Everything runs on loopback; no SMS is asked for, since Sydent would send it to a real gateway.

    conformance/run identity [--update]

Roost has to give every answer that the specification wants. Where Sydent gives another one, the reason stands in `reasons.py`;
a difference without one fails the run.
"""

import argparse
import os
import pathlib
import re
import sys
import tempfile

from . import outside, servers, walk
from .reasons import REASONS

RESULTS = pathlib.Path(__file__).resolve().parent.parent / "results" / "identity.tsv"


def run(kind, binary):
    """All steps of one server."""
    steps = []
    for terms, scene in ((False, walk.open_server), (True, walk.with_terms)):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            files, mailbox = outside.certificate(folder), outside.Mailbox()
            homeserver = outside.Homeserver(files)
            place = folder / "server"
            place.mkdir()
            if kind == "roost":
                server = servers.roost(binary, place, mailbox, files, terms)
            else:
                server = servers.sydent(sys.executable, place, mailbox, terms)
            try:
                path = walk.Walk(server, mailbox, homeserver)
                scene(path)
                steps += path.steps
            except Exception:
                print(server.log.read_text()[-4000:], file=sys.stderr)
                raise
            finally:
                server.stop()
                homeserver.server.shutdown()
                mailbox.server.shutdown()
    return steps


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--server", required=True, help="the roost binary")
    arguments.add_argument("--only", choices=["roost", "sydent"], help="walk past one of them only")
    arguments.add_argument("--update", action="store_true", help="write the committed results anew")
    options = arguments.parse_args()
    kinds = [options.only] if options.only else ["roost", "sydent"]
    seen = {kind: run(kind, os.path.abspath(options.server)) for kind in kinds}

    failed, lines = 0, ["step\tspecification\tRoost\tSydent\twhy"]
    names = [name for name, *_ in next(iter(seen.values()))]
    table = {kind: {name: (got, wanted) for name, got, wanted in steps} for kind, steps in seen.items()}
    for name in names:
        verdicts = []
        for kind in kinds:
            got, wanted = table[kind][name]
            same = got == wanted
            verdicts.append("as specified" if same else show(got))
            if not same and kind == "roost":
                failed += 1
                print(f"FAILED {name}: {show(got)} instead of {show(wanted)}")
            if not same and kind == "sydent":
                reason = REASONS.get(name)
                print(f"differs {name}: Sydent {show(got)}, specification {show(wanted)}: {reason or 'NO REASON KNOWN'}")
                failed += not reason
            if same and kind == "sydent" and name in REASONS:
                failed += 1
                print(f"FAILED {name}: a reason for a difference that is not there")
        if len(kinds) == 2:
            wanted = steady(table["roost"][name][1])
            reason = REASONS.get(name, "") if verdicts[1] != "as specified" else ""
            lines.append("\t".join([name, wanted, verdicts[0], steady(verdicts[1]), reason]))
    if options.update and len(kinds) == 2:
        RESULTS.write_text("\n".join(lines) + "\n")
    print(f"identity: {len(names) * len(kinds)} steps, {failed} failed")
    return 1 if failed else 0


def show(value):
    text = value if isinstance(value, str) else repr(value)
    return " ".join(text.split())[:160]


def steady(value):
    """What is the same in every run: ports, tokens and keys are not."""
    text = re.sub(r"127\.0\.0\.1:\d+", "HOMESERVER", show(value))
    return re.sub(r"\b[A-Za-z0-9_-]{24,}\b|^\d{6,}$", "TOKEN", text)


sys.exit(main())
