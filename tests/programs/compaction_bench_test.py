"""bench/compaction: runs, compares, and checks itself, on very little."""

import os
import pathlib
import subprocess
import tempfile
import unittest

PROGRAM = os.environ["PROGRAM"]
TIMEOUT_S = 60


class CompactionBenchTest(unittest.TestCase):
    def test_a_small_run(self):
        with tempfile.TemporaryDirectory(prefix="varve-bench-") as directory:
            done = subprocess.run([PROGRAM, directory, "20000", "2000", "2"], capture_output=True, text=True,
                                  timeout=TIMEOUT_S, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("20000 records of 2000 keys", done.stdout)
            for line in [r"varve Compact +\d", r"x a scan, the copy and the probes: \d+\.\d\d; at most",
                         r"x the same with two scans: +\d+\.\d\d \(", r"most memory: \d+\.\d MiB more"]:
                self.assertRegex(done.stdout, line)
            self.assertEqual(list(pathlib.Path(directory).iterdir()), [])

    def test_a_directory_that_is_none(self):
        done = subprocess.run([PROGRAM, "/dev/null"], capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        self.assertEqual((done.returncode, done.stderr), (3, "compaction: making /dev/null/varve-compaction-bench\n"))


if __name__ == "__main__":
    unittest.main()
