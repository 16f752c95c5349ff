"""Results are read as they were written, and files that are none are refused by name."""

import json
import subprocess
import unittest

import results
from results_case import ResultsCase


class ResultsTest(ResultsCase):
    def test_what_is_written_is_read(self):
        entries = [results.one("states", 5, ["seed 3"], first_seed=1, next_seed=4)]
        results.write("crash", "make it", entries, 1.6)
        read = results.read("crash")
        self.assertEqual(read["reached"], entries)
        self.assertEqual((read["command"], read["seconds"]), ("make it", 2))
        self.assertRegex(read["date"], r"^\d{4}-\d\d-\d\d \d\d:\d\d$")
        self.assertEqual([path.name for path in self.results.iterdir()], ["crash.json"])

    def test_nothing_reached_replaces_nothing(self):
        results.write("crash", "make it", [results.one("states", 5)], 1)
        results.write("crash", "make it", [results.one("states", 0)], 1)
        self.assertEqual(self.kept("crash")["reached"][0]["count"], 5)

    def test_a_failure_before_anything_was_reached_is_kept(self):
        results.write("crash", "make it", [results.one("states", 0, ["seed 1"]), results.one("others", 0)], 1)
        self.assertEqual(self.kept("crash")["reached"], [results.one("states", 0, ["seed 1"])])

    def test_there_may_be_none(self):
        self.assertIsNone(results.read("crash"))

    def test_what_are_no_results_is_refused_by_the_name_of_the_file(self):
        good = {"date": "d", "commit": "c", "command": "x", "reached": [results.one("states", 5)]}
        for text, problem in (("{", "in JSON expected"), ("", "in JSON expected"), ("[]", "'date'"),
                              (json.dumps({**good, "commit": 5}), "'commit'"),
                              (json.dumps({**good, "reached": {}}), "'reached'"),
                              (json.dumps({**good, "reached": [{"what": "states"}]}), "'count' and 'failures'"),
                              (json.dumps({**good, "reached": [results.one("states", "5")]}), "'count' and 'failures'"),
                              (json.dumps({**good, "reached": [{**results.one("states", 5), "of": "6"}]}), "'of'"),
                              (json.dumps({**good, "reached": [{**results.one("s", 5), "first_seed": None}]}),
                               "'first_seed'")):
            with self.subTest(problem, text=text):
                (self.results / "crash.json").write_text(text)
                with self.assertRaisesRegex(results.ResultsError, f"crash.json: .*{problem}"):
                    results.read("crash")

    def test_bytes_that_are_no_text_are_refused(self):
        (self.results / "crash.json").write_bytes(b"\xff\xfe")
        with self.assertRaisesRegex(results.ResultsError, "crash.json: "):
            results.read("crash")


class CommitTest(ResultsCase):
    def git(self, *arguments):
        subprocess.run(["git", "-c", "user.name=x", "-c", "user.email=x", "-C", self.directory, *arguments], check=True,
                       stdout=subprocess.DEVNULL)

    def test_changes_of_sources_are_told_and_those_of_results_are_not(self):
        self.git("init", "--quiet")
        source, result = self.directory / "lib.cc", self.directory / "tests/results/crash.json"
        result.parent.mkdir(parents=True)
        for path in (source, result):
            path.write_text("before")
        self.git("add", ".")
        self.git("commit", "--quiet", "--message", "x")
        self.assertRegex(results.commit(self.directory), "^[0-9a-f]{40}$")
        result.write_text("after")
        self.assertRegex(results.commit(self.directory), "^[0-9a-f]{40}$")
        source.write_text("after")
        self.assertRegex(results.commit(self.directory), "^[0-9a-f]{40} with changes$")

    def test_sources_without_git_have_none(self):
        self.assertEqual(results.commit(self.directory), "unknown")


if __name__ == "__main__":
    unittest.main()
