import contextlib
import http.server
import io
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import unittest
import zipfile
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import complement
import gotest

MODULE = "example.org/suite"
VERSION = "v0.1.0"
TEST = """package %s

import "testing"

func TestGood(t *testing.T) { t.Run("part", func(t *testing.T) {}) }
func TestBad(t *testing.T) { t.Fatal("as it should") }
func TestMSC1234Later(t *testing.T) { t.Skip() }
"""
FILES = {
    "go.mod": f"module {MODULE}\n\ngo 1.20\n",
    "suite.go": "package suite\n",
    "tests/csapi/csapi_test.go": TEST % "csapi",
    "tests/main_test.go": TEST % "tests",
    "tests/msc1234/msc_test.go": TEST % "msc1234",
}


def serve_module(folder):
    """A folder that the Go client takes for a module proxy, with a suite of our own in it."""
    place = folder / MODULE / "@v"
    place.mkdir(parents=True)
    (place / "list").write_text(VERSION + "\n")
    (place / f"{VERSION}.info").write_text(f'{{"Version":"{VERSION}","Time":"2026-01-01T00:00:00Z"}}')
    (place / f"{VERSION}.mod").write_text(FILES["go.mod"])
    with zipfile.ZipFile(place / f"{VERSION}.zip", "w") as packed:
        for name, text in FILES.items():
            packed.writestr(f"{MODULE}@{VERSION}/{name}", text)


def pins(folder):
    folder.mkdir()
    (folder / "go.mod").write_text(f"module pins\n\ngo 1.20\n\nrequire {MODULE} {VERSION}\n")
    (folder / "suite.go").write_text(f'package pins\n\nimport _ "{MODULE}"\n')
    return folder


@unittest.skipUnless(shutil.which("go"), "skipped: there is no Go")
class WithGo(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.suite = pins(self.folder / "pins")
        self.environment = {"GOMODCACHE": str(self.folder / "cache"), "GONOSUMDB": "*", "GOSUMDB": "off", "GOTOOLCHAIN": "local"}

    def tearDown(self):
        # Go makes its cache read-only.
        subprocess.run(["chmod", "-R", "u+w", str(self.folder)], check=True)
        shutil.rmtree(self.folder)

    def test_a_suite_is_fetched_listed_and_run(self):
        serve_module(self.folder / "proxy")
        with mock.patch.dict(os.environ, {**self.environment, "GOPROXY": f"file://{self.folder}/proxy"}):
            work = self.folder / "work"
            self.assertIsNone(complement.fetch(self.suite, work, MODULE))
            self.assertEqual(complement.packages(work, MODULE, ["csapi", "tests", "msc"]), [f"{MODULE}/tests/csapi", f"{MODULE}/tests", f"{MODULE}/tests/msc1234"])
            with self.assertRaisesRegex(RuntimeError, "no package fedapi"):
                complement.packages(work, MODULE, ["fedapi"])
            outcome = complement.run(work, f"{MODULE}/tests/csapi", None, 1, complement.go_environment(), self.folder / "log")
            self.assertEqual(outcome.results, {"TestGood": "pass", "TestGood/part": "pass", "TestBad": "fail", "TestMSC1234Later": "skip"})
            self.assertTrue(outcome.complete)
            some = complement.run(work, f"{MODULE}/tests/csapi", "^(TestGood)$", 1, complement.go_environment(), self.folder / "log")
            self.assertEqual(some.results, {"TestGood": "pass", "TestGood/part": "pass"})

    def test_a_refusal_is_told_and_is_no_failure(self):
        class Refuses(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(403)
                self.end_headers()
                self.wfile.write(b"This module version is not available")

            def log_message(self, *_):
                pass

        proxy = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refuses)
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        said = io.StringIO()
        try:
            with (
                mock.patch.dict(os.environ, {**self.environment, "GOPROXY": f"http://127.0.0.1:{proxy.server_port}", "CARGO_TARGET_DIR": str(self.folder)}),
                mock.patch.object(complement, "SUITE", self.suite),
                mock.patch.object(complement, "MODULE", MODULE),
                mock.patch.object(complement.engine, "running", lambda: True),
                mock.patch.object(sys, "argv", ["complement.py", "--server", "roost"]),
                contextlib.redirect_stdout(said),
            ):
                self.assertEqual(complement.main(), 0)
        finally:
            proxy.shutdown()
            proxy.server_close()
        self.assertIn("skipped: complement: Complement can not be fetched:", said.getvalue())
        self.assertIn("403", said.getvalue())
        self.assertIn("::warning title=conformance complement skipped::", said.getvalue())


class Comparing(unittest.TestCase):
    BEFORE = {"TestA": "pass", "TestB": "fail", "TestC": "pass", "TestD": "skip"}

    def test_only_what_passed_before_can_get_worse(self):
        now = {"TestA": "fail", "TestB": "pass", "TestC": "pass", "TestD": "fail", "TestE": "fail"}
        said, worse = complement.compare(self.BEFORE, now, whole=True)
        self.assertEqual(worse, 1)
        self.assertEqual(said, ["changed: TestA: pass -> fail", "changed: TestB: fail -> pass", "changed: TestD: skip -> fail", "new: TestE: fail"])

    def test_a_test_that_is_gone_counts_in_a_whole_run_only(self):
        self.assertEqual(complement.compare(self.BEFORE, {"TestA": "pass"}, whole=False), ([], 0))
        self.assertEqual(complement.compare(self.BEFORE, {"TestA": "pass"}, whole=True)[1], 1)

    def report(self, outcome, **how):
        with tempfile.TemporaryDirectory() as folder, mock.patch.object(complement, "RESULTS", pathlib.Path(folder)):
            complement.write(pathlib.Path(folder) / "complement-csapi.tsv", self.BEFORE)
            said = io.StringIO()
            with contextlib.redirect_stdout(said):
                wrong = complement.report("csapi", outcome, **how)
            return wrong, said.getvalue(), complement.committed(pathlib.Path(folder) / "complement-csapi.tsv")

    def test_proposals_are_listed_apart_and_not_left_out(self):
        outcome = gotest.Outcome()
        outcome.complete = True
        outcome.results = {"TestA": "pass", "TestMSC1Thing": "fail", "TestMSC1Thing/part": "pass"}
        _, said, kept = self.report(outcome, whole=False, update=True)
        self.assertIn("csapi: top level: 1 of 1 pass", said)
        self.assertIn("csapi (proposals): top level: 0 of 1 pass", said)
        self.assertEqual(kept, {**self.BEFORE, **outcome.results})

    def test_a_run_that_broke_off_is_a_failure_and_writes_nothing(self):
        outcome = gotest.Outcome()
        outcome.results = {"TestA": "pass"}
        wrong, said, kept = self.report(outcome, whole=True, update=True)
        self.assertEqual((wrong, kept), (1, self.BEFORE))
        self.assertIn("broke off", said)


class Launching(unittest.TestCase):
    def test_without_the_shared_tools_the_stand_in_says_what_it_lacks(self):
        with mock.patch.dict(os.environ, {"ROOST_TEST_SHARED": "/nowhere"}):
            self.assertIn("no ../shared/complement", complement.engine.stand_in_lacks())

    def test_the_pins_name_the_module_that_is_fetched(self):
        self.assertIn(f"require {complement.MODULE} v", (complement.SUITE / "go.mod").read_text())
        self.assertIn(f'"{complement.MODULE}"', (complement.SUITE / "suite.go").read_text())

    def test_the_fast_subset_names_tests_once(self):
        names = complement.fast()
        self.assertEqual(len(names), len(set(names)))
        self.assertTrue(all(name.startswith("Test") and gotest.is_top(name) for name in names))


if __name__ == "__main__":
    unittest.main()
