"""bench/check: a slowed build is caught, an equal one passes, whatever the noise; by programs that serve made-up rounds."""

import os
import pathlib
import subprocess
import sys
import tempfile
import textwrap
import unittest

BENCH = pathlib.Path(os.environ["BENCH"])
TIMEOUT_S = 120
sys.path.append(str(BENCH / "support"))
import spread

# Serves two works as bench/driver does: ns, for which less is better, and a rate. What a round gives is 100 units with the
# noise of a seed, times what the build is slower by.
SERVER = """\
#!{python}
import json, random, sys
noise = random.Random({seed})
print(json.dumps({{"subject": "varve", "works": [
    {{"work": work, "figures": [{{"name": "time", "unit": "ns", "better": better}},
                               {{"name": "none", "unit": "ns", "better": "less"}}],
      "subjects": [{{"name": "limit", "beside": []}}, {{"name": "varve", "beside": []}}]}}
    for work, better in (("append", "less"), ("scan", "more"))]}}), flush=True)
for round, line in enumerate(sys.stdin):
    work = line.strip()
    slowed = {slowed} if round >= {from_round} and round < {to_round} else 1
    value = 100 * (1 + {noise} * noise.random()) * (slowed if work == "append" else 1 / slowed)
    print(json.dumps({{"work": work, "round": [{{"subject": "limit", "values": [1000 * noise.random(), None]}},
                                             {{"subject": "varve", "values": [value, None]}}]}}), flush=True)
"""


class BenchCheckTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="varve-check-test-")
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)

    def build(self, name, text):
        program = self.directory / name / "bench" / "varve_bench"
        program.parent.mkdir(parents=True)
        program.write_text(text)
        program.chmod(0o755)
        return program.parents[1]

    def served(self, name, seed, slowed=1.0, noise=0.05, from_round=0, to_round=10**9):
        return self.build(name, SERVER.format(python=sys.executable, seed=seed, slowed=slowed, noise=noise,
                                              from_round=from_round, to_round=to_round))

    def check(self, a, b, status, *options):
        done = subprocess.run([BENCH / "check", a, b, f"--directory={self.directory}", *options], capture_output=True,
                              text=True, timeout=TIMEOUT_S, check=False)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done

    def test_equal_builds_pass(self):
        for seed in range(3):
            with self.subTest(seed=seed):
                done = self.check(self.served(f"a{seed}", seed), self.served(f"b{seed}", 100 + seed), 0)
                self.assertIn("Nothing is slower.", done.stdout)
                self.assertIn("append, varve, time: ", done.stdout)
                self.assertIn("scan, varve, time: ", done.stdout)
                self.assertNotIn("limit", done.stdout)

    def test_a_slowed_build_is_caught_in_what_should_be_less_and_in_what_should_be_more(self):
        done = self.check(self.served("a", 1), self.served("b", 2, slowed=1.15), 1)
        self.assertIn("2 slower:\n  append, varve, time: 1.1", done.stdout)
        self.assertRegex(done.stdout, r"2 slower:\n.*\n  scan, varve, time: 1\.1")

    def test_a_quicker_build_passes(self):
        self.check(self.served("a", 1), self.served("b", 2, slowed=0.5), 0)

    def test_less_than_the_tolerance_passes(self):
        a, b = self.served("a", 1, noise=0.001), self.served("b", 2, slowed=1.05, noise=0.001)
        self.check(a, b, 1)
        self.check(a, b, 0, "--tolerance=0.1")

    def test_what_was_slow_for_a_while_is_measured_again_and_passes(self):
        done = self.check(self.served("a", 1), self.served("b", 2, slowed=2.0, to_round=10), 0)
        self.assertIn("SLOWER append, varve, time: ", done.stdout)
        self.assertIn("append looks slower; measuring again with 18 rounds", done.stdout)

    def test_noise_beyond_the_difference_passes(self):
        self.check(self.served("a", 1, noise=3.0), self.served("b", 2, slowed=1.1, noise=3.0), 0)

    def test_a_program_that_ends_early(self):
        failing = self.build("failing", f"#!{sys.executable}\nimport sys\nsys.exit('broken')\n")
        done = self.check(self.served("a", 1), failing, 2)
        self.assertIn("an introduction expected, found ''; it ended with status 1", done.stderr)

    def test_builds_that_measure_different_works(self):
        other = self.build("other", textwrap.dedent(f"""\
            #!{sys.executable}
            import json, sys
            print(json.dumps({{"subject": "varve", "works": []}}), flush=True)
            sys.stdin.read()
            """))
        done = self.check(self.served("a", 1), other, 2)
        self.assertIn("not compared, as the builds differ in what they measure: append, scan", done.stdout)
        self.assertIn("no work in common", done.stderr)

    def test_mistakes(self):
        a = self.served("a", 1)
        self.assertIn("varve_bench is not there", self.check(a, self.directory, 2).stderr)
        self.assertIn("at least 3 rounds", self.check(a, a, 2, "--rounds=2").stderr)


class SpreadTest(unittest.TestCase):
    def test_the_interval_holds_the_ratio_and_narrows_without_noise(self):
        least, most = spread.ratio_interval([10, 10, 10, 10], [12, 12, 12, 12], 0.99)
        self.assertEqual((least, most), (1.2, 1.2))
        least, most = spread.ratio_interval([10, 11, 12, 13, 14], [13, 12, 15, 14, 11], 0.99)
        self.assertLess(least, 1)
        self.assertGreater(most, 1)

    def test_what_slows_both_in_a_turn_is_no_noise(self):
        base = [10, 100, 20, 50, 10, 30, 80]
        self.assertEqual(spread.ratio_interval(base, [1.5 * value for value in base], 0.99), (1.5, 1.5))

    def test_values_of_nothing(self):
        self.assertEqual(spread.ratio(0, 0), 1)
        self.assertEqual(spread.ratio(3, 0), float("inf"))
        self.assertIsNone(spread.median([None, None]))
        self.assertEqual(spread.median([None, 3, 1]), 2)


if __name__ == "__main__":
    unittest.main()
