"""examples/keyed_state: settings survive the program, the latest counts, and old ones do not pile up."""

import os
import pathlib
import subprocess
import tempfile
import unittest

PROGRAM = os.environ["PROGRAM"]
TIMEOUT_S = 60
SEGMENT_BYTES = 64 * 1024


class KeyedStateTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="varve-example-")
        self.addCleanup(directory.cleanup)
        self.partition = pathlib.Path(directory.name) / "settings-0"

    def run_program(self, *arguments, status=0):
        done = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True, timeout=TIMEOUT_S,
                              check=False)
        self.assertEqual(done.returncode, status, done.stderr)
        return done

    def shown(self):
        return self.run_program(self.partition).stdout

    def test_each_start_finds_what_the_ones_before_have_set(self):
        self.assertEqual(self.shown(), "")
        for key, value in [("colour", "red"), ("size", "9"), ("colour", "blue"), ("empty", "")]:
            self.run_program(self.partition, "set", key, value)
        self.assertEqual(self.shown(), "colour = blue\nempty = \nsize = 9\n")
        self.run_program(self.partition, "unset", "size")
        self.run_program(self.partition, "unset", "never set")
        self.assertEqual(self.shown(), "colour = blue\nempty = \n")
        self.run_program(self.partition, "set", "size", "10")
        self.assertEqual(self.shown(), "colour = blue\nempty = \nsize = 10\n")

    def test_old_values_do_not_pile_up(self):
        self.run_program(self.partition, "set", "kept", "here")
        compacted = 0
        for number in range(20):
            result = self.run_program(self.partition, "set", "large", f"{number} " + "x" * (SEGMENT_BYTES // 3))
            compacted += "compacted: " in result.stderr
        self.assertGreater(compacted, 1)
        self.assertLess(sum(path.stat().st_size for path in self.partition.glob("*.log")), 4 * SEGMENT_BYTES)
        lines = self.shown().splitlines()
        self.assertEqual(lines[0], "kept = here")
        self.assertTrue(lines[1].startswith("large = 19 x"))
        self.assertEqual(len(lines), 2)

    def test_mistakes(self):
        for arguments in [[], [self.partition, "set", "key"], [self.partition, "unset"], [self.partition, "drop", "key"]]:
            with self.subTest(arguments=arguments):
                self.assertIn("usage", self.run_program(*arguments, status=2).stderr)
        self.assertFalse(self.partition.exists())
        self.assertIn("orders", self.run_program(self.partition.parent / "orders", status=1).stderr)


if __name__ == "__main__":
    unittest.main()
