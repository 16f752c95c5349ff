"""Directories that the command wrote: Kafka finds in them what varve finds, trusts them, and rebuilds the same."""

import json
import os
import signal
import unittest

from agreement import KNOWN, Agreement, NamedExceptions, compare_files
from kafka_judge import Judge
from kafka_report import note
from varve_command import VarveTest, files_of, golden_cases, manifest_of

NOW_MS = 1_700_000_000_000
DAY_MS = 24 * 3600 * 1000
INTERVAL_BYTES = 512
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]


def json_lines(count, first=0, keys=None):
    """Records of every shape: with and without key, value and headers, short and long, times that jump back."""
    lines = []
    for i in range(first, first + count):
        record = {"timestamp": NOW_MS + 10 * i - 35 * (i % 4), "value": f"value {i} of " + "some " * (i % 23)}
        if keys is not None:
            record["key"] = f"key {i % keys}"
        elif i % 3 == 0:
            record["key"] = {"base64": "AP+A"} if i % 2 else f"ключ {i}"
        if i % 11 == 5:
            record["value"] = None
        if i % 13 == 7:
            record["value"] = ""
        if i % 5 == 1:
            record["headers"] = [["h", f"{i}"], ["h", None], ["", ""], ["überschrift", {"base64": "AAEC"}]]
        lines.append(json.dumps(record) + "\n")
    return "".join(lines)


class VarveWrittenTest(VarveTest):
    @classmethod
    def setUpClass(cls):
        cls.judge = Judge()
        cls.addClassCleanup(cls.judge.close)
        cls.exceptions = NamedExceptions(*KNOWN)
        cls.addClassCleanup(lambda: print(cls.exceptions.summary()))
        cls.addClassCleanup(lambda: note("directories of the command", exceptions=cls.exceptions.counts()))

    def write(self, name, lines, *options, segment_bytes=4096, interval_bytes=INTERVAL_BYTES, batch_records=5):
        partition = self.directory / name
        self.run_ok("append", partition, "--format", "jsonl", "--index-interval-bytes", interval_bytes,
                    "--segment-bytes", segment_bytes, "--batch-records", batch_records, *options, input=lines)
        return partition

    def check(self, partition, written_in_one_go=False, interval_bytes=INTERVAL_BYTES):
        """Kafka agrees with what varve says of the directory, after a clean stop and after a crash."""
        agreement = Agreement(self.judge, self.exceptions)
        options = {"index_interval_bytes": interval_bytes, "clock_ms": NOW_MS}
        self.assertEqual(agreement.after_clean_stop(partition, **options), [], f"{partition.name}, clean")
        self.assertEqual(agreement.after_crash(partition, **options), [], f"{partition.name}, crashed")
        if written_in_one_go:
            rebuilt = self.directory / "rebuilt" / partition.name
            rebuilt.parent.mkdir(exist_ok=True)
            self.copy(partition, rebuilt)
            self.judge.inspect(rebuilt, clean=False, recovery_point=0, clock_ms=NOW_MS,
                               config={"index.interval.bytes": interval_bytes})
            self.assertEqual(compare_files(files_of(rebuilt), files_of(partition)), [])

    def copy(self, partition, target):
        target.mkdir()
        for name, content in files_of(partition).items():
            (target / name).write_bytes(content)

    def test_every_codec_and_timestamp_type(self):
        for codec in CODECS:
            for timestamp_type in ["create", "append"]:
                with self.subTest(codec=codec, timestamp_type=timestamp_type):
                    partition = self.write(f"{codec}-{timestamp_type}-0", json_lines(300), "--compression", codec,
                                           "--timestamp-type", timestamp_type, "--now", NOW_MS + 5000)
                    self.assertGreater(len(list(partition.glob("*.log"))), 2)
                    self.check(partition, written_in_one_go=True)

    def test_index_intervals_and_sizes_of_batches(self):
        for interval_bytes, batch_records in [(0, 1), (1, 7), (100, 3), (4096, 10), (4096, 200)]:
            with self.subTest(interval_bytes=interval_bytes, batch_records=batch_records):
                settings = {"interval_bytes": interval_bytes}
                partition = self.write(f"every-{interval_bytes}-{batch_records}-0", json_lines(400), **settings,
                                       batch_records=batch_records, segment_bytes="16KiB")
                self.check(partition, written_in_one_go=True, **settings)

    def test_leader_epochs(self):
        for epoch, first in [(0, 0), (1, 60), (4, 120), (9, 180)]:
            partition = self.write("epochs-0", json_lines(60, first), "--leader-epoch", epoch)
        self.check(partition)

    def test_truncated_and_continued(self):
        partition = self.write("truncated-0", json_lines(300))
        self.run_ok("truncate", partition, "--to", 203, "--whole-batch")
        self.check(partition)
        self.write(partition.name, json_lines(50, 1000))
        self.check(partition)

    def test_log_start_moved_into_a_batch(self):
        partition = self.write("retained-0", json_lines(400))
        self.run_ok("retain", partition, "--before-offset", 203)
        self.check(partition)

    def test_compacted_and_continued(self):
        partition = self.write("compacted-0", json_lines(400, keys=37))
        self.run_ok("compact", partition, "--now", NOW_MS + 10_000, "--segment-bytes", "8KiB")
        self.check(partition)
        self.write(partition.name, json_lines(100, 400, keys=37))
        self.run_ok("compact", partition, "--now", NOW_MS + 20_000, "--delete-retention-ms", 5000)
        self.check(partition)

    def test_empty_and_large(self):
        self.check(self.write("empty-0", ""), written_in_one_go=True)
        large = json.dumps({"value": "x" * 900_000, "timestamp": NOW_MS}) + "\n"
        self.check(self.write("large-0", json_lines(7) + large + json_lines(7, 8), segment_bytes="1GiB"),
                   written_in_one_go=True)

    def test_segments_without_a_timestamp(self):
        lines = "".join(json.dumps({"value": f"value {i}", "timestamp": -1}) + "\n" for i in range(300))
        partition = self.write("timeless-0", lines)
        self.write(partition.name, json_lines(50))
        self.check(partition)

    def test_a_batch_that_compaction_emptied_still_claims_its_time(self):
        def line(key, value, after_ms):
            return json.dumps({"key": key, "value": value, "timestamp": NOW_MS + after_ms}) + "\n"

        partition = self.write("claims-0", line("a", "kept", 0))
        self.write(partition.name, line("b", None, 4000))
        self.run_ok("compact", partition, "--now", NOW_MS + 5000, "--delete-retention-ms", 0)
        self.run_ok("compact", partition, "--now", NOW_MS + 6000)
        self.write(partition.name, line("c", "late", 7000))
        before = self.exceptions.count("one-segment")
        self.check(partition)
        self.assertGreater(self.exceptions.count("one-segment"), before)

    def test_killed_while_it_was_open(self):
        partition = self.write("killed-0", json_lines(300))
        writer = self.hold_as_writer(partition)
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
        agreement = Agreement(self.judge, self.exceptions)
        self.assertEqual(agreement.after_crash(partition, index_interval_bytes=INTERVAL_BYTES), [])
        self.judge.inspect(partition, clean=False, recovery_point=0)
        self.assertEqual(len(self.run_ok("read", partition).text.splitlines()), 301)

    def test_directories_of_kafka_continued_and_compacted_by_varve(self):
        for case in golden_cases():
            with self.subTest(case=case):
                manifest = manifest_of(case)
                partition = self.copy_case(case)
                self.run_ok("repair", partition, "--index-interval-bytes", INTERVAL_BYTES)
                partition = partition.rename(self.directory / partition.name)
                self.write(partition.name, json_lines(40, manifest["log"]["log_end_offset"] % 1000, keys=11))
                self.check(partition)
                self.run_ok("compact", partition, "--drop-unkeyed", "--now", NOW_MS + DAY_MS // 2)
                self.check(partition)

    def test_reopened_between_appends(self):
        for first in range(0, 300, 30):
            partition = self.write("reopened-0", json_lines(30, first))
        self.check(partition)


if __name__ == "__main__":
    unittest.main()
