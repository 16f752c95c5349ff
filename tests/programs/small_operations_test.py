"""bench/small_operations: each operation is measured, and none was done wrongly."""

import json
import os
import subprocess
import unittest

PROGRAM = os.environ["PROGRAM"]
TIMEOUT_S = 120


class SmallOperationsTest(unittest.TestCase):
    def test_every_operation_runs(self):
        done = subprocess.run([PROGRAM, "--benchmark_min_time=0.001", "--benchmark_format=json"], capture_output=True,
                              text=True, timeout=TIMEOUT_S, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        operations = json.loads(done.stdout)["benchmarks"]
        self.assertGreater(len(operations), 10)
        for one in operations:
            with self.subTest(name=one["name"]):
                self.assertNotIn("error_message", one)
                self.assertGreater(one["iterations"], 0)


if __name__ == "__main__":
    unittest.main()
