"""`varve compact`: what stays, what goes and why, and what the command says of it."""

import json
import os
import pathlib
import signal
import subprocess
import time
import unittest

import log_files
from varve_command import TIMEOUT_S, VARVE, VarveTest, files_of, varve

NOW_MS = 1_700_000_000_000
DAY_MS = 24 * 3600 * 1000
NOTHING_REMOVED = {"superseded": 0, "tombstones": 0, "unkeyed": 0, "aborted": 0, "markers": 0}


def logs_of(partition):
    return {path.name: path.read_bytes() for path in sorted(partition.glob("*.log"))}


class CompactTestCase(VarveTest):
    def compact(self, partition, *options):
        return self.run_ok("compact", partition, "--now", NOW_MS, *options)

    def records(self, partition):
        return self.run_ok("read", partition, "--format", "jsonl").json_lines()

    def latest(self, partition):
        """Each key's last record, but for tombstones: what is true of a log whatever was compacted."""
        last = {record["key"]: record for record in self.records(partition)}
        return {key: record for key, record in last.items() if record["value"] is not None}

    def keyed(self, pairs, *options, age_ms=0):
        """A partition of records with these keys and values, or with more of them."""
        partition = self.directory / "settings-0"
        lines = [json.dumps({"key": key, "value": value, "timestamp": NOW_MS - age_ms}) + "\n" for key, value in pairs]
        self.run_ok("append", partition, "--format", "jsonl", *options, input="".join(lines))
        return partition

    def many(self, *options, count=1000, keys=10):
        return self.keyed([(f"key {i % keys}", f"value {i}") for i in range(count)], "--batch-records", 7, *options)

    def check_sound(self, partition):
        self.assertTrue(self.run_ok("verify", partition, "--json").json()["ok"])


class CompactTest(CompactTestCase):
    def test_the_latest_record_of_each_key_stays(self):
        partition = self.many("--segment-bytes", "4KiB")
        latest = self.latest(partition)
        bytes_before = sum(map(len, logs_of(partition).values()))
        segments_before = len(logs_of(partition))
        summary = self.compact(partition, "--json").json()
        self.assertEqual(self.latest(partition), latest)
        self.assertEqual([record["offset"] for record in self.records(partition)], list(range(990, 1000)))
        self.assertEqual(summary["removed"], {**NOTHING_REMOVED, "superseded": 990})
        self.assertEqual((summary["log_start_offset"], summary["log_end_offset"]), (0, 1000))
        self.assertEqual((summary["records_before"], summary["records"]), (1000, 10))
        self.assertEqual((summary["bytes_before"], summary["segments_before"]), (bytes_before, segments_before))
        self.assertEqual(summary["bytes"], sum(map(len, logs_of(partition).values())))
        self.assertEqual(summary["segments"], sum(content != b"" for content in logs_of(partition).values()))
        self.assertLess(summary["segments"], segments_before)
        self.assertLess(summary["bytes"], bytes_before / 20)
        self.assertEqual((summary["passes"], summary["map_keys"], summary["interrupted"]), (1, 10, False))
        self.assertIsNone(summary["held_back"])
        self.assertIsNone(summary["next_horizon_ms"])
        self.assertEqual(summary["dir"], str(partition))
        self.assertIn("findings", summary["report"])
        self.assertEqual(list(partition.glob("*.deleted")), [])
        self.check_sound(partition)

    def test_in_words(self):
        partition = self.many()
        text = self.compact(partition).text
        self.assertRegex(text, r"settings-0: \d+\.\d KiB in 1 segments became \d+ bytes in 1; offsets 0 to 1000\n")
        self.assertIn("records: 1,000 before, 10 now\n", text)
        self.assertIn("removed: 990 superseded by a later record of the key\n", text)
        for absent in ["passes", "not compacted", "tombstones"]:
            self.assertNotIn(absent, text)

    def test_a_second_run_changes_no_byte(self):
        partition = self.many()
        self.compact(partition)
        before = files_of(partition)
        self.assertRegex(self.compact(partition).text, r": nothing to compact; offsets 0 to 1000, \d+ bytes in 1 segments")
        summary = self.compact(partition, "--json").json()
        self.assertEqual((summary["passes"], summary["removed"]), (0, NOTHING_REMOVED))
        self.assertEqual((summary["records_before"], summary["records"]), (10, 10))
        self.assertEqual((summary["bytes_before"], summary["segments_before"]), (summary["bytes"], summary["segments"]))
        self.assertEqual(files_of(partition), before)

    def test_what_came_since_is_compacted_by_the_next_run(self):
        partition = self.many(count=20)
        self.compact(partition)
        self.keyed([("key 3", "changed"), ("new", "here")])
        self.assertEqual(self.compact(partition, "--json").json()["removed"]["superseded"], 1)
        self.assertEqual({key: record["value"] for key, record in self.latest(partition).items()},
                         {**{f"key {i}": f"value {i + 10}" for i in range(10)}, "key 3": "changed", "new": "here"})
        self.check_sound(partition)

    def test_a_log_without_records(self):
        partition = self.append("t-0", [])
        before = files_of(partition)
        self.assertIn("nothing to compact; offsets 0 to 0, 0 bytes in 0 segments", self.compact(partition).text)
        self.assertEqual(files_of(partition), before)

    def test_a_small_key_map_takes_several_passes(self):
        partition = self.many("--segment-bytes", "4KiB", keys=60)
        latest = self.latest(partition)
        text = self.compact(partition, "--map-bytes", 24 * 30).text
        self.assertRegex(text, r"  \d+ passes; \d+ different keys in one at most: a larger --map-bytes may need fewer\n")
        self.assertIn("records: 1,000 before, 60 now\n", text)
        self.assertEqual(self.latest(partition), latest)
        self.assertEqual(len(self.records(partition)), 60)
        self.assertIn("nothing to compact", self.compact(partition).text)
        self.check_sound(partition)

    def test_segments_grow_together_up_to_a_size(self):
        partition = self.many("--segment-bytes", "4KiB", count=1500, keys=1500)
        before = len(logs_of(partition))
        summary = self.compact(partition, "--segment-bytes", "8KiB", "--json").json()
        self.assertEqual(summary["records"], 1500)
        self.assertGreater(summary["segments"], 2)
        self.assertLess(summary["segments"], before)
        self.assertTrue(all(len(content) <= 8192 for content in logs_of(partition).values()))


class TombstoneTest(CompactTestCase):
    def test_one_stays_as_long_as_it_is_told(self):
        partition = self.keyed([("a", "1"), ("b", "2"), ("a", None), ("c", "3")])
        result = self.compact(partition, "--delete-retention-ms", 2 * DAY_MS)
        self.assertIn("the first may go at 2023-11-16T22:13:20.000Z, run it again then", result.text)
        self.assertEqual([record["key"] for record in self.records(partition)], ["b", "a", "c"])
        before = files_of(partition)
        due_ms = NOW_MS + 2 * DAY_MS
        early = self.run_ok("compact", partition, "--now", due_ms - 1, "--json").json()
        self.assertEqual((early["passes"], early["next_horizon_ms"]), (0, due_ms))
        self.assertEqual(files_of(partition), before)
        late = self.run_ok("compact", partition, "--now", due_ms, "--json").json()
        self.assertEqual((late["removed"], late["next_horizon_ms"]), ({**NOTHING_REMOVED, "tombstones": 1}, None))
        self.assertEqual([record["key"] for record in self.records(partition)], ["b", "c"])
        self.check_sound(partition)

    def test_the_default_is_a_day(self):
        partition = self.keyed([("a", None), ("b", "2")])
        self.assertEqual(self.compact(partition, "--json").json()["next_horizon_ms"], NOW_MS + DAY_MS)

    def test_without_retention_it_goes_at_once(self):
        partition = self.keyed([("a", "1"), ("a", None), ("b", "2")])
        text = self.compact(partition, "--delete-retention-ms", 0).text
        self.assertIn("1 superseded by a later record of the key, 1 tombstones whose time had come\n", text)
        self.assertEqual([record["key"] for record in self.records(partition)], ["b"])
        self.assertIn("nothing to compact", self.compact(partition, "--delete-retention-ms", 0).text)


class RefusalTest(CompactTestCase):
    def test_records_without_a_key_go_only_if_that_was_asked_for(self):
        partition = self.keyed([("a", "1"), ("a", "2"), (None, "precious"), ("a", "3")])
        logs = logs_of(partition)
        self.check_refused(varve("compact", partition), 2, partition, "a key expected in every record",
                           "none at offset 2", "what to do: --drop-unkeyed")
        self.assertEqual({name: content for name, content in logs_of(partition).items() if content}, logs)
        self.assertEqual(len(self.records(partition)), 4)
        text = self.compact(partition, "--drop-unkeyed").text
        self.assertIn("2 superseded by a later record of the key, 1 without a key\n", text)
        self.assertEqual([record["value"] for record in self.records(partition)], ["3"])

    def test_damage_is_met_before_anything_is_changed(self):
        partition = self.many("--segment-bytes", "4KiB")
        log = sorted(partition.glob("*.log"))[2]
        content = bytearray(log.read_bytes())
        content[100] ^= 1
        log.write_bytes(content)
        before = logs_of(partition)
        refusal = varve("compact", partition)
        self.check_refused(refusal, 1, log, "position 0", "checksum", "what to do", "varve verify")
        after = logs_of(partition)
        self.assertEqual({name: after[name] for name in before}, before)
        # The same once the log knows of it: then not even a segment is begun.
        varve("repair", partition, "--all", "--force")
        before = files_of(partition)
        self.check_refused(varve("compact", partition), 1, log, "position 0", "expected no damage")
        self.assertEqual(files_of(partition), before)

    def test_beside_a_writer(self):
        partition = self.many()
        holder = self.hold_as_writer(partition)
        self.check_refused(varve("compact", partition), 3, "open for writing elsewhere", f"process {holder.pid}")
        self.assertEqual(len(self.records(partition)), 1001)


class HeldBackTest(CompactTestCase):
    def test_an_open_transaction_holds_back_what_lies_behind_its_beginning(self):
        partition = self.directory / "t-0"
        log_files.write_log(partition, [log_files.batch(i, [b"v"], keys=[b"k"]) for i in range(5)])
        log_files.write_log(partition, [
            log_files.batch(5, [b"open"], 7, 0, transactional=True, keys=[b"k"]), log_files.batch(6, [b"w"], keys=[b"k"])],
            base_offset=5)
        result = self.compact(partition, "--json")
        summary = result.json()
        self.assertEqual(summary["held_back"], {"from_offset": 5, "by": "open transaction"})
        self.assertEqual((summary["records_before"], summary["records"]), (7, 3))
        text = self.compact(partition).text
        self.assertIn("nothing to compact", text)
        self.assertIn("not compacted: offsets 5 to 6, in segments that an open transaction holds back", text)
        self.check_sound(partition)

    def test_what_was_aborted_goes_though_it_has_no_key(self):
        partition = self.directory / "t-0"
        log_files.write_log(partition, [
            log_files.batch(0, [b"v", b"w"], keys=[b"k", b"k"]), log_files.data(2, ["x", "y"], producer_id=7),
            log_files.marker(4, log_files.ABORT, 7), log_files.batch(5, [b"z"], keys=[b"l"])])
        summary = self.compact(partition, "--json").json()
        self.assertEqual(summary["removed"], {**NOTHING_REMOVED, "superseded": 1, "aborted": 2})
        self.assertIsNone(summary["held_back"])
        self.assertEqual([record["value"] for record in self.records(partition)], ["w", "z"])
        self.check_sound(partition)

    def test_what_is_young_stays(self):
        partition = self.keyed([("a", "old"), ("a", "newer")], age_ms=DAY_MS)
        self.keyed([("a", "young"), ("a", "newest")], "--segment-bytes", 150)
        self.assertEqual(sorted(logs_of(partition)), [f"{base:020}.log" for base in (0, 2)])
        summary = self.compact(partition, "--min-lag-ms", DAY_MS, "--json").json()
        self.assertEqual(summary["held_back"], {"from_offset": 2, "by": "min lag"})
        self.assertEqual([record["value"] for record in self.records(partition)], ["newer", "young", "newest"])
        self.assertIn("offsets 2 to 3, in segments that hold records younger than --min-lag-ms",
                      self.compact(partition, "--min-lag-ms", DAY_MS).text)
        self.compact(partition, "--min-lag-ms", 0)
        self.assertEqual([record["value"] for record in self.records(partition)], ["newest"])


class InterruptTest(CompactTestCase):
    SLICE_NS = 1_000_000  # of processor time
    SLICES = 2_000  # more than it takes until interrupts are caught

    def interrupt_once_caught(self, process):
        """Lets the process run bit by bit until it catches interrupts, which is before it compacts; interrupts it."""
        status = pathlib.Path(f"/proc/{process.pid}")
        for _ in range(self.SLICES):
            used_ns = int((status / "schedstat").read_text().split()[0])
            while int((status / "schedstat").read_text().split()[0]) < used_ns + self.SLICE_NS:
                self.assertIsNone(os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT))
                time.sleep(0.0002)
            os.kill(process.pid, signal.SIGSTOP)
            caught = next(line for line in (status / "status").read_text().splitlines() if line.startswith("SigCgt"))
            if int(caught.split()[1], 16) >> (signal.SIGINT - 1) & 1:
                os.kill(process.pid, signal.SIGINT)
                os.kill(process.pid, signal.SIGCONT)
                return
            os.kill(process.pid, signal.SIGCONT)
        self.fail("it never caught interrupts")

    def test_an_interrupt_ends_the_pass_and_the_next_run_goes_on(self):
        partition = self.directory / "t-0"
        batches = [log_files.batch(0, [b"v" * 20], keys=[b"only key"])] * 60_000
        for segment in range(2):
            base = segment * len(batches)
            log_files.write_log(partition, [(base + i).to_bytes(8, "big") + batch[8:] for i, batch in enumerate(batches)],
                                base)
        self.run_ok("append", partition)  # closed cleanly, so that what takes long is the compaction
        process = subprocess.Popen([VARVE, "compact", partition, "--json"], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, preexec_fn=lambda: os.nice(19))
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.interrupt_once_caught(process)
        summary = json.loads(process.stdout.read())
        self.assertIn("interrupted; what was compacted stays so, run it again", process.stderr.read().decode())
        self.assertEqual(process.wait(TIMEOUT_S), 3)
        self.assertEqual((summary["interrupted"], summary["records"], summary["log_end_offset"]), (True, None, 120_000))
        self.check_sound(partition)
        summary = self.compact(partition, "--json").json()
        self.assertEqual((summary["interrupted"], summary["records"]), (False, 1))
        self.assertEqual([record["offset"] for record in self.records(partition)], [119_999])


class KafkaDirectoryTest(CompactTestCase):
    def test_producers_are_forgotten_by_the_time_it_is_taken_to_be(self):
        for now_ms, left in [(NOW_MS, "all"), (NOW_MS + 2 * DAY_MS, "none")]:
            self.check_producers_left(left, "compact", "--drop-unkeyed", "--now", now_ms)

    def test_a_log_that_kafka_compacted(self):
        partition = self.copy_case("compacted")
        marker = partition.parent / ".kafka_cleanshutdown"
        marker.touch()
        checkpoints = {name: content for name, content in files_of(partition.parent).items() if "checkpoint" in name}
        latest = self.latest(partition)
        result = self.compact(partition, "--json")
        self.assertIn("removed .kafka_cleanshutdown", result.errors)
        self.assertFalse(marker.exists())
        self.assertGreater(result.json()["removed"]["superseded"], 0)
        self.assertEqual(self.latest(partition), latest)
        self.assertEqual({name: files_of(partition.parent)[name] for name in checkpoints}, checkpoints)
        self.check_sound(partition)
        marker.touch()
        self.assertIn("nothing to compact", self.compact(partition).text)
        self.assertTrue(marker.exists())


if __name__ == "__main__":
    unittest.main()
