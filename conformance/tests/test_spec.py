import contextlib
import csv
import io
import pathlib
import sys
import tempfile
import unittest
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import spec

MEMBER = "rooms.join.*.timeline.events[]: event_id is required"


def a_report(**more):
    return {"operations": {spec.SYNC: {"statuses": {"200": 3, "401": 1}}, "GET /nothing": {"statuses": {}}}, "unmatched": {}, "violations": [], **more}


def a_violation(message, operation=spec.SYNC, status=200):
    return {"operation": operation, "status": status, "check": "schema", "message": message}


class Reading(unittest.TestCase):
    def test_each_operation_and_status_is_a_row(self):
        self.assertEqual(spec.rows(a_report()), {(spec.SYNC, "200"): set(), (spec.SYNC, "401"): set()})

    def test_violations_stand_with_their_row(self):
        found = spec.rows(a_report(violations=[a_violation("next_batch is required")]))
        self.assertEqual(found[(spec.SYNC, "200")], {"[schema] next_batch is required"})

    def test_what_is_outside_the_specification_is_marked(self):
        odd = "GET /_matrix/odd"
        found = spec.rows(a_report(unmatched={odd: {"200": 1}}, violations=[a_violation("path not in it", odd)]))
        self.assertEqual(found[(f"{odd} (outside the specification)", "200")], {"[schema] path not in it"})

    def test_only_answers_that_a_client_wished_so_are_explained(self):
        report = a_report(violations=[a_violation(MEMBER), a_violation("next_batch is required")])
        self.assertEqual(len(spec.rows(report)[(spec.SYNC, "200")]), 2)
        self.assertEqual(spec.rows(report, explained=True)[(spec.SYNC, "200")], {"[schema] next_batch is required"})

    def test_what_is_explained_stands_in_known(self):
        known = (spec.server.HERE / "KNOWN.md").read_text()
        self.assertIn("event_format", known)

    def test_a_served_operation_that_nobody_asks_for_is_found(self):
        with spec.ENDPOINTS.open(newline="") as table:
            served = {(f"{row['method']} {row['path'].strip()}", "200") for row in csv.DictReader(table, delimiter="\t") if row["verdict"] == "served"}
        self.assertEqual(spec.unvisited(served), [])
        self.assertEqual(spec.unvisited(served - {(spec.SYNC, "200")}), [spec.SYNC])

    def test_changes_since_the_committed_file_are_told(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "spec.tsv"
            file.write_text("operation\tstatus\tviolations\nGET /a\t200\t\nGET /b\t200\t\n")
            said = io.StringIO()
            with mock.patch.object(spec, "RESULTS", file), contextlib.redirect_stdout(said):
                spec.report_changes({("GET /a", "200"): {"[json] empty"}, ("GET /c", "404"): set()})
        self.assertEqual(said.getvalue().splitlines(), ["new: GET /c 404", "not seen this time: GET /b 200", "changed: GET /a 200: nothing -> [json] empty"])


if __name__ == "__main__":
    unittest.main()
