#!/usr/bin/env python3
"""Runs Complement against a built roost: one line for each test and subtest in results/complement-PACKAGE.tsv.

Fails when a test that passed in the committed results does not any more. Complement comes by the ordinary Go client; where it
can not be had, or where nothing can run containers, that is said and the run counts as skipped.
"""

import argparse
import contextlib
import csv
import os
import pathlib
import re
import shutil
import subprocess
import sys

import engine
import gotest
import server

SUITE = server.HERE / "complement"
MODULE = "github.com/matrix-org/complement"
RESULTS = server.HERE / "results"
IMAGE = "roost-complement"


def fetch(suite, folder, module):
    """Copies the pins to a folder where Go may complete them and fetches the module there; what went wrong, if anything."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("go.mod", "go.sum", "suite.go"):
        if (suite / name).exists():
            shutil.copy(suite / name, folder)
    done = subprocess.run(["go", "mod", "download", module], cwd=folder, env=go_environment(), capture_output=True, text=True)
    if done.returncode == 0:
        return None
    said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return " ".join(said[-2:]) or f"go mod download ended with {done.returncode}"


def go_environment(**more):
    # The module has no code that imports the suites, so Go completes go.sum on the way.
    return {**os.environ, "GOFLAGS": "-mod=mod", "GOWORK": "off", **more}


def packages(folder, module, wanted):
    """The import paths of the wanted packages: `csapi`, `tests`, `msc` for those of all proposals, or one's own name."""
    listed = subprocess.run(["go", "list", f"{module}/tests/..."], cwd=folder, env=go_environment(), capture_output=True, text=True)
    if listed.returncode != 0:
        raise RuntimeError(listed.stderr.strip())
    known = listed.stdout.split()
    found = []
    for name in wanted:
        if name in ("msc", "msc..."):
            found += [path for path in known if re.search(r"/msc\d+$", path)]
        else:
            path = f"{module}/tests" if name == "tests" else f"{module}/tests/{name}"
            if path not in known:
                raise RuntimeError(f"Complement has no package {name}; there are: {', '.join(path.rsplit('/', 1)[1] for path in known)}")
            found.append(path)
    return list(dict.fromkeys(found))


def run(folder, path, pattern, minutes, environment, log):
    """Runs one package's tests; their outcome."""
    command = ["go", "test", "-json", "-vet=off", "-count=1", f"-timeout={minutes}m"]
    command += [f"-run={pattern}"] if pattern else []
    process = subprocess.Popen([*command, path], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")

    def lines():
        with open(log, "w") as kept:
            for line in process.stdout:
                kept.write(line)
                yield line

    try:
        return gotest.parse(lines())
    finally:
        process.stdout.close()
        server.end(process)


def committed(file):
    if not file.exists():
        return {}
    with file.open(newline="") as table:
        return {row["test"]: row["result"] for row in csv.DictReader(table, delimiter="\t")}


def write(file, results):
    with file.open("w", newline="") as table:
        writer = csv.writer(table, delimiter="\t", lineterminator="\n")
        writer.writerow(("test", "result"))
        writer.writerows(sorted(results.items()))


def compare(before, now, whole):
    """(what to print, how many got worse). Only a whole run can miss a test."""
    said, worse = [], 0
    for test in sorted(before.keys() | now.keys()):
        was, is_ = before.get(test), now.get(test)
        if is_ is None:
            if whole:
                said.append(f"gone: {test} (it was: {was})")
                worse += was == "pass"
        elif was is None:
            said.append(f"new: {test}: {is_}")
        elif was != is_:
            said.append(f"changed: {test}: {was} -> {is_}")
            worse += was == "pass"
    return said, worse


def report(name, outcome, whole, update):
    """Prints totals and changes of one package; how much is wrong."""
    results = outcome.results
    for title, chosen in (("", False), (" (proposals)", True)):
        part = {test: one for test, one in results.items() if gotest.is_proposal(name, test) == chosen}
        if part:
            top = {test: one for test, one in part.items() if gotest.is_top(test)}
            print(f"{name}{title}: top level: {gotest.totals(top)}; with subtests: {gotest.totals(part)}")
    if not outcome.complete:
        print(f"{name}: {'the run broke off' if outcome.built else 'the suite could not be built'}:")
        print("".join(outcome.output[-20:]))
        return 1
    file = RESULTS / f"complement-{name}.tsv"
    before = committed(file)
    if not before:
        print(f"{name}: no results are committed yet; --update writes them")
    said, worse = compare(before, results, whole)
    # Without anything to compare with, every line would be new.
    for line in said if before else ():
        print(f"  {line}")
    if update:
        write(file, results if whole else {**before, **results})
        return 0
    return worse


def fast():
    """The names of the fast subset, each a top-level test."""
    lines = (SUITE / "fast.txt").read_text().splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


@contextlib.contextmanager
def containers(binary, folder):
    """The environment in which Complement finds an engine and Roost's image."""
    if engine.running():
        build = ["docker", "build", "--quiet", "--tag", IMAGE, "--file", str(SUITE / "Dockerfile"), "."]
        subprocess.run(build, cwd=server.ROOT, check=True, stdout=subprocess.DEVNULL)
        yield go_environment(COMPLEMENT_BASE_IMAGE=IMAGE, COMPLEMENT_ENABLE_DIRTY_RUNS="1", COMPLEMENT_SPAWN_HS_TIMEOUT_SECS="60")
        return
    with engine.stand_in(binary, folder) as path:
        yield go_environment(
            DOCKER_HOST=f"unix://{path}",
            COMPLEMENT_BASE_IMAGE="local",
            COMPLEMENT_ENABLE_DIRTY_RUNS="1",
            COMPLEMENT_SPAWN_HS_TIMEOUT_SECS="60",
            COMPLEMENT_HOSTNAME_RUNNING_COMPLEMENT="host.docker.internal",
        )


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--server", type=pathlib.Path, required=True, help="the roost binary to test")
    arguments.add_argument("--package", action="append", help="csapi, tests, mscNNNN, or msc for all proposals [default: all]")
    arguments.add_argument("-run", "--run", dest="pattern", help="only tests whose names match, as `go test` understands it")
    arguments.add_argument("--fast", action="store_true", help="only the tests that complement/fast.txt names, of csapi")
    arguments.add_argument("--minutes", type=int, default=60, help="the longest that one package may take [default: 60]")
    arguments.add_argument("--update", action="store_true", help="write the committed results anew")
    options = arguments.parse_args()
    if options.fast and (options.package or options.pattern):
        arguments.error("--fast chooses by itself")

    lacks = None if engine.running() else engine.stand_in_lacks()
    if lacks:
        return server.skipped("complement", lacks)
    if shutil.which("go") is None:
        return server.skipped("complement", "there is no Go (https://go.dev) to build Complement with")
    folder = server.target() / "conformance" / "complement"
    problem = fetch(SUITE, folder / "suite", MODULE)
    if problem:
        return server.skipped("complement", f"Complement can not be fetched: {problem}")

    wanted = ["csapi"] if options.fast else options.package or ["csapi", "tests", "msc"]
    pattern = f"^({'|'.join(map(re.escape, fast()))})$" if options.fast else options.pattern
    wrong = 0
    with containers(options.server.resolve(), folder / "engine") as environment:
        for path in packages(folder / "suite", MODULE, wanted):
            name = path.rsplit("/", 1)[1]
            outcome = run(folder / "suite", path, pattern, options.minutes, environment, folder / f"{name}.log")
            wrong += report(name, outcome, pattern is None, options.update)
            for missing in [test for test in fast() if test not in outcome.results] if options.fast else ():
                print(f"{name}: fast.txt names {missing}, which did not run")
    if options.update:
        # The sums of what was fetched are part of the pin.
        for pin in ("go.mod", "go.sum"):
            if (folder / "suite" / pin).exists():
                shutil.copy(folder / "suite" / pin, SUITE)
    print(f"complement: {'as good as the committed results' if wrong == 0 else f'{wrong} worse than the committed results'}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
