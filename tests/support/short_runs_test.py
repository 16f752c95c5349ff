"""What tests of each run have counted is collected from a build directory, and no test that failed is left out."""

import json
import subprocess
import sys
import unittest

import results
import short_runs
from results_case import ResultsCase

# Tests as ctest finds them in a build directory: {name: (command, properties)}.
TESTS = {
    "crash_states_test.CrashTest.NothingIsLost/new": ("cat new.json >tests/crash/report/crash_states_test/new.json", ""),
    "faults_test": ("cat faults.jsonl >>$VARVE_FAULTS_REPORT", ""),
    "canary.missing_sync": ("true", ""),
    "canary.truncated_in_place": ("false", ""),
    "file_systems_test.PowerCutTest.NothingDurableIsLost/xfs": ("exit 1", ""),
    "file_systems_test.ShutdownTest.NothingDurableIsLost/xfs": ("exit 77", "SKIP_RETURN_CODE 77"),
    "file_systems_test.ReadOnlyRemountTest.NothingDurableIsLost/xfs": ("exit 1", ""),
    "kafka.judge_builds": ("exit 1", "FIXTURES_SETUP judge"),
    "kafka.varve_lives": ("true", "FIXTURES_REQUIRED judge"),
    "kafka.broker": ("touch broker", ""),
    "log_test": ("touch log", "")}


class ShortRunsCase(ResultsCase):
    def setUp(self):
        super().setUp()
        self.build = self.directory / "build"
        self.build.mkdir()

    def put(self, path, text):
        path = self.build / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def put_shape(self, shape, states, next_seed, failed=False):
        self.put(f"tests/crash/report/crash_states_test/{shape}.json",
                 json.dumps({"shape": shape, "first_seed": 1, "next_seed": next_seed, "states": states, "failed": failed}))

    def put_endings(self, kind, file_system, count, failed=False):
        self.put(f"tests/file_systems/report/{kind} {file_system}.json", json.dumps(
            {"kind": kind, "file_system": file_system, "endings": count, "first_seed": 1, "next_seed": 9, "failed": failed}))


class CollectTest(ShortRunsCase):
    def test_what_was_not_run_counts_nothing(self):
        self.assertEqual(short_runs.crash_states(self.build), [])
        self.assertEqual(short_runs.endings(self.build), [])
        self.assertEqual(short_runs.lives(self.build), [])
        self.assertEqual(short_runs.faults(self.build / "none"), [])

    def test_shapes_are_added_up(self):
        self.put_shape("a", 100, 5)
        self.put_shape("b", 101, 9)
        self.assertEqual(short_runs.crash_states(self.build),
                         [results.one("crash states", 201, shapes=2, first_seed=1, next_seed=9)])
        self.put_shape("b", 50, 4, failed=True)
        self.assertEqual(short_runs.crash_states(self.build)[0]["failures"], ["b, seed 4"])

    def test_each_kind_of_ending_is_told(self):
        self.put_endings("power cut", "xfs", 75)
        self.put_endings("kill", "any", 500, failed=True)
        self.assertEqual([(one["what"], one["count"], len(one["failures"])) for one in short_runs.endings(self.build)],
                         [("kill", 500, 1), ("power cut on xfs", 75, 0)])

    def test_lives_that_differ_are_failures(self):
        self.put("tests/kafka/report.jsonl", "\n".join(map(json.dumps, [
            {"what": "lives of varve", "lives": 100, "differing": [], "exceptions": {"x": 1}},
            {"what": "lives of Kafka", "lives": 100, "differing": [7], "exceptions": {}}, {"what": "brokers"}])))
        self.assertEqual(short_runs.lives(self.build),
                         [results.one("lives of varve", 100, first_seed=1, next_seed=101),
                          results.one("lives of Kafka", 100, ["life 7 differs"], first_seed=1, next_seed=101)])

    def test_as_a_program_it_prints_what_was_counted_of_crashes(self):
        self.put_shape("a", 100_000, 5)
        self.put_endings("power cut", "xfs", 75)
        printed = subprocess.run([sys.executable, short_runs.__file__, self.build], capture_output=True, text=True,
                                 check=True).stdout
        self.assertEqual(printed, "  100,000 times: crash states\n  75 times: power cut on xfs\n")


class RunTest(ShortRunsCase):
    def setUp(self):
        super().setUp()
        self.put_shape("old", 100, 5)
        self.put_endings("kill", "any", 500)
        self.put("new.json", json.dumps({"shape": "new", "first_seed": 1, "next_seed": 3, "states": 7, "failed": False}))
        self.put("faults.jsonl", json.dumps({"kind": "sync: EIO, pages dropped", "runs": 2, "of": 5}) + "\n" +
                 json.dumps({"kind": "open: EIO", "runs": 1, "of": 4}) + "\n")

    def report(self):
        return subprocess.run([sys.executable, results.ROOT / "tests/report", "--run", self.build], capture_output=True,
                              text=True, check=False)

    def run_tests(self):
        report = self.report()
        self.assertEqual(report.returncode, 1)
        self.assertRegex(report.stdout, r"(?m)^R8 +FAILED .*lives of varve: kafka.varve_lives could not be run")
        return {one["what"]: one for one in self.kept("test_run")["reached"]}

    def put_tests(self):
        self.put("CTestTestfile.cmake", "".join(
            f"add_test([=[{name}]=] sh -c [=[{command}]=])\n"
            f"set_tests_properties([=[{name}]=] PROPERTIES LABELS x {properties})\n"
            for name, (command, properties) in TESTS.items()))

    def test_what_ran_is_kept_and_what_failed_is_a_failure_of_what_it_counts(self):
        self.put_tests()
        reached = self.run_tests()
        self.assertEqual((reached["calls that fail"]["count"], reached["calls that fail"]["of"]), (3, 9))
        lost = reached["syncs that fail and lose pages"]
        self.assertEqual((lost["count"], lost["of"]), (2, 5))
        self.assertEqual({what: one["failures"] for what, one in reached.items() if one["failures"]}, {
            "canaries caught": ["canary.truncated_in_place failed"],
            "power cut on xfs": ["file_systems_test.PowerCutTest.NothingDurableIsLost/xfs failed"],
            "other endings": ["file_systems_test.ReadOnlyRemountTest.NothingDurableIsLost/xfs failed"],
            "lives of varve": ["kafka.varve_lives could not be run"],
            "kafka.judge_builds": ["kafka.judge_builds failed"]})
        self.assertEqual((reached["canaries caught"]["count"], reached["canaries caught"]["of"]), (1, 2))

    def test_reports_of_an_earlier_run_do_not_count(self):
        self.put_tests()
        reached = self.run_tests()
        self.assertEqual(reached["crash states"]["count"], 7)
        self.assertNotIn("kill", reached)

    def test_tests_that_count_nothing_are_not_run(self):
        self.put_tests()
        self.run_tests()
        self.assertEqual([name for name in ("broker", "log") if (self.build / name).exists()], [])

    def test_a_directory_without_tests_is_an_error(self):
        for put in (lambda: None, lambda: self.put("CTestTestfile.cmake", "")):
            put()
            report = self.report()
            self.assertIn("build: a directory with built tests expected", report.stderr)
            self.assertEqual(report.returncode, 1)
        self.assertFalse((self.results / "test_run.json").exists())


if __name__ == "__main__":
    unittest.main()
