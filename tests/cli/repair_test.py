"""repair, and what the other commands do to a partition that has to be recovered."""

import subprocess
import unittest

from varve_command import TIMEOUT_S, VARVE, VarveTest, files_of, varve

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


class IndexIntervalTest(VarveTest):
    """Whoever opens a partition keeps to the interval that it was written with."""

    INTERVAL = ["--index-interval-bytes", 256]

    def indexes_of(self, partition):
        return {name: content for name, content in files_of(partition).items() if name.endswith((".index", ".timeindex"))}

    def killed(self, name):
        """A partition whose writer was killed, and which holds the lines."""
        partition = self.directory / name
        writer = subprocess.Popen([VARVE, "append", partition, *map(str, SEGMENTS + self.INTERVAL)],
                                  stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        writer.stdin.write("".join(f"{line}\n" for line in LINES).encode())
        writer.stdin.flush()
        self.wait_until(lambda: varve("read", partition).text.count("\n") == len(LINES))
        writer.kill()
        writer.stdin.close()
        writer.wait(TIMEOUT_S)
        return partition

    def test_after_an_unclean_stop(self):
        indexes = self.indexes_of(self.append("clean-0", LINES, *SEGMENTS, *self.INTERVAL))
        commands = [["truncate", "--to", len(LINES)], ["append"], ["repair"]]
        for command in commands:
            with self.subTest(command=command):
                partition = self.killed(f"{command[0]}-0")
                for name in self.indexes_of(partition):
                    (partition / name).unlink()
                self.run_ok(command[0], partition, *command[1:])
                self.assertEqual(self.indexes_of(partition), indexes)

    def test_stat_tells_of_no_rebuilding_that_opening_would_not_do(self):
        partition = self.killed("t-0")
        last = max(partition.glob("*.log")).stem  # whose indexes were in the memory of the writer
        findings = self.run_ok("stat", partition, "--json").json()["report"]["findings"]
        self.assertEqual({finding["file"] for finding in findings if finding["action"] == "rebuilt"},
                         {f"{last}.index", f"{last}.timeindex"})
        self.run_ok("append", partition)
        for name in self.indexes_of(partition):
            (partition / name).unlink()
        self.run_ok("repair", partition)
        self.assertEqual(self.run_ok("stat", partition, "--json").json()["report"]["findings"], [])

    def test_an_interval_that_is_asked_for_counts(self):
        partition = self.killed("t-0")
        self.run_ok("append", partition, "--index-interval-bytes", 1024)
        for name in self.indexes_of(partition):
            (partition / name).unlink()
        self.run_ok("repair", partition)
        self.assertEqual(self.indexes_of(partition),
                         self.indexes_of(self.append("u-0", LINES, *SEGMENTS, "--index-interval-bytes", 1024)))


if __name__ == "__main__":
    unittest.main()
