"""Every canary fits the library as it is, and names test programs that there are."""

import os
import re
import unittest

from canary import parse_canary
from catch import ROOT, canaries, read_file


def test_programs():
    programs = set()
    for directory, _, names in os.walk(os.path.join(ROOT, "tests")):
        if "CMakeLists.txt" in names:
            programs.update(re.findall(r"^ *varve_test\((\w+)", read_file(directory, "CMakeLists.txt"), re.MULTILINE))
    return programs


class CanaryFitTest(unittest.TestCase):
    def test_the_text_before_each_change_is_in_the_source_and_the_programs_exist(self):
        programs = test_programs()
        self.assertTrue(canaries())
        for path in canaries():
            with self.subTest(os.path.basename(path)):
                canary = parse_canary(read_file(ROOT, path))
                canary.changed_files(lambda source: read_file(ROOT, source))
                self.assertEqual({catcher.program for catcher in canary.catchers} - programs, set())


if __name__ == "__main__":
    unittest.main()
