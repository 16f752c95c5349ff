"""Below a Kafka data directory: its marks are honoured, by whatever path the partition is named, and nothing is changed
before it is known that the change will succeed."""

import json
import shutil
import unittest

from varve_command import VarveTest, files_of, varve

HIGH_WATERMARKS = "replication-offset-checkpoint"
RECOVERY_POINTS = "recovery-point-offset-checkpoint"
CLEAN_MARKER = ".kafka_cleanshutdown"


def tree_of(partition):
    return files_of(partition), files_of(partition.parent)


class SymlinkTest(VarveTest):
    def linked(self):
        partition = self.copy_case("plain")
        link = self.directory / "link-0"
        link.symlink_to(partition)
        return partition, link

    def test_a_running_broker_keeps_what_a_link_leads_to(self):
        partition, link = self.linked()
        lock = self.hold_as_broker(partition)
        before = tree_of(partition)
        for path in [link, f"{link}/", f"{link}/../{partition.name}"]:
            for result in [varve("append", path, input="x\n"), varve("truncate", path, "--to", 0),
                           varve("repair", path, "--force")]:
                self.check_refused(result, 3, lock)
        self.assertEqual(tree_of(partition), before)

    def test_a_write_through_a_link_removes_the_clean_marker(self):
        partition, link = self.linked()
        result = self.run_ok("append", link, input="x\n")
        self.assertIn(f"removed {CLEAN_MARKER}", result.errors)
        self.assertFalse((partition.parent / CLEAN_MARKER).exists())
        self.run_ok("truncate", link, "--to", 100, "--whole-batch")
        self.assertLessEqual(int((partition.parent / RECOVERY_POINTS).read_text().split()[-1]), 100)


class TruncateTest(VarveTest):
    def test_inside_a_batch_nothing_is_changed(self):
        for partition in [self.copy_case("plain"), self.append("t-0", range(2000), "--batch-records", 10)]:
            batches = self.run_ok("dump", partition, "--json", "--batches-only").json()["batches"]
            batch = next(batch for batch in batches if batch["count"] > 1)
            (partition / "varve.state").unlink(missing_ok=True)
            before = tree_of(partition)
            self.check_refused(varve("truncate", partition, "--to", batch["last_offset"]), 2, batch["base_offset"],
                               batch["last_offset"])
            self.assertEqual(tree_of(partition), before)

    def test_checkpoints_are_lowered_before_the_log_is_cut(self):
        partition = self.copy_case("plain")
        (partition.parent / f"{RECOVERY_POINTS}.tmp").mkdir()  # where the new checkpoint would be written
        result = varve("truncate", partition, "--to", 0)
        self.assertNotEqual(result.status, 0)
        self.assertIn(RECOVERY_POINTS, result.errors)
        self.assertEqual(self.run_ok("stat", partition, "--json").json()["log_end_offset"], 1399)

    def test_checkpoints_are_lowered_to_where_opening_ends_the_log(self):
        for command in ["append", "truncate", "repair"]:
            with self.subTest(command=command):
                shutil.rmtree(self.directory / "plain", ignore_errors=True)
                partition = self.copy_case("plain")
                (partition.parent / CLEAN_MARKER).unlink()
                (partition.parent / RECOVERY_POINTS).write_text("0\n1\nplain 0 0\n")
                high_watermarks = partition.parent / HIGH_WATERMARKS
                high_watermarks.write_text("0\n1\nplain 0 1399\n")
                log = max(partition.glob("*.log"))
                log.write_bytes(log.read_bytes()[:-5])
                torn = files_of(partition)[log.name]
                log_end = self.run_ok("stat", partition, "--json").json()["log_end_offset"]
                self.assertLess(log_end, 1399)
                options = ["--to", log_end] if command == "truncate" else []
                obstacle = partition.parent / f"{HIGH_WATERMARKS}.tmp"  # where the new checkpoint would be written
                obstacle.mkdir()
                result = varve(command, partition, *options, input="x\n")
                self.assertNotEqual(result.status, 0)
                self.assertIn(HIGH_WATERMARKS, result.errors)
                self.assertEqual(files_of(partition)[log.name], torn)
                obstacle.rmdir()
                self.run_ok(command, partition, *options, input="x\n")
                self.assertEqual(high_watermarks.read_text(), f"0\n1\nplain 0 {log_end}\n")

    def test_checkpoints_are_lowered_before_repair_cuts(self):
        partition = self.copy_case("plain")
        log = partition / f"{0:020}.log"
        content = bytearray(log.read_bytes())
        content[70] ^= 1
        log.write_bytes(content)
        before = files_of(partition)[log.name]
        (partition.parent / f"{RECOVERY_POINTS}.tmp").mkdir()
        result = varve("repair", partition, "--force", "--all", "--on-damage", "truncate")
        self.assertNotEqual(result.status, 0)
        self.assertIn(RECOVERY_POINTS, result.errors)
        self.assertEqual(files_of(partition)[log.name], before)


class LockTest(VarveTest):
    def test_a_command_that_is_refused_the_lock_leaves_the_clean_marker(self):
        partition = self.copy_case("plain")
        holder = self.hold_as_writer(partition)
        marker = partition.parent / CLEAN_MARKER
        self.assertFalse(marker.exists())
        marker.touch()
        for command in [["append"], ["truncate", "--to", 0], ["repair"], ["repair", "--force"]]:
            with self.subTest(command=command):
                result = varve(command[0], partition, *command[1:], input="x\n")
                self.check_refused(result, 3, "open for writing elsewhere", f"process {holder.pid}")
                self.assertTrue(marker.exists())


class DumpTest(VarveTest):
    def recovery_point(self, partition):
        return self.run_ok("dump", partition, "--json", "--batches-only").json()["log"]["recovery_point"]

    def test_a_partition_alone_has_its_own_marks(self):
        self.assertEqual(self.recovery_point(self.append("t-0", range(20))), 20)

    def test_the_lower_of_both_recovery_points_counts(self):
        partition = self.copy_case("plain")
        self.assertEqual(self.recovery_point(partition), 1399)
        self.run_ok("append", partition, input="x\n")
        self.assertEqual(self.recovery_point(partition), 1399)
        checkpoint = partition.parent / RECOVERY_POINTS
        checkpoint.write_text("0\n1\nplain 0 9999\n")
        self.assertEqual(self.recovery_point(partition), 1400)

    def test_a_damaged_text_file_leaves_a_whole_document(self):
        for name in ["leader-epoch-checkpoint", "partition.metadata"]:
            path = self.directory / name
            path.write_text("nonsense\n")
            result = varve("dump", path, "--json")
            self.check_refused(result, 1, path)
            self.assertIsInstance(json.loads(result.text), dict)


class VerifyTest(VarveTest):
    def test_a_directory_that_only_has_a_partitions_name_is_passed_over(self):
        (self.directory / "notes-1").mkdir()
        (self.directory / "notes-1" / "readme.txt").write_text("nothing of Kafka's")
        self.append("t-0", ["x"])
        lines = self.run_ok("verify", self.directory, "--json").json_lines()
        self.assertEqual([line["dir"] for line in lines], [str(self.directory / "t-0")])

    def test_every_directory_has_its_line(self):
        partition = self.append("t-0", ["x"])
        missing = self.directory / "missing"
        result = varve("verify", missing, partition, "--json")
        self.check_refused(result, 3, missing)
        self.assertEqual([(line["dir"], line["ok"]) for line in result.json_lines()],
                         [(str(missing), False), (str(partition), True)])
        self.assertIn("no such directory", result.json_lines()[0]["error"])


class RepairTest(VarveTest):
    def test_the_summary_has_the_bytes_of_the_log(self):
        partition = self.append("t-0", range(20))
        log = partition / f"{0:020}.log"
        size = log.stat().st_size
        log.write_bytes(log.read_bytes() + b"\x14torn")
        self.assertEqual(self.run_ok("repair", partition, "--dry-run", "--json").json()["bytes"], size)
        self.assertEqual(log.stat().st_size, size + 5)
        self.assertEqual(self.run_ok("repair", partition, "--json").json()["bytes"], size)


if __name__ == "__main__":
    unittest.main()
