"""The mutants of a seed are always the same, and only tests that fail, or never end, kill one."""

import pathlib
import tempfile
import unittest
import unittest.mock

from canary import CanaryError
import judge
from mutant import Mutant, may_compile, mutants_in_order

SOURCE = """\
// a < b
#include <vector>

int Least(int a, int b) {
  if (a < b) return a;
  return Error("a < b");
  return b + 1;
}
"""


def rewritten(line):
    """As the real rules, which need the network, for two operators."""
    return [line.replace("<", ">")] * ("<" in line) + [line.replace("+", "-")] * ("+" in line)


class DrawTest(unittest.TestCase):
    def test_code_is_changed_and_nothing_else(self):
        self.assertCountEqual(map(str, mutants_in_order({"lib/a.cc": SOURCE}, 1, rewritten)),
                              ["lib/a.cc:5: if (a < b) return a;  ->  if (a > b) return a;",
                               "lib/a.cc:7: return b + 1;  ->  return b - 1;"])

    def test_a_seed_is_an_order(self):
        sources = {f"lib/{name}.cc": SOURCE for name in "abcdefgh"}
        draws = [list(mutants_in_order(sources, seed, rewritten)) for seed in (1, 1, 2)]
        self.assertEqual(draws[0], draws[1])
        self.assertNotEqual(draws[0], draws[2])
        self.assertCountEqual(draws[0], draws[2])

    def test_the_line_is_changed(self):
        mutant = Mutant("lib/a.cc", 7, "  return b + 1;\n", "  return b - 1;\n")
        self.assertEqual(mutant.changed(SOURCE), SOURCE.replace("b + 1", "b - 1"))

    def test_a_line_that_is_another_one_is_refused(self):
        with self.assertRaisesRegex(ValueError, "lib/a.cc:6: expected .*b \\+ 1.*found .*Error"):
            Mutant("lib/a.cc", 6, "  return b + 1;\n", "").changed(SOURCE)


class MayCompileTest(unittest.TestCase):
    def test_operators_and_numbers_may(self):
        for before, after in [("a < b;", "a >= b;"), ("x->y = 64;", "x->y = -1;"), ("Go();", "/*Go();*/"),
                              ("F<int64_t>(a);", "/*F<int64_t>(a);*/"), ("break;", "/*break;*/")]:
            with self.subTest(after):
                self.assertTrue(may_compile(before, after))

    def test_types_may_not_nor_is_a_loop_left(self):
        for before, after in [("F<A> b;", "F<=A> b;"), ("int64_t b;", "int(64+1)_t b;"), ("Go();", "Go(); break;\n")]:
            with self.subTest(after):
                self.assertFalse(may_compile(before, after))


class OrderTest(unittest.TestCase):
    def test_the_nearest_tests_come_first(self):
        programs = ["base/path_test", "log/appender_test", "log/flusher_test", "log/verify_test", "record/batch_test",
                    "store/adopt_test"]
        self.assertEqual(judge.nearest_first(programs, "lib/log/flusher.cc", {"log/appender_test": 2, "log/flusher_test": 9}),
                         ["log/flusher_test", "log/verify_test", "log/appender_test", "store/adopt_test",
                          "base/path_test", "record/batch_test"])


class MiniatureBuild:
    """In place of a build: an object is its source without comments, and a program a script that may read it."""

    def __init__(self, programs):
        self._programs = programs

    def compile(self, root, path, changed, output, *options):
        text = pathlib.Path(changed).read_text()
        if "syntax" in text:
            raise CanaryError("does not compile")
        pathlib.Path(output).write_text(text.partition("//")[0])

    def link(self, program, objects, output):
        script = pathlib.Path(output)
        script.write_text(f"#!/bin/sh\nobject={objects[0]}\n{self._programs[program]}\n")
        script.chmod(0o755)

    def path_of(self, program):
        return "true" if "fails" not in program else "false"


class VerdictTest(unittest.TestCase):
    def verdict(self, after, programs):
        with tempfile.TemporaryDirectory() as root:
            source = pathlib.Path(root) / "lib/log/a.cc"
            source.parent.mkdir(parents=True)
            source.write_text("one\n")
            sut = judge.Judge(pathlib.Path(root), MiniatureBuild(programs), [f"log/{name}" for name in programs])
            self.assertEqual(sut.sound_programs(), [])
            return sut.verdict(Mutant("lib/log/a.cc", 1, "one\n", after))

    def test_a_failing_program_kills(self):
        programs = {"a_test": "true", "b_test": "grep -q one $object"}
        self.assertEqual(self.verdict("two\n", programs), ("killed", "log/b_test"))

    def test_what_nothing_notices_survives(self):
        self.assertEqual(self.verdict("two\n", {"a_test": "true", "b_test": "true"}), ("survived", ""))

    def test_what_does_not_compile_counts_for_nothing(self):
        self.assertEqual(self.verdict("syntax\n", {"a_test": "false"}), ("invalid", ""))

    def test_the_same_code_counts_for_nothing(self):
        self.assertEqual(self.verdict("one\n// more\n", {"a_test": "false"}), ("equal", ""))

    def test_programs_that_fail_anyway_are_told(self):
        sut = judge.Judge(pathlib.Path(), MiniatureBuild({}), ["log/fails_test", "log/a_test"])
        self.assertEqual(sut.sound_programs(), ["log/fails_test"])

    def run_script(self, command, timeout_s):
        with tempfile.TemporaryDirectory() as directory:
            script = pathlib.Path(directory, "a_test")
            script.write_text(f"#!/bin/sh\n{command}\n")
            script.chmod(0o755)
            return judge.run(script, timeout_s)

    def test_a_program_that_never_ends_has_failed(self):
        with unittest.mock.patch.object(judge, "LOOK_S", 0.05):
            self.assertTrue(self.run_script("exec sleep 0.2", timeout_s=60))
            self.assertFalse(self.run_script("exec sleep 600", timeout_s=0.2))

    def test_a_program_that_uses_memory_without_end_has_failed(self):
        with unittest.mock.patch.multiple(judge, LOOK_S=0.05, MEMORY_BYTES=4096):
            self.assertFalse(self.run_script("exec sleep 0.2", timeout_s=60))


if __name__ == "__main__":
    unittest.main()
