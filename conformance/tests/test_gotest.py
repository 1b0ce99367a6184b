import json
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import gotest


def event(action, test=None, **more):
    return json.dumps({"Time": "2026-11-25T00:00:00Z", "Action": action, "Package": "example.org/suite", **({"Test": test} if test else {}), **more}) + "\n"


class Parsing(unittest.TestCase):
    def test_each_test_and_subtest_has_one_result(self):
        outcome = gotest.parse([
            event("start"),
            event("run", "TestLogin"),
            event("output", "TestLogin", Output="=== RUN   TestLogin\n"),
            event("run", "TestLogin/parallel"),
            event("run", "TestLogin/parallel/wrong_password_is_refused"),
            event("fail", "TestLogin/parallel/wrong_password_is_refused", Elapsed=0.1),
            event("fail", "TestLogin/parallel"),
            event("fail", "TestLogin"),
            event("run", "TestSync"),
            event("pass", "TestSync", Elapsed=1),
            event("run", "TestGuests"),
            event("skip", "TestGuests"),
            event("fail"),
        ])
        self.assertEqual(outcome.results, {
            "TestLogin": "fail",
            "TestLogin/parallel": "fail",
            "TestLogin/parallel/wrong_password_is_refused": "fail",
            "TestSync": "pass",
            "TestGuests": "skip",
        })
        self.assertTrue(outcome.complete and outcome.built)

    def test_plain_text_is_read_as_well(self):
        outcome = gotest.parse([
            "=== RUN   TestRoom\n",
            "=== RUN   TestRoom/can_be_made\n",
            "    room_test.go:12: making it\n",
            "--- FAIL: TestRoom (0.31s)\n",
            "    --- PASS: TestRoom/can_be_made (0.10s)\n",
            "no newline here--- SKIP: TestLater (0.00s)\n",
            "FAIL\n",
            "FAIL\texample.org/suite\t0.410s\n",
        ])
        self.assertEqual(outcome.results, {"TestRoom": "fail", "TestRoom/can_be_made": "pass", "TestLater": "skip"})
        self.assertTrue(outcome.complete)

    def test_what_a_panic_leaves_open_has_failed_and_the_run_is_not_complete(self):
        outcome = gotest.parse([
            event("run", "TestOne"),
            event("pass", "TestOne"),
            event("run", "TestTwo"),
            event("run", "TestTwo/half"),
            event("output", "TestTwo/half", Output="panic: test timed out after 1m0s\n"),
            event("fail"),
        ])
        self.assertEqual(outcome.results, {"TestOne": "pass", "TestTwo": "fail", "TestTwo/half": "fail"})
        self.assertFalse(outcome.complete)

    def test_a_suite_that_can_not_be_built_is_no_empty_success(self):
        outcome = gotest.parse([
            json.dumps({"ImportPath": "example.org/suite", "Action": "build-output", "Output": "x.go:1: no such thing\n"}) + "\n",
            json.dumps({"ImportPath": "example.org/suite", "Action": "build-fail"}) + "\n",
            event("fail", FailedBuild="example.org/suite"),
        ])
        self.assertFalse(outcome.built)
        self.assertFalse(outcome.complete)
        self.assertIn("x.go:1: no such thing\n", outcome.output)

    def test_a_run_without_an_end_is_not_complete(self):
        self.assertFalse(gotest.parse([event("run", "TestOne"), event("pass", "TestOne")]).complete)
        self.assertFalse(gotest.parse([]).complete)

    def test_output_that_looks_like_json_or_like_nothing_is_taken_as_text(self):
        outcome = gotest.parse(["{not json\n", '{"Action": 5}\n', "[]\n", "\n", event("pass")])
        self.assertEqual(outcome.results, {})
        self.assertTrue(outcome.complete)

    def test_tests_of_proposals_are_told_apart_by_package_and_by_name(self):
        self.assertTrue(gotest.is_proposal("msc3890", "TestAnything"))
        self.assertTrue(gotest.is_proposal("csapi", "TestMSC4289PrivilegedCreators/a_creator"))
        self.assertFalse(gotest.is_proposal("csapi", "TestLogin/as_in_msc1"))
        self.assertFalse(gotest.is_proposal("tests", "TestRestrictedRooms"))

    def test_totals_count_each_verdict(self):
        self.assertEqual(gotest.totals({"a": "pass", "b": "fail", "c": "skip", "d": "pass"}), "2 of 4 pass, 1 fail, 1 skipped")


if __name__ == "__main__":
    unittest.main()
