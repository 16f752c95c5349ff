"""repair, and what the other commands do to a partition that has to be recovered."""

import unittest

from varve_command import VarveTest, files_of

LINES = [f"line {i} " + "x" * 50 for i in range(2000)]
SEGMENTS = ["--batch-records", 3, "--segment-bytes", "32KiB", "--now", 1_700_000_000_000]


class SoundDirectoryTest(VarveTest):
    def test_stays_as_it_is_byte_for_byte(self):
        kafka = self.copy_case("plain")
        for partition in [self.append("t-0", LINES, *SEGMENTS), kafka]:
            before = files_of(partition), files_of(partition.parent)
            for options in [[], ["--all"], ["--all", "--on-damage", "truncate"], ["--dry-run", "--all"]]:
                with self.subTest(partition=partition, options=options):
                    result = self.run_ok("repair", partition, *options)
                    self.assertIn("clean and sound, nothing to repair", result.text)
                    self.assertEqual(result.errors, "")
                    self.assertEqual((files_of(partition), files_of(partition.parent)), before)


class AllTest(VarveTest):
    def recovered(self, partition, *options):
        report = self.run_ok("repair", partition, "--json", *options).json()["report"]
        return report["segments_recovered"], report["segments"]

    def test_every_segment_is_recovered_where_anything_is_wrong(self):
        partition = self.append("t-0", LINES, *SEGMENTS)
        last = max(partition.glob("*.log"))
        torn = last.read_bytes() + b"\x14torn"
        for options in [["--dry-run"], []]:
            last.write_bytes(torn)
            few, segments = self.recovered(partition, *options)
            self.assertLess(few, segments)
            last.write_bytes(torn)
            self.assertEqual(self.recovered(partition, "--all", *options), (segments, segments))
        self.assertEqual(self.run_ok("read", partition).text.splitlines(), LINES)

    def test_force_recovers_what_is_sound(self):
        partition = self.append("t-0", LINES, *SEGMENTS)
        few, segments = self.recovered(partition, "--force")
        self.assertLess(few, segments)
        self.assertEqual(self.recovered(partition, "--force", "--all"), (segments, segments))


if __name__ == "__main__":
    unittest.main()
