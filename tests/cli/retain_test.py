"""`varve retain`: which segments go, by which rule, and what is said of it."""

import json
import subprocess
import unittest

from varve_command import TIMEOUT_S, VARVE, VarveTest, files_of, varve

DAY_MS = 24 * 3600 * 1000
NOW_MS = 1_700_000_000_000


class RetainTest(VarveTest):
    def partition(self, ages_ms, segment_bytes=120):
        """A segment for each of these ages of its one record."""
        partition = self.directory / "orders-0"
        for number, age_ms in enumerate(ages_ms):
            record = f'{{"value":"record number {number}, which fills its segment","timestamp":{NOW_MS - age_ms}}}\n'
            self.run_ok("append", partition, "--format", "jsonl", "--segment-bytes", segment_bytes, input=record)
        self.assertEqual(len(list(partition.glob("*.log"))), len(ages_ms))
        return partition

    def retain(self, partition, *options):
        return self.run_ok("retain", partition, "--now", NOW_MS, *options)

    def log_names(self, partition):
        return [int(path.stem) for path in sorted(partition.glob("*.log"))]

    def test_by_time(self):
        partition = self.partition([9 * DAY_MS, 8 * DAY_MS, DAY_MS, 0])
        summary = self.retain(partition, "--retention-ms", 7 * DAY_MS, "--json").json()
        self.assertEqual([(segment["segment"], segment["rule"]) for segment in summary["deleted"]],
                         [(0, "time"), (1, "time")])
        self.assertEqual((summary["log_start_offset_before"], summary["log_start_offset"], summary["log_end_offset"]),
                         (0, 2, 4))
        self.assertEqual(summary["bytes_before"], 2 * summary["bytes"])
        self.assertEqual(summary["bytes"], sum(path.stat().st_size for path in partition.glob("*.log")))
        self.assertIsNone(summary["blocked"])
        self.assertEqual(self.log_names(partition), [2, 3])
        self.assertEqual(list(partition.glob("*.deleted")), [])
        self.assertEqual(len(self.run_ok("read", partition).text.splitlines()), 2)
        self.assertTrue(self.run_ok("verify", partition, "--json").json()["ok"])

    def test_producers_are_forgotten_by_the_time_it_is_taken_to_be(self):
        for now_ms, left in [(NOW_MS, "all"), (NOW_MS + 2 * DAY_MS, "none")]:
            self.check_producers_left(left, "retain", "--before-offset", 1, "--now", now_ms)

    def test_by_size_in_words(self):
        partition = self.partition([0, 0, 0])
        one = self.run_ok("stat", partition, "--json").json()["bytes"] // 3
        self.assertIn("nothing to delete; offsets 0 to 3",
                      self.retain(partition, "--retention-bytes", 2 * one + 1).text)
        text = self.retain(partition, "--retention-bytes", 2 * one).text
        self.assertIn("deleted 1 segments", text)
        self.assertIn("offsets 1 to 3", text)
        self.assertRegex(text, r"segment 0, \d+ bytes: by size\n")
        self.retain(partition, "--retention-bytes", "1GiB")
        self.assertEqual(self.log_names(partition), [1, 2])

    def test_a_dump_of_segments_that_go_meanwhile_is_whole(self):
        partition = self.append("t-0", range(4000), "--batch-records", 1, "--segment-bytes", "16KiB")
        for options in [["--batches-only"], [], ["--as-opened"]]:
            before = self.run_ok("dump", partition, "--json", *options).json()
            with subprocess.Popen([VARVE, "dump", partition, "--json", *options], stdout=subprocess.PIPE) as dump:
                head = dump.stdout.readline()
                # The pipe is full now, and the dump waits before it comes to the indexes.
                self.run_ok("retain", partition, "--before-offset", before["segments"][len(before["segments"]) // 3]["base"])
                self.assertEqual(json.loads(head + dump.stdout.read()), before)
                self.assertEqual(dump.wait(TIMEOUT_S), 0)

    def test_before_an_offset(self):
        partition = self.partition([0, 0, 0])
        summary = self.retain(partition, "--before-offset", 2, "--json").json()
        self.assertEqual([segment["rule"] for segment in summary["deleted"]], ["offset", "offset"])
        self.assertEqual(self.log_names(partition), [2])
        self.check_refused(varve("retain", partition, "--before-offset", 4), 1, "expected 2 to 3")

    def test_everything(self):
        partition = self.partition([9 * DAY_MS, 8 * DAY_MS])
        self.retain(partition, "--retention-ms", 7 * DAY_MS)
        self.assertEqual(self.log_names(partition), [2])
        self.assertEqual(self.run_ok("read", partition).text, "")
        self.run_ok("append", partition, input="more\n")
        self.assertEqual(self.run_ok("read", partition, "--format", "jsonl").json()["offset"], 2)

    def test_a_record_from_the_future_is_told_of_and_the_advice_helps(self):
        partition = self.partition([-365 * DAY_MS, 9 * DAY_MS, 8 * DAY_MS, 0])
        text = self.retain(partition, "--retention-ms", 7 * DAY_MS).text
        for part in ["nothing to delete", "stuck: 2 segments", "behind segment 0", "2024-11-13", "--before-offset 1`"]:
            self.assertIn(part, text)
        blocked = self.retain(partition, "--retention-ms", 7 * DAY_MS, "--json").json()["blocked"]
        self.assertEqual((blocked["segment"], blocked["next_offset"], blocked["ahead_ms"], blocked["due_segments"]),
                         (0, 1, 365 * DAY_MS, 2))
        self.retain(partition, "--retention-ms", 7 * DAY_MS, "--before-offset", blocked["next_offset"])
        self.assertEqual(self.log_names(partition), [3])

    def test_a_dry_run_and_one_with_nothing_to_do_change_no_byte(self):
        partition = self.partition([9 * DAY_MS, 0])
        before = files_of(partition)
        text = self.retain(partition, "--retention-ms", 7 * DAY_MS, "--dry-run").text
        self.assertIn("would delete 1 segments", text)
        self.assertRegex(text, r"segment 0, \d+ bytes: by time\n")
        self.assertTrue(self.retain(partition, "--retention-ms", 0, "--dry-run", "--json").json()["dry_run"])
        self.retain(partition, "--retention-ms", 10 * DAY_MS)
        self.assertEqual(files_of(partition), before)

    def test_beside_a_writer(self):
        partition = self.partition([9 * DAY_MS])
        self.hold_as_writer(partition)
        for options, status in [([], 3), (["--dry-run"], 0)]:
            result = varve("retain", partition, "--retention-bytes", 0, *options)
            self.assertEqual(result.status, status, result.errors)


class KafkaDirectoryTest(VarveTest):
    def test_marks_of_kafka(self):
        partition = self.copy_case("log-start-advanced")
        marker = partition.parent / ".kafka_cleanshutdown"
        marker.touch()
        self.run_ok("retain", partition, "--before-offset", 333)
        self.assertTrue(marker.exists())  # nothing was to be done
        result = self.run_ok("retain", partition, "--before-offset", 450, "--json")
        self.assertIn("removed .kafka_cleanshutdown", result.errors)
        self.assertFalse(marker.exists())
        self.assertEqual([segment["segment"] for segment in result.json()["deleted"]], [301])
        begins = result.json()["broker_log_start_offset"]
        checkpoint = (partition.parent / "log-start-offset-checkpoint").read_text()
        self.assertEqual(checkpoint.split()[-1], "333")  # never raised: Kafka begins at its first segment, or above
        self.assertEqual(self.run_ok("stat", partition, "--json").json()["log_start_offset"], 450)
        epochs = (partition / "leader-epoch-checkpoint").read_text().split()
        self.assertEqual(epochs[-1], "450")
        self.assertEqual(begins, int(min(partition.glob("*.log")).stem))

    def test_what_a_broker_brings_back_is_told(self):
        """A log start inside a segment is in varve's own file, which no broker reads."""
        partition = self.copy_case("log-start-advanced")
        for dry_run in (("--dry-run",), (), ()):  # and again, with nothing left to be done
            told = self.run_ok("retain", partition, "--before-offset", 340, *dry_run).text
            self.assertIn("a broker will serve from offset 333 on, as its log-start-offset-checkpoint is not raised", told)
            self.assertIn("kafka-delete-records.sh", told)
        summary = self.run_ok("retain", partition, "--before-offset", 340, "--json").json()
        self.assertEqual((summary["log_start_offset"], summary["broker_log_start_offset"]), (340, 333))

    def test_a_partition_by_itself_has_no_broker(self):
        partition = self.append("alone-0", range(10))
        summary = self.run_ok("retain", partition, "--before-offset", 3, "--json").json()
        self.assertIsNone(summary["broker_log_start_offset"])
        self.assertNotIn("broker", self.run_ok("retain", partition, "--before-offset", 4).text)


if __name__ == "__main__":
    unittest.main()
