"""The comparison finds what is wrong, and an exception applies to nothing but what it names."""

import copy
import json
import os
import pathlib
import tempfile
import unittest
from unittest import mock

from agreement import (FILE_DATE, KNOWN, ONE_SEGMENT, Difference, Judged, NamedException, NamedExceptions,
                       compare_answers, compare_files, compare_members)
from kafka_report import note, summary
from manifest_forms import MEMBERS, epoch_answer, time_answer
from varve_command import manifest_of


def answers_in_find_form(manifest):
    return {"offset_queries": manifest["offset_queries"],
            "time_queries": [time_answer(query) for query in manifest["time_queries"]],
            "epoch_queries": [epoch_answer(query) for query in manifest["epoch_queries"]]}


class CompareTest(unittest.TestCase):
    def setUp(self):
        self.kafka = manifest_of("transactions")
        self.varve = copy.deepcopy(self.kafka)

    def test_a_change_in_any_member_is_a_difference(self):
        self.assertEqual(compare_members(self.kafka, self.varve), [])
        for member in MEMBERS:
            changed = copy.deepcopy(self.varve)
            if member == "log":
                changed["log"]["last_stable_offset"] += 1
            else:
                changed[member].pop()
            differences = compare_members(self.kafka, changed)
            self.assertEqual([difference.what for difference in differences], [member])

    def test_the_first_place_is_named(self):
        self.varve["records"][7][2] = "AAAA"
        self.assertEqual(compare_members(self.kafka, self.varve),
                         [Difference("records", 7, [self.kafka["records"][7]], [self.varve["records"][7]])])
        self.varve = {**self.kafka, "records": self.kafka["records"] + [["more"]]}
        self.assertEqual(compare_members(self.kafka, self.varve),
                         [Difference("records", len(self.kafka["records"]), [], [["more"]])])

    def test_producers_and_snapshots_are_sets(self):
        self.varve["producers"].reverse()
        self.varve["snapshots"][0]["entries"].reverse()
        self.assertEqual(compare_members(self.kafka, self.varve), [])
        self.varve["snapshots"][0]["entries"].pop()
        self.assertEqual(len(compare_members(self.kafka, self.varve)), 1)

    def test_each_answer_that_differs_is_a_difference(self):
        answers = answers_in_find_form(self.varve)
        self.assertEqual(compare_answers(self.kafka, answers), [])
        answers["offset_queries"][1]["position"] += 1
        answers["time_queries"][2]["offset"] += 1
        answers["epoch_queries"][0]["end_offset"] += 1
        self.assertEqual([(one.what, one.place) for one in compare_answers(self.kafka, answers)],
                         [("offset", self.kafka["offset_queries"][1]["offset"]), ("time", -3), ("epoch", 0)])
        answers["epoch_queries"].pop()
        with self.assertRaises(ValueError):
            compare_answers(self.kafka, answers)

    def test_files_that_are_missing_or_changed_are_differences(self):
        kafka = {"0.log": b"same", "0.index": b"old", "varve.state": b"1", "0.txnindex": b"only here"}
        ours = {"0.log": b"same", "0.index": b"new", "varve.state": b"2"}
        self.assertEqual([one.place for one in compare_files(kafka, ours)], ["0.index", "0.txnindex"])
        self.assertEqual([one.place for one in compare_files(kafka, ours, ".state")], ["varve.state"])


class ExceptionTest(unittest.TestCase):
    """A log of three segments: the second one claims the time 500 and has no record, or has no time at all."""

    def judged(self, claimed_ms=500, date_ms=0, late_record_ms=900):
        return Judged({"log": {"log_start_offset": 0},
                       "segments": [{"base": 0, "next_offset": 5, "max_timestamp": 100},
                                    {"base": 5, "next_offset": 9, "max_timestamp": claimed_ms},
                                    {"base": 9, "next_offset": 10, "max_timestamp": late_record_ms}],
                       "records": [[0, 100, None, "", []], [9, late_record_ms, None, "", []]]},
                      {0: 0, 5: date_ms, 9: 0})

    def difference(self, asked=200, timestamp=900, offset=9):
        return Difference("time", asked, time_answer([asked, None, None, None]),
                          time_answer([asked, timestamp, offset, 0]))

    def unexplained(self, difference, judged):
        exceptions = NamedExceptions(FILE_DATE, ONE_SEGMENT)
        left = exceptions.unexplained([difference], judged)
        return left, exceptions.count("file-date"), exceptions.count("one-segment")

    def test_a_segment_that_claims_a_time(self):
        self.assertEqual(self.unexplained(self.difference(), self.judged()), ([], 0, 1))

    def test_a_segment_with_a_late_date(self):
        self.assertEqual(self.unexplained(self.difference(), self.judged(claimed_ms=-1, date_ms=200)), ([], 1, 0))

    def test_an_empty_transaction_index(self):
        kept, gone = (Difference("file", "0.txnindex", f"{size} bytes, sha256 00", None) for size in (34, 0))
        exceptions = NamedExceptions(*KNOWN)
        judged = self.judged()
        for segment, aborted_txns in zip(judged.found["segments"], [0, 1, 0]):
            segment["aborted_txns"] = aborted_txns
        others = [kept, gone._replace(place="0.index"), gone._replace(place="5.txnindex"),  # which has one
                  gone._replace(place="7.txnindex")]
        self.assertEqual(exceptions.unexplained([gone, *others], judged), others)
        self.assertEqual(exceptions.count("empty-txnindex"), 1)

    def test_what_has_another_cause_stays_unexplained(self):
        early, wrong = self.difference(asked=50), self.difference(timestamp=901)
        kafka_found = self.difference()._replace(kafka=time_answer([200, 100, 0, 0]))
        claims = self.judged()
        for difference, judged in [
                (self.difference(), self.judged(claimed_ms=-1, date_ms=199)),  # Kafka would have looked into the third
                (self.difference(), self.judged(claimed_ms=199)),
                (self.difference(asked=501), claims), (early, claims), (wrong, claims), (kafka_found, claims),
                (self.difference()._replace(what="offset"), claims), (self.difference(asked=-3), claims)]:
            with self.subTest(difference=difference, judged=judged):
                self.assertEqual(self.unexplained(difference, judged), ([difference], 0, 0))

    def test_the_summary_names_counts_and_reasons(self):
        always = NamedException("always", "because", lambda difference, judged: True)
        exceptions = NamedExceptions(always, FILE_DATE)
        exceptions.unexplained([self.difference(), self.difference()], self.judged())
        self.assertEqual(exceptions.summary().splitlines()[:2], ["2 differences by named exceptions",
                                                                 "  2 always: because"])


class ReportTest(unittest.TestCase):
    def test_the_sum_says_what_was_judged_and_what_differed(self):
        lines = [json.dumps(one) for one in [
            {"what": "23 golden directories", "seconds": 9, "at_s": 1009, "process": 1},
            {"what": "lives of Kafka", "lives": 100, "differing": [7, 9], "exceptions": {"a": 2, "b": 0}, "seconds": 40,
             "at_s": 1045, "process": 2},
            {"what": "broker 4.1.1", "exceptions": {"a": 1, "c": 1}, "seconds": 51, "at_s": 1070, "process": 1}]]
        self.assertEqual(summary(lines, cores=2), [
            "Kafka: 23 golden directories (9 s), 100 lives of Kafka (40 s), broker 4.1.1 (51 s)",
            "  2 lives with unexplained differences; by named exceptions: 3 a, 1 c",
            "  100 s in all, 60 s the longest test, at least 60 s on 2 cores; the last ended 70 s after the first began"])

    def test_the_sum_warns_of_tests_that_take_too_long(self):
        def warning(*tests, cores):
            lines = [json.dumps({"what": "a test", "seconds": one, "at_s": 5000, "process": process})
                     for process, seconds in enumerate(tests) for one in seconds]
            return [sentence for sentence in summary(lines, cores) if "WARNING" in sentence]

        self.assertEqual(warning([400], [80], cores=1), [])
        self.assertEqual(warning([400], [81], cores=1),
                         ["  WARNING: 481 s is 1 s MORE than the 480 s which these tests may take"])
        self.assertEqual(warning([480], [480], cores=2), [])
        self.assertNotEqual(warning([481], [480], cores=2), [])
        self.assertNotEqual(warning([300, 181], [1], cores=8), [])  # one test is not quicker on more cores

    def test_each_note_has_the_seconds_since_the_one_before(self):
        with tempfile.TemporaryDirectory() as directory:
            report = pathlib.Path(directory, "report.jsonl")
            clock = iter([1000.0, 1007.0, 1030.0])
            with mock.patch.dict(os.environ, VARVE_KAFKA_REPORT=str(report)), \
                    mock.patch("kafka_report.time.monotonic", lambda: next(clock)):
                for what in ("build", "first", "second"):
                    note(what)
            noted = [json.loads(line) for line in report.read_text().splitlines()]
            self.assertEqual([one["seconds"] for one in noted[1:]], [7, 23])
            self.assertEqual({one["process"] for one in noted}, {os.getpid()})


if __name__ == "__main__":
    unittest.main()
