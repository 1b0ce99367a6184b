"""What `go test` says, read: one result for each test and subtest."""

import json
import re

ENDED = {"pass": "pass", "fail": "fail", "skip": "skip", "PASS": "pass", "FAIL": "fail", "SKIP": "skip"}
RUNS = re.compile(r"^=== RUN\s+(\S+)")
# Not only at a line's begin: a test that prints no newline leaves its own text before it.
ENDS = re.compile(r"--- (PASS|FAIL|SKIP): (\S+) \(\d")
PROPOSAL = re.compile(r"msc\d+", re.IGNORECASE)


class Outcome:
    """What became of one package's tests."""

    def __init__(self):
        self.results = {}
        # Whether the whole package came to its end: without it, some tests were never begun.
        self.complete = False
        self.built = True
        self.output = []

    def begin(self, test):
        # One that is begun and never ends, as in a panic or after the time is up, has failed.
        self.results.setdefault(test, "fail")

    def end(self, test, verdict):
        self.results[test] = ENDED[verdict]


def parse(lines):
    """Reads `go test -json` (or test2json), or the text of `go test -v`; an [`Outcome`]."""
    outcome = Outcome()
    for line in lines:
        event = as_event(line)
        if event is None:
            as_text(outcome, line)
            continue
        action, test = event["Action"], event.get("Test")
        if action in ("output", "build-output"):
            outcome.output.append(event.get("Output", ""))
            if "[build failed]" in event.get("Output", ""):
                outcome.built = False
        elif action == "build-fail":
            outcome.built = False
        elif test is None:
            if action in ("pass", "skip"):
                outcome.complete = True
            elif action == "fail":
                outcome.complete = outcome.built and not crashed(outcome.output)
        elif action == "run":
            outcome.begin(test)
        elif action in ENDED:
            outcome.end(test, action)
    return outcome


def as_event(line):
    if not line.startswith("{"):
        return None
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and isinstance(event.get("Action"), str) else None


def as_text(outcome, line):
    outcome.output.append(line)
    begun, ended = RUNS.match(line), ENDS.search(line)
    if begun:
        outcome.begin(begun[1])
    if ended:
        outcome.end(ended[2], ended[1])
    if "[build failed]" in line or "[setup failed]" in line:
        outcome.built = False
    if re.match(r"^(ok|FAIL|\?)\s+\S+", line):
        outcome.complete = outcome.built and not crashed(outcome.output)


def crashed(output):
    return any(line.startswith(("panic: ", "fatal error: ")) for line in output)


def is_top(test):
    return "/" not in test


def is_proposal(package, test):
    """Whether a test is one of a proposal outside the specification."""
    return PROPOSAL.search(package) is not None or PROPOSAL.search(test.split("/")[0]) is not None


def totals(results):
    """Passed, failed and skipped of some results, as a line says it."""
    counts = {verdict: sum(one == verdict for one in results.values()) for verdict in ("pass", "fail", "skip")}
    return f"{counts['pass']} of {len(results)} pass, {counts['fail']} fail, {counts['skip']} skipped"
