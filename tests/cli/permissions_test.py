"""What the user may not read or write: the system's refusal names the file, and nothing is changed."""

import unittest

from varve_command import VarveTest, files_of

READERS = [["read"], ["find", "--offset", 0], ["dump"], ["verify"], ["stat"]]
WRITERS = [["append"], ["repair", "--force"], ["truncate", "--to", 0], ["compact"]]


class PermissionsTest(VarveTest):
    def check_denied(self, command, partition, path):
        with self.subTest(command=command):
            result = self.unprivileged(command[0], partition, *command[1:], input="y\n")
            self.check_refused(result, 3, path, "Permission denied", "what to do: run the command as a user who may")

    def with_mode(self, path, mode):
        before = path.stat().st_mode
        path.chmod(mode)
        self.addCleanup(path.chmod, before)

    def test_a_segment_that_may_not_be_read(self):
        partition = self.append("t-0", ["x"])
        base = partition / f"{0:020}.log"
        self.with_mode(base, 0)
        for command in READERS:
            self.check_denied(command, partition, base)

    def test_a_directory_that_may_not_be_written(self):
        partition = self.append("t-0", ["x"])
        before = files_of(partition)
        for path in [*partition.iterdir(), partition]:
            self.with_mode(path, 0o555 if path == partition else 0o444)
        for command in WRITERS:
            self.check_denied(command, partition, partition)
        self.assertEqual(files_of(partition), before)

    def test_a_new_file_may_not_be_made(self):
        partition = self.append("t-0", ["x"])
        (partition / "varve.lock").unlink()
        before = files_of(partition)
        self.with_mode(partition, 0o555)
        for command in WRITERS:
            self.check_denied(command, partition, partition / "varve.lock")
        self.assertEqual(files_of(partition), before)

    def test_a_directory_whose_files_may_not_be_reached(self):
        partition = self.append("t-0", ["x"])
        self.with_mode(partition, 0o644)
        for command in [*READERS, *WRITERS, ["explain"], ["dump", "--as-opened"]]:
            self.check_denied(command, partition, partition)

    def test_a_directory_that_may_not_be_made(self):
        self.check_denied(["append"], self.directory / "t-0", self.directory / "t-0")
        self.assertFalse((self.directory / "t-0").exists())

    def test_the_worst_of_several_answers_is_the_exit_status(self):
        partition = self.append("t-0", range(200), "--batch-records", 1, "--segment-bytes", 512)
        segments = [segment["base"] for segment in self.run_ok("stat", partition, "--json").json()["segments"]]
        unreadable, damaged = (partition / f"{base:020}.log" for base in segments[1:3])
        content = bytearray(damaged.read_bytes())
        content[16] = 9  # no magic that there is
        damaged.write_bytes(content)
        self.with_mode(unreadable, 0)
        offsets = [word for base in segments[1:3] for word in ("--offset", base)]
        result = self.unprivileged("find", partition, *offsets)
        self.check_refused(result, 3, unreadable, damaged)


if __name__ == "__main__":
    unittest.main()
