"""append: what goes in comes out, in the batches, segments and indexes that were asked for."""

import base64
import itertools
import json
import os
import unittest

from varve_command import VarveTest, files_of, varve

BIG_LINE = 1_000_000


def indexes_of(partition):
    return {name: content for name, content in files_of(partition).items() if name.endswith((".index", ".timeindex"))}


class AppendLinesTest(VarveTest):
    def test_lines_come_back(self):
        partition = self.append("t-0", ["one", "two", "", "vier\r", "f\u00fcnf"])
        self.assertEqual(self.run_ok("read", partition).text, "one\ntwo\n\nvier\r\nf\u00fcnf\n")

    def test_the_last_line_may_lack_its_end(self):
        for i, (text, lines) in enumerate([("a\nb", 2), ("a\nb\n", 2), ("\n", 1), ("", 0), ("a\n\n", 2)]):
            partition = self.directory / f"t-{i}"
            summary = self.run_ok("append", partition, "--json", input=text).json()
            self.assertEqual(summary["records"], lines, repr(text))
            self.assertEqual(summary["last_offset"], lines - 1 if lines else None, repr(text))

    def test_files_are_appended_in_order_and_a_dash_is_standard_input(self):
        (self.directory / "a").write_text("1\n2")
        (self.directory / "b").write_text("4\n")
        partition = self.directory / "t-0"
        self.run_ok("append", partition, self.directory / "a", "-", self.directory / "b", input="3\n")
        self.assertEqual(self.run_ok("read", partition).text, "1\n2\n3\n4\n")

    def test_keys_end_at_the_first_separator(self):
        partition = self.append("t-0", ["k=v=w", "none", "=empty key", "empty value="], "--key-separator", "=")
        records = self.run_ok("read", partition, "--json").json_lines()
        self.assertEqual([(r["key"], r["value"]) for r in records],
                         [("k", "v=w"), (None, "none"), ("", "empty key"), ("empty value", "")])

    def test_a_second_run_goes_on(self):
        self.append("t-0", ["a"])
        summary = self.run_ok("append", self.directory / "t-0", "--json", input="b\nc\n").json()
        self.assertEqual((summary["first_offset"], summary["last_offset"], summary["log_end_offset"]), (1, 2, 3))

    def test_the_summary_counts(self):
        result = self.run_ok("append", self.directory / "t-0", input="a\nb\n")
        self.assertRegex(result.text, r"2 records appended in 1 batches, offsets 0 to 1, .*MB/s")
        self.assertEqual(result.errors, "")

    def test_long_input_is_streamed(self):
        line = b"x" * 1000 + b"\n"
        completed = varve("append", self.directory / "t-0", "--json", input=line * 20_000)
        self.assertEqual(completed.status, 0, completed.errors)
        self.assertEqual(completed.json()["records"], 20_000)
        self.assertEqual(completed.json()["input_bytes"], 1001 * 20_000)


class BatchTest(VarveTest):
    def batches(self, partition):
        return self.run_ok("dump", partition, "--json", "--batches-only").json()["batches"]

    def test_a_batch_closes_at_its_number_of_records(self):
        partition = self.append("t-0", range(25), "--batch-records", 10)
        self.assertEqual([batch["count"] for batch in self.batches(partition)], [10, 10, 5])

    def test_five_hundred_records_by_default(self):
        partition = self.append("t-0", range(1200))
        self.assertEqual([batch["count"] for batch in self.batches(partition)], [500, 500, 200])

    def test_a_batch_closes_before_it_would_exceed_its_bytes(self):
        partition = self.append("t-0", ["x" * 100] * 50, "--batch-bytes", 1000, "--now", 1000)
        batches = self.batches(partition)
        self.assertEqual(sum(batch["count"] for batch in batches), 50)
        record_bytes = (batches[0]["bytes"] - 61) // batches[0]["count"]
        for batch in batches[:-1]:
            self.assertLessEqual(batch["bytes"], 1000)
            self.assertGreater(batch["bytes"] + record_bytes, 1000)

    def test_a_batch_may_have_exactly_the_limit(self):
        one = self.batches(self.append("one-0", ["x" * 500], "--now", 1000))[0]["bytes"]
        partition = self.append("t-0", ["x" * 500], "--batch-bytes", one, "--now", 1000)
        self.assertEqual(self.batches(partition)[0]["bytes"], one)
        self.check_refused(varve("append", self.directory / "u-0", "--batch-bytes", one - 1, input="x" * 500), 1,
                           "standard input line 1", one, one - 1)

    def test_an_oversized_record_names_file_and_line_and_what_came_before_stays(self):
        source = self.directory / "source.txt"
        source.write_text("a\nb\n" + "x" * BIG_LINE + "\nc\n")
        partition = self.directory / "t-0"
        result = varve("append", partition, source, "--json")
        self.check_refused(result, 1, f"{source} line 3")
        self.assertEqual(result.json()["records"], 2)
        self.assertEqual(self.run_ok("read", partition).text, "a\nb\n")

    def test_the_limit_can_be_raised(self):
        partition = self.append("t-0", ["x" * 1_500_000], "--max-message-bytes", "2MiB")
        self.assertEqual(len(self.run_ok("read", partition).bytes), 1_500_001)

    def test_what_compresses_below_the_limit_is_taken(self):
        partition = self.append("t-0", ["x" * 3_000_000], "--compression", "zstd")
        self.assertEqual(len(self.run_ok("read", partition).bytes), 3_000_001)
        source = base64.b64encode(os.urandom(3_000_000)).decode()
        self.check_refused(varve("append", self.directory / "u-0", "--compression", "lz4", input=source), 1,
                           "standard input line 1")

    def test_leader_epochs_are_written_and_remembered(self):
        partition = self.append("t-0", ["a"])
        self.run_ok("append", partition, "--leader-epoch", 7, input="b\n")
        self.run_ok("append", partition, input="c\n")
        dump = self.run_ok("dump", partition, "--json").json()
        self.assertEqual([batch["leader_epoch"] for batch in dump["batches"]], [0, 7, 7])
        self.assertEqual(dump["leader_epochs"], [[0, 0], [7, 1]])
        self.assertEqual((partition / "leader-epoch-checkpoint").read_text(), "0\n2\n0 0\n7 1\n")


class IndexTest(VarveTest):
    """The index files that appending leaves are those that a repair makes anew from the log."""

    CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]

    def test_indexes_equal_the_rebuilt_ones(self):
        lines = [f"{i} " + "some words that compress " * (i % 7) for i in range(3000)]
        for codec, kind, io in itertools.product(self.CODECS, ["create", "append"], ["mapped", "write"]):
            with self.subTest(codec=codec, timestamp_type=kind, io=io):
                partition = self.append(f"{codec}-{kind}-{io}-0", lines, "--compression", codec, "--timestamp-type", kind,
                                        "--io", io, "--segment-bytes", "16KiB", "--index-interval-bytes", 512,
                                        "--batch-records", 11)
                before = files_of(partition)
                self.assertGreater(len([name for name in before if name.endswith(".log")]), 2)
                self.run_ok("verify", partition)
                for name in indexes_of(partition):
                    (partition / name).unlink()
                self.run_ok("repair", partition, "--force", "--all", "--index-interval-bytes", 512)
                rebuilt = indexes_of(partition)
                self.assertEqual({name: before[name] for name in rebuilt}, rebuilt)
                self.assertEqual(set(indexes_of(partition)), {n for n in before if n.endswith((".index", ".timeindex"))})

    def test_log_append_time_is_the_time_of_every_record(self):
        partition = self.append("t-0", ["a", "b"], "--timestamp-type", "append", "--now", "2026-01-31T12:00:00Z")
        records = self.run_ok("read", partition, "--json").json_lines()
        self.assertEqual([record["timestamp"] for record in records], [1769860800000] * 2)
        batch = self.run_ok("dump", partition, "--json").json()["batches"][0]
        self.assertEqual(batch["timestamp_type"], "LogAppendTime")

    def test_segments_roll_by_time(self):
        partition = self.directory / "t-0"
        for now in [1_000_000, 1_000_500, 1_002_000]:
            self.run_ok("append", partition, "--segment-ms", 1000, "--now", now, input="x\n")
        segments = self.run_ok("stat", partition, "--json").json()["segments"]
        self.assertEqual([segment["base"] for segment in segments], [0, 2])


class TimestampTest(VarveTest):
    numbers = itertools.count()

    def times(self, lines, *options, **more):
        partition = self.append(f"t-{next(self.numbers)}", lines, *options, **more)
        return [record["timestamp"] for record in self.run_ok("read", partition, "--json").json_lines()]

    def with_zone(self, zone):
        return {"env": {**os.environ, "TZ": zone}}

    def test_times_come_from_the_lines_and_stay_in_them(self):
        lines = ["2026-01-31 12:00:00 a", "2026-01-31 12:00:00 b", "2026-01-31 12:00:01 c"]
        self.assertEqual(self.times(lines, "--timestamp-format", "%Y-%m-%d %H:%M:%S", **self.with_zone("UTC")),
                         [1769860800000, 1769860800000, 1769860801000])
        partition = self.append("u-0", lines, "--timestamp-format", "%Y-%m-%d %H:%M:%S")
        self.assertEqual(self.run_ok("read", partition).text.splitlines(), lines)

    def test_without_a_zone_a_time_is_local(self):
        got = self.times(["2026-01-31 12:00:00 x", "2026-07-31 12:00:00 x"], "--timestamp-format", "%Y-%m-%d %H:%M:%S",
                         **self.with_zone("EST5EDT,M3.2.0,M11.1.0"))
        self.assertEqual(got, [1769860800000 + 5 * 3600_000, 1785499200000 + 4 * 3600_000])

    def test_a_zone_in_the_line_counts(self):
        got = self.times(["2026-01-31T12:00:00+0100 x", "2026-01-31T12:00:00Z x", "2026-01-31T12:00:00-02:30 x"],
                         "--timestamp-format", "%Y-%m-%dT%H:%M:%S%z", **self.with_zone("Asia/Tokyo"))
        self.assertEqual(got, [1769857200000, 1769860800000, 1769869800000])

    def test_seconds_since_the_epoch(self):
        got = self.times(["1769860800 x", "17698608001 x", "1 x"], "--timestamp-format", "%s",
                         **self.with_zone("Asia/Tokyo"))
        self.assertEqual(got, [1769860800000, 17698608001000, 1000])

    def test_a_line_that_is_only_a_time(self):
        self.assertEqual(self.times(["12", "123", "1"], "--timestamp-format", "%s"), [12000, 123000, 1000])

    def test_an_unparsable_time_names_file_and_line(self):
        source = self.directory / "source.txt"
        for text, found in [("oops x", "oops x"), ("2026-02-30 x", "2026-02-30 x"), ("", "''"), ("1960-01-01 x", "1960")]:
            source.write_text(f"2026-01-31 ok\n{text}\n")
            result = varve("append", self.directory / "t-0", source, "--timestamp-format", "%Y-%m-%d", "--json")
            self.check_refused(result, 1, f"{source} line 2", found)
            self.assertEqual(result.json()["records"], 1)

    def test_now_is_the_time_of_records_without_one(self):
        self.assertEqual(self.times(["a"], "--now", "1234567890123"), [1234567890123])
        self.assertEqual(self.times(["a"], "--now", "2026-01-31T13:00:00.250+01:00"), [1769860800250])


class JsonLinesTest(VarveTest):
    RECORDS = [
        {"key": "k", "value": "v", "timestamp": 1700000000000, "headers": [["h", "1"], ["h", None], ["", ""]]},
        {"key": None, "value": None, "timestamp": 5, "headers": []},
        {"key": "", "value": "", "timestamp": -1, "headers": []},
        {"key": {"base64": "/w=="}, "value": {"base64": "AP8="}, "timestamp": 7, "headers": [["x", {"base64": "gA=="}]]},
        {"key": "\u00e9\u4e2d", "value": "\U0001f600\"\\\n\u0000", "timestamp": 8, "headers": [["\u00e9", "\u4e2d"]]},
    ]

    def append_json(self, name, records):
        return self.append(name, [json.dumps(record) for record in records], "--format", "jsonl")

    def test_records_round_trip(self):
        partition = self.append_json("t-0", self.RECORDS)
        printed = self.run_ok("read", partition, "--format", "jsonl").json_lines()
        self.assertEqual(printed, [{"offset": i, **record} for i, record in enumerate(self.RECORDS)])
        again = self.append_json("u-0", printed)
        self.assertEqual(self.run_ok("read", again, "--json").json_lines(), printed)

    def test_absent_members_are_null_and_now(self):
        partition = self.append("t-0", ["{}", '{"value":"x","headers":null,"timestamp":null}'], "--format", "jsonl", "--now",
                                77)
        self.assertEqual(self.run_ok("read", partition, "--json").json_lines(),
                         [{"offset": 0, "timestamp": 77, "key": None, "value": None, "headers": []},
                          {"offset": 1, "timestamp": 77, "key": None, "value": "x", "headers": []}])

    def test_what_is_no_record_is_refused(self):
        cases = ["", "[]", "nonsense", '{"key":1}', '{"value":{"base64":"*"}}', '{"value":{"base32":"AA=="}}',
                 '{"timestamp":"now"}', '{"timestamp":1.5}', '{"timestamp":-2}', '{"headers":[["a"]]}',
                 '{"headers":[[1,"a"]]}', '{"headers":{}}', '{"other":1}', '{"key":"a"', b'{"key":"\xff"}']
        for case in cases:
            with self.subTest(case=case):
                line = case if isinstance(case, bytes) else case.encode()
                result = varve("append", self.directory / "t-0", "--format", "jsonl", "--json",
                               input=b'{"value":"ok"}\n' + line + b"\n")
                self.check_refused(result, 1, "standard input line 2", "expected")
                self.assertEqual(result.json()["records"], 1)


if __name__ == "__main__":
    unittest.main()
