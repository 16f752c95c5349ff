"""A long run goes on where it was stopped, and not with what others did."""

import pathlib
import tempfile
import unittest

from progress import Progress, digest_of


class ProgressTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="varve-progress-")
        self.addCleanup(directory.cleanup)
        self.path = pathlib.Path(directory.name, "long.json")

    def test_it_goes_on_where_it_was_stopped(self):
        first = Progress(self.path, "these")
        first.note("one", states=5)
        first.note("one", states=7, seed=2)
        first.note("other", states=1)
        self.assertEqual(Progress(self.path, "these").of, {"one": {"states": 7, "seed": 2}, "other": {"states": 1}})

    def test_others_do_not_go_on_unless_anew(self):
        Progress(self.path, "these").note("one", states=5)
        with self.assertRaisesRegex(SystemExit, "long.json was made by other programs or tests: --anew"):
            Progress(self.path, "others")
        self.assertEqual(Progress(self.path, "others", anew=True).of, {})
        self.path.write_text("{}")
        with self.assertRaisesRegex(SystemExit, "--anew"):
            Progress(self.path, "these")

    def test_a_digest_is_of_every_byte_in_its_file(self):
        one, other = self.path.with_name("one"), self.path.with_name("other")
        one.write_bytes(b"ab")
        other.write_bytes(b"c")
        before = digest_of([one, other])
        self.assertEqual(digest_of([one, other]), before)
        one.write_bytes(b"a")
        other.write_bytes(b"bc")
        self.assertNotEqual(digest_of([one, other]), before)
        one.write_bytes(b"ab")
        one.rename(self.path.with_name("renamed"))
        other.write_bytes(b"c")
        self.assertNotEqual(digest_of([self.path.with_name("renamed"), other]), before)


if __name__ == "__main__":
    unittest.main()
