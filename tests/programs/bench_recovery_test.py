"""bench/recovery: what it holds to its bounds and keeps, by a program that serves made-up rounds."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import textwrap
import unittest

BENCH = pathlib.Path(os.environ["BENCH"])
TIMEOUT_S = 120

# Serves the works of opening as bench/driver does. The first round, which warms up, is slow.
SERVER = """\
#!{python}
import json, sys
if "--full" not in sys.argv:
    sys.exit("the sizes of the report expected")
print(json.dumps({{"subject": "varve", "works": []}}), flush=True)
rounds = {{}}
for line in sys.stdin:
    work = line.strip()
    rounds[work] = rounds.get(work, 0) + 1
    slow = 1000 if rounds[work] == 1 else 1
    many = work == "open.segments"
    subjects = {{"listing the names": [1, None, None], "CRC over the mapped log": [100, None, None],
                "varve, clean stop": [200 * slow, {memory}, 5],
                "varve, unclean stop, durable point 0": [({one_by_one} if "one" in work else 120) * slow, 9, 5]}}
    print(json.dumps({{"work": work, "round": [{{"subject": name, "values": values}} for name, values in subjects.items()
                                             if not (many and "CRC" in name)]}}), flush=True)
"""


class BenchRecoveryTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="varve-recovery-test-")
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)

    def run_it(self, **served):
        program = self.directory / "bench/varve_bench"
        program.parent.mkdir(exist_ok=True)
        program.write_text(textwrap.dedent(SERVER).format(python=sys.executable, **served))
        program.chmod(0o755)
        run = subprocess.run([sys.executable, BENCH / "recovery", self.directory, "--rounds", "3"], text=True, check=False,
                             timeout=TIMEOUT_S, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             env={**os.environ, "VARVE_TEST_RESULTS": str(self.directory)})
        self.assertEqual(run.returncode, 0, run.stdout)
        return run.stdout, json.loads((self.directory / "recovery.json").read_text())["reached"][0]

    def test_all_bounds_met(self):
        told, kept = self.run_it(memory=30, one_by_one=130)
        self.assertNotIn("MISSED", told)
        self.assertEqual((kept["count"], kept["of"], kept["failures"]), (5, 5, []))

    def test_what_is_missed_is_told_and_no_failure(self):
        told, kept = self.run_it(memory=65, one_by_one=131)
        self.assertIn("MISSED memory for that: 65.00 MiB, at most 64 asked", told)
        self.assertIn("MISSED 1 GiB of one-record batches after an unclean stop: 1.31 x the checksum", told)
        self.assertEqual((kept["count"], kept["of"], kept["failures"]), (3, 5, []))
        self.assertEqual(kept["bounds"]["memory for that"], {"reached": 65, "at_most": 64, "unit": "MiB"})

    def test_without_the_driver_there_are_no_results(self):
        run = subprocess.run([sys.executable, BENCH / "recovery", self.directory], text=True, check=False,
                             timeout=TIMEOUT_S, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             env={**os.environ, "VARVE_TEST_RESULTS": str(self.directory)})
        self.assertEqual(run.returncode, 1)
        self.assertIn("varve_bench", run.stdout)
        self.assertFalse((self.directory / "recovery.json").exists())


if __name__ == "__main__":
    unittest.main()
