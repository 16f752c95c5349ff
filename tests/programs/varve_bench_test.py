"""bench/driver: each work runs on hardly anything, checks what it measured, and tells it in the forms that are promised."""

import json
import os
import pathlib
import subprocess
import tempfile
import unittest

PROGRAM = os.environ["PROGRAM"]
TIMEOUT_S = 300


class VarveBenchTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="varve-bench-")
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)

    def run_program(self, *options, status=0, text=None, directory=None):
        done = subprocess.run([PROGRAM, f"--directory={directory or self.directory}", *options], capture_output=True,
                              text=True, input=text, timeout=TIMEOUT_S, check=False)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done

    def assert_nothing_is_left(self):
        self.assertEqual(list(self.directory.iterdir()), [])

    def test_every_work_is_measured(self):
        with tempfile.NamedTemporaryFile(suffix=".jsonl") as file:
            table = self.run_program("--tiny", "--rounds=2", f"--json={file.name}").stdout
            measurements = [json.loads(line) for line in file.read().splitlines()]
        self.assert_nothing_is_left()
        works = self.run_program("--list").stdout.split()
        self.assertGreater(len(works), 30)
        self.assertEqual(list(dict.fromkeys(one["work"] for one in measurements)), works)
        for one in measurements:
            with self.subTest(work=one["work"], subject=one["subject"], figure=one["figure"]):
                self.assertIn(one["better"], ("less", "more"))
                self.assertEqual(len(one["rounds"]), 2)
                self.assertLessEqual(one["least"], one["median"])
                self.assertLessEqual(one["median"], one["most"])
                self.assertAlmostEqual(one["median"], sum(one["rounds"]) / 2)
                self.assertIn(one["subject"], table)
        for work in works:
            with self.subTest(work=work):
                self.assertIn(f"\n{work}\n", table)
                of_varve = [one for one in measurements if one["work"] == work and one["subject"].startswith("varve")]
                self.assertTrue(any(one["ratios"] for one in of_varve), "varve is set beside nothing")

    def test_a_ratio_is_that_of_the_medians(self):
        with tempfile.NamedTemporaryFile(suffix=".jsonl") as file:
            self.run_program("--tiny", "--rounds=3", "--work=append.one_by_one", f"--json={file.name}")
            medians = {}
            ratios = []
            for line in file.read().splitlines():
                one = json.loads(line)
                medians[one["subject"]] = one["median"]
                ratios += [(one["subject"], ratio) for ratio in one["ratios"]]
        targets = 0
        for subject, ratio in ratios:
            self.assertAlmostEqual(ratio["ratio"], medians[subject] / medians[ratio["limit"]])
            if "target" in ratio:
                targets += 1
                self.assertEqual(ratio["met"], ratio["ratio"] <= ratio["target"])
        self.assertEqual(targets, 2)

    def test_serving_answers_each_line(self):
        answers = [json.loads(line) for line in self.run_program(
            "--tiny", "--serve", "--set=append_records=64", text="space.batches_of_100\nappend.tail\nappend.tail\n",
        ).stdout.splitlines()]
        self.assert_nothing_is_left()
        introduction, space, *tails = answers
        self.assertEqual(introduction["subject"], "varve")
        self.assertEqual(introduction["sizes"]["append_records"], 64)
        forms = {work["work"]: work for work in introduction["works"]}
        self.assertEqual([figure["name"] for figure in forms["append.tail"]["figures"]], ["p50", "p99", "p99.9", "max"])
        self.assertEqual(space["work"], "space.batches_of_100")
        self.assertEqual([one["subject"] for one in space["round"]], ["the format", "varve"])
        self.assertEqual(space["round"][0]["values"][0], space["round"][1]["values"][0])
        for tail in tails:
            self.assertEqual(tail["work"], "append.tail")
            for one in tail["round"]:
                self.assertEqual(one["values"], sorted(one["values"]))

    def test_mistakes(self):
        for options, message in [(["--work=nothing"], "there is no such work"),
                                 (["--set=nothing=3"], "no size can be set by nothing=3"),
                                 (["--set=lookups=0"], "no size can be set by lookups=0"),
                                 (["--set=lookups"], "no size can be set by lookups"),
                                 (["--tiny", "--work=space", "--json=/dev/null/x"], "writing /dev/null/x")]:
            with self.subTest(options=options):
                self.assertIn(message, self.run_program(*options, status=3).stderr)
        self.assertIn("making /dev/null/varve-bench-", self.run_program(status=3, directory="/dev/null").stderr)
        self.assertIn("there is no work nothing", self.run_program("--tiny", "--serve", status=3, text="nothing\n").stderr)


if __name__ == "__main__":
    unittest.main()
