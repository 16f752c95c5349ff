"""read: every sound record is printed, whatever lies around it, and only what the isolation lets through."""

import unittest

import log_files
from varve_command import VarveTest, varve

CONTROL_BIT = 0x20
TRANSACTIONAL_BIT = 0x10
ATTRIBUTES = 22  # the low byte, within a batch


class DamageTest(VarveTest):
    LINES = [f"line {i}" for i in range(60)]

    def damaged(self, name, change):
        """A partition that was closed cleanly, and then had a batch in its middle changed; returns that batch too."""
        partition = self.append(name, self.LINES, "--batch-records", 5, "--segment-bytes", 512)
        batches = self.run_ok("dump", partition, "--json", "--batches-only").json()["batches"]
        batch = batches[len(batches) // 2]
        path = partition / f"{batch['segment']:020}.log"
        content = bytearray(path.read_bytes())
        change(content, batch["position"])
        path.write_bytes(content)
        return partition, batch

    def check_batch_is_missed(self, name, change, *options):
        partition, batch = self.damaged(name, change)
        result = varve("read", partition, *options)
        self.check_refused(result, 1, batch["base_offset"], batch["last_offset"])
        lost = range(batch["base_offset"], batch["last_offset"] + 1)
        self.assertEqual(result.text.splitlines(), [line for i, line in enumerate(self.LINES) if i not in lost])

    def test_a_bit_that_makes_a_batch_look_like_a_marker_does_not_hide_it(self):
        def flip(content, position):
            content[position + ATTRIBUTES] ^= CONTROL_BIT
        self.check_batch_is_missed("plain-0", flip)
        self.check_batch_is_missed("committed-0", flip, "--committed")

    def test_a_damaged_record_costs_its_batch_only(self):
        def flip(content, position):
            content[position + 70] ^= 1
        self.check_batch_is_missed("plain-0", flip)
        self.check_batch_is_missed("committed-0", flip, "--committed")

    def test_a_batch_of_another_length_costs_itself_at_most(self):
        def flip(content, position):
            content[position + 11] ^= 4
        self.check_batch_is_missed("plain-0", flip)
        self.check_batch_is_missed("committed-0", flip, "--committed")

    def test_a_batch_that_is_none_is_told_once_and_read_around(self):
        partition = self.append("t-0", self.LINES, "--batch-records", 5, "--index-interval-bytes", 256)
        batches = self.run_ok("dump", partition, "--json", "--batches-only").json()["batches"]
        batch = batches[len(batches) // 2]
        path = partition / f"{0:020}.log"
        content = bytearray(path.read_bytes())
        content[batch["position"] + 16] = 9  # no magic that there is
        path.write_bytes(content)
        for options in [[], ["--committed"]]:
            result = varve("read", partition, "--from-offset", batch["base_offset"], *options)
            self.check_refused(result, 1, f"position {batch['position']}")
            self.assertEqual(result.errors.count("varve read: "), 1, result.errors)
            self.assertEqual(result.text.splitlines(), self.LINES[batch["last_offset"] + 1:])


class IsolationTest(VarveTest):
    def test_a_damaged_abort_marker_does_not_make_its_transaction_committed(self):
        partition = self.directory / "t-0"
        log_files.write_log(partition, [log_files.data(0, ["aborted"], 1), log_files.marker(1, log_files.ABORT, 1)])
        log_files.write_log(partition, [log_files.data(2, ["committed"], 2), log_files.marker(3, log_files.COMMIT, 2),
                                        log_files.batch(4, [b"plain"])], 2)
        self.run_ok("append", partition)  # makes the indexes, and closes cleanly
        self.assertEqual(self.run_ok("read", partition, "--committed").text, "committed\nplain\n")
        path = partition / f"{0:020}.log"
        path.write_bytes(path.read_bytes()[:-2] + b"\7\7")
        result = varve("read", partition, "--committed")
        self.check_refused(result, 1, "offsets 1 to 1")
        self.assertEqual(result.text, "committed\nplain\n")

    def test_a_transaction_that_aborted_above_the_last_stable_offset_is_left_out(self):
        partition = self.directory / "t-0"
        log_files.write_log(partition, [log_files.data(0, ["aborted"], 1), log_files.data(1, ["open"], 2),
                                        log_files.marker(2, log_files.ABORT, 1)])
        self.assertEqual(self.run_ok("stat", partition, "--json").json()["last_stable_offset"], 1)
        self.assertEqual(self.run_ok("read", partition, "--committed").text, "")
        self.assertEqual(self.run_ok("read", partition).text, "aborted\nopen\n")

    def test_a_transaction_that_committed_above_the_last_stable_offset_is_printed(self):
        partition = self.directory / "t-0"
        log_files.write_log(partition, [log_files.data(0, ["committed"], 1), log_files.data(1, ["open"], 2),
                                        log_files.marker(2, log_files.COMMIT, 1), log_files.batch(3, [b"plain"])])
        self.assertEqual(self.run_ok("read", partition, "--committed").text, "committed\n")


if __name__ == "__main__":
    unittest.main()
