"""tests/report shows of each figure what was asked and reached, and a failure as a failure."""

import re
import subprocess
import sys
import unittest

import figures
import results
from results_case import ResultsCase

REPORT = results.ROOT / "tests/report"


class FiguresCase(ResultsCase):
    def keep(self, name, *entries, command="tests/x/long BUILD"):
        results.write(name, command, entries, 1)

    def told(self, name):
        return dict(figures.tell_all())[name]

    def report(self):
        return subprocess.run([sys.executable, REPORT], capture_output=True, text=True, check=False)


class FiguresTest(FiguresCase):
    def test_where_there_are_no_results_each_figure_says_what_makes_it(self):
        told = dict(figures.tell_all())
        self.assertEqual(list(told), [f"R{number}" for number in range(1, 14)])
        self.assertEqual({one.state for one in told.values()}, {figures.UNMEASURED})
        self.assertEqual(told["R1"].text, "crash states in a test run: 100,000 asked, not measured; tests/report --run "
                                          "BUILD makes it | crash states in long runs: 1,000,000 asked, not measured; "
                                          "tests/crash/long BUILD makes it")
        self.assertEqual(told["R12"].text,
                         "bounds of recovery in long runs: 100 % asked, not measured; bench/recovery BUILD makes it")
        unmade = figures.tell_part(figures.Part("wonders", long=7, kept_as="wonders"), figures.Evidence())
        self.assertEqual([one.text for one in unmade],
                         ["wonders in long runs: 7 asked, not measured; nothing makes wonders.json yet"])

    def test_each_command_is_there_or_said_not_to_be(self):
        for name, told in figures.tell_all():
            for command in re.findall(r"not measured; ((?:tests|bench)/\S+)[\w -]* makes it", told.text):
                self.assertTrue((results.ROOT / command).exists(), f"{name}: {command}")

    def test_the_share_reached_is_told_with_its_seeds(self):
        self.keep("crash", results.one("crash states", 250_000, first_seed=1, next_seed=801))
        told = self.told("R1")
        self.assertEqual(told.state, figures.SHARE)
        self.assertRegex(told.text, r"crash states in long runs: 250,000 of 1,000,000 \(25 %\), 0 failures "
                                    r"\(\d{4}-\d\d-\d\d \d\d:\d\d \w+.*: tests/x/long BUILD, seeds 1 to 800\)")

    def test_a_small_share_is_not_rounded_to_nothing(self):
        self.keep("fuzz", results.one("batch", 7000), results.one("time_index", 5000))
        self.assertIn("executions in long runs: 12,000 of 1,000,000,000 (0.0012 %), 0 failures", self.told("R9").text)

    def test_reached_is_what_both_runs_have_reached(self):
        self.keep("test_run", results.one("crash states", 100_000))
        self.keep("crash", results.one("crash states", 999_999))
        self.assertEqual(self.told("R1").state, figures.SHARE)
        self.keep("crash", results.one("crash states", 1_000_000))
        self.assertEqual(self.told("R1").state, figures.REACHED)
        self.keep("test_run", results.one("crash states", 99_999))
        self.assertEqual(self.told("R1").state, figures.SHARE)

    def test_parts_are_counted_each_on_its_own(self):
        self.keep("file_systems", results.one("power cut on xfs", 5000), results.one("power cut on btrfs", 5000),
                  results.one("shutdown on xfs", 600), results.one("kill", 300))
        text = self.told("R2").text
        self.assertIn("power cuts in long runs: 10,000 of 10,000, ", text)
        self.assertIn("shutdowns in long runs: 600 of 10,000 (6 %), ", text)
        self.assertIn("kills in long runs: 300 of 10,000 (3 %), ", self.told("R3").text)

    def test_a_share_may_be_asked(self):
        for core, recovery, state in ((95, 100, figures.REACHED), (94, 100, figures.SHARE), (95, 99, figures.SHARE)):
            self.keep("mutants", results.one("mutants noticed", 450, of=500))
            self.keep("coverage", results.one("branches of the core", core, of=100),
                      results.one("branches of recovery", recovery, of=100))
            told = self.told("R13")
            self.assertEqual(told.state, state)
            self.assertIn(f"branches of the core in long runs: {core} of 100 ({core} %, 95 % asked), 0 failures", told.text)

    def test_some_of_all_is_enough_for_a_test_run(self):
        self.keep("test_run", results.one("calls that fail", 5, of=200))
        self.keep("faults", results.one("calls that fail", 200, of=200))
        self.assertEqual(self.told("R4").state, figures.REACHED)
        self.keep("faults", results.one("calls that fail", 199, of=200))
        self.assertEqual(self.told("R4").state, figures.SHARE)

    def test_what_belongs_to_no_figure_is_told_besides(self):
        self.keep("canaries", results.one("canaries caught", 45, of=46))
        self.assertRegex(self.told("canaries").text, r"^canaries caught: 45 of 46 \(97.8 %\), 0 failures")


class FailuresTest(FiguresCase):
    def test_a_failure_shows_whatever_else_was_reached(self):
        self.keep("test_run", results.one("lives of varve", 200))
        self.keep("kafka", results.one("lives carried out by varve", 5000),
                  results.one("lives carried out by kafka", 5000, ["life 7 differs"]))
        told = self.told("R8")
        self.assertEqual(told.state, figures.FAILED)
        self.assertIn("directories in long runs: 10,000 of 10,000, FAILED: lives carried out by kafka: life 7 differs (",
                      told.text)

    def test_of_many_failures_a_few_are_told_and_all_are_counted(self):
        self.keep("crash", results.one("crash states", 9, [f"seed {seed}" for seed in range(8)]))
        self.assertRegex(self.told("R1").text, "seed 2 and 5 more")

    def test_a_failure_is_one_of_each_figure_that_it_belongs_to(self):
        self.keep("crash", results.one("crash states", 9, ["seed 1"]))
        self.assertEqual([name for name, told in figures.tell_all() if told.state == figures.FAILED], ["R1", "R7"])

    def test_a_file_that_cannot_be_read_fails_by_its_name_and_hides_nothing_else(self):
        (self.results / "crash.json").write_text("{")
        (self.results / "canaries.json").write_text("")
        self.keep("fuzz", results.one("batch", 10**9))
        told = dict(figures.tell_all())
        self.assertEqual(told["R9"].state, figures.REACHED)
        self.assertEqual(told["R1"].state, figures.FAILED)
        self.assertIn("crash.json: results of tests in JSON expected", told["R1"].text)
        self.assertIn("canaries.json: results of tests in JSON expected", told["canaries"].text)


class ReportTest(FiguresCase):
    def test_it_prints_a_line_each_and_ends_with_0_where_nothing_failed(self):
        self.keep("fuzz", results.one("batch", 10**9))
        self.keep("canaries", results.one("canaries caught", 45, of=46))
        report = self.report()
        self.assertEqual([line.split()[0] for line in report.stdout.splitlines()], [*figures.FIGURES, "canaries"])
        self.assertEqual((report.returncode, report.stderr), (0, ""))

    def test_it_ends_with_1_where_anything_failed(self):
        for entry in (results.one("canaries caught", 45, ["missing_sync is not caught"], of=46),
                      results.one("canaries caught", 0, ["missing_sync is not caught"], of=46)):
            self.keep("canaries", entry)
            report = self.report()
            self.assertIn("FAILED: canaries caught: missing_sync is not caught", report.stdout)
            self.assertEqual(report.returncode, 1)

    def test_it_ends_with_1_where_a_file_cannot_be_read(self):
        (self.results / "fuzz.json").write_text("{")
        report = self.report()
        self.assertIn("fuzz.json: results of tests in JSON expected", report.stdout)
        self.assertEqual((report.returncode, report.stderr), (1, ""))


class KeptResultsTest(unittest.TestCase):
    def test_the_results_that_are_kept_here_can_be_read(self):
        for path in (results.ROOT / "tests/results").glob("*.json"):
            self.assertIsNotNone(results.read(path.stem))


if __name__ == "__main__":
    unittest.main()
