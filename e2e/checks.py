"""Named checks: each is a line of the output, and the last line counts them."""

import contextlib
import time


class Checks:
    def __init__(self):
        self.passed = 0
        self.failed = 0

    @contextlib.contextmanager
    def check(self, name):
        """Runs the block as the check of that name. A failure ends the block, not the test."""
        begin = time.monotonic()
        try:
            yield
        except Exception as failure:
            self.fail(name, f"{type(failure).__name__}: {failure}")
        else:
            self.passed += 1
            print(f"ok: {name} ({time.monotonic() - begin:.1f} s)", flush=True)

    def fail(self, name, why):
        self.failed += 1
        print(f"FAILED: {name}", flush=True)
        for line in why.strip().splitlines():
            print(f"    {line}", flush=True)

    def close(self):
        """Prints the closing line; the exit status."""
        print(f"e2e: {self.passed} passed, {self.failed} failed", flush=True)
        return 0 if self.failed == 0 and self.passed > 0 else 1


def expect(condition, why):
    if not condition:
        raise AssertionError(why)


def eventually(what, ask, timeout=30.0):
    """Asks again until the answer is true, and returns it."""
    deadline = time.monotonic() + timeout
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:.0f} s: {what}")
        time.sleep(0.03)
