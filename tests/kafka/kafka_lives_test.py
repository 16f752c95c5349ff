"""Directories that Kafka wrote in random lives: varve reads, repairs, continues and compacts them as Kafka does.

A life is told by its seed: VARVE_KAFKA_SEED=N judges that one alone, VARVE_KAFKA_LIVES=COUNT so many from there on.
"""

import collections
import json
import pathlib
import random
import re
import shutil
import tempfile
import unittest
from unittest import mock

from agreement import (LOG_FILES, Difference, Judged, NamedExceptions, answers_of_varve, compare_answers, compare_files,
                       compare_members, modified_ms, questions_about, run)
from crash_damage import damage
from kafka_judge import Judge, KafkaRefused
from kafka_life import DEFAULT_INDEX_INTERVAL_BYTES, KafkaLife, drop_leader_epochs, leader_epochs_of
from kafka_report import note
from life_exceptions import IN_LIVES, gone_segments, settled, without_segments
from lives_asked import asked_lives, directory_for_lives, report
from snapshot_files import compare_snapshots
from spoilt_life import AFTER
from told_by_life import as_dumped
from varve_command import files_of
from varve_life_exceptions import LARGEST_COMPACTED_AWAY, NONE_IS_THE_LARGEST

IN_LIVES_OF_KAFKA = [*IN_LIVES, LARGEST_COMPACTED_AWAY, NONE_IS_THE_LARGEST]
# What takes several starts of the command is done to every so many.
CONTINUED_EVERY = 3
COMPACTED_EVERY = 3
DAMAGED_PERCENT = 60
QUESTIONS_OF_A_KIND = 12
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
DAY_MS = 24 * 3600 * 1000
TOLD = 10  # disagreements of a life that are printed
SPOILT_LIVES = 100  # at most; of which each can be spoilt in some ways
VARIED_LIVES = 100  # the first ones, which meet everything as often as they should
# What lives are to meet, and how many of the first hundred at least.
MET = {"clean": 30, "crashed": 30, "damaged": 20, "compacting": 40, "aborted": 20, "open": 20, "truncated": 20,
       "begun anew": 5, "retained": 10, "log start raised": 20, "epochs": 30, "followed": 40, "transactional": 40,
       "idempotent": 40, "cleaned": 20, "reopened": 40, "none": 50, "gzip": 30, "snappy": 30, "lz4": 30, "zstd": 30,
       "continued": 20, "rolled by varve": 10, "compacted": 20, "records compacted": 8, "compacted, nothing to do": 5}


def dump(life, partition):
    return run("dump", partition, "--as-opened", "--json", "--index-interval-bytes", life.index_interval_bytes).json()


class LifeChecks:
    """What is done to one life, and what Kafka and varve then disagree about."""

    def __init__(self, life, exceptions):
        self.life = life
        self.exceptions = exceptions
        self.dice = random.Random(life.seed)
        self.disagreements = []
        self.segments_of_varve = collections.Counter()  # that were compared with those which Kafka makes, by check
        self.records_compacted = 0
        self.had_nothing_to_compact = False
        if not life.clean and self.dice.randrange(100) < DAMAGED_PERCENT:
            damage(life, self.dice, dump(life, life.partition)["batches"])

    def disagree(self, check, differences, judged):
        self.disagreements += [(check, difference) for difference in self.exceptions.unexplained(differences, judged)]

    def compare_found(self, check, found, dumped, judged):
        known = settled(found, dumped, lambda difference: self.explains(difference, judged))
        self.disagree(check, compare_members(known, dumped), judged)

    def expect_equal(self, check, kafka, ours):
        if kafka != ours:
            self.disagreements.append((check, f"expected {str(kafka)[:1000]}, found {str(ours)[:1000]}"))

    def check_reading(self):
        """Kafka finds in the directory what varve finds, and gives the same answers."""
        life = self.life
        if not life.clean:
            self.settle_loading()
            self.settle_epochs()
        dumped = self.dump_believed()
        questions = questions_about(dumped, QUESTIONS_OF_A_KIND)
        recovered = life.copy("recovered-by-kafka")
        answer = life.inspect(recovered, questions)
        self.found, self.dumped = answer["found"], dumped
        judged = Judged(self.found, modified_ms(recovered))
        self.compare_found("read", self.found, dumped, judged)
        self.sound = life.partition if life.clean else self.check_repair(recovered)
        self.disagree("asked", compare_answers(answer, answers_of_varve(self.sound, questions)), judged)

    def changed_segments(self, partition):
        """The base offsets of a partition's segments that are not as they were before somebody went on with the log."""
        differences = compare_files(files_of(self.sound), files_of(partition))
        return frozenset(int(one.place.split(".")[0]) for one in differences)

    def met(self):
        """Which of MET this life has."""
        life, batches = self.life, self.found["batches"]
        happened = "\n".join(life.operations)
        has = {
            "clean": life.clean, "crashed": not life.clean, "damaged": bool(life.damage), "compacting": life.compacts,
            "aborted": bool(self.found["aborted_txns"]), "epochs": len(self.found["leader_epochs"]) > 1,
            "open": any(one["current_txn_first_offset"] >= 0 for one in self.found["producers"]),
            "truncated": life.was_truncated, "begun anew": "begun anew" in happened,
            "retained": re.search("retention deleted [1-9]", happened) is not None,
            "log start raised": "log start" in happened, "followed": "follower copied" in happened,
            "cleaned": re.search("^cleaned$", happened, re.MULTILINE) is not None, "reopened": "reopened" in happened,
            "transactional": any(batch["transactional"] and not batch["control"] for batch in batches),
            "idempotent": any(batch["producer_id"] >= 0 and not batch["transactional"] for batch in batches),
            "continued": "continued by varve" in self.segments_of_varve,
            "rolled by varve": self.segments_of_varve["continued by varve"] > 0,
            "compacted": self.segments_of_varve["compacted"] > 0, "records compacted": self.records_compacted > 0,
            "compacted, nothing to do": self.had_nothing_to_compact}
        return {name for name, holds in has.items() if holds} | {batch["codec"] for batch in batches}

    def explains(self, difference, judged):
        return not self.exceptions.unexplained([difference], judged)

    def settle_loading(self):
        """Where it shows that Kafka recovered segments while it loaded them, they get indexes, so that it does not."""
        life, without = self.life, self.life.bases_without_index
        if not without:
            return
        found = life.inspect(life.copy("loaded"))["found"]
        if self.explains(Difference("loading", without, found, dump(life, life.partition)), Judged(found, {})):
            life.lay_empty_indexes()

    def settle_epochs(self):
        """Where epochs of offsets that are gone made Kafka forget others, they are gone as well."""
        life, dumped = self.life, dump(self.life, self.life.partition)
        end = dumped["log"]["log_end_offset"]
        if all(start < end for _, start in leader_epochs_of(life.partition)):
            return
        found = life.inspect(life.copy("with-all-epochs"))["found"]
        if self.explains(Difference("epochs", end, found["leader_epochs"], dumped["leader_epochs"]), Judged(found, {})):
            drop_leader_epochs(life.partition, end)

    def dump_believed(self):
        """What varve finds, after a recovery point that lies above the log was made to say what the files do."""
        life = self.life
        dumped = dump(life, life.partition)
        ours = dumped["log"]["log_end_offset"]
        if life.clean or ours != life.recovery_point:
            return dumped
        found = life.inspect(life.copy("above"))["found"]
        kafkas = found["log"]["log_end_offset"]
        if kafkas == ours:
            return dumped
        self.disagree("end", [Difference("end", life.recovery_point, kafkas, ours)], Judged(found, {}))
        life.lower_recovery_point(kafkas)
        return dump(life, life.partition)

    def check_repair(self, recovered):
        """varve's recovery leaves the files that Kafka's does. Returns the repaired copy, without Kafka's marks."""
        life = self.life
        repaired = life.copy("repaired")
        run("repair", repaired, "--on-damage", "truncate", "--index-interval-bytes", life.index_interval_bytes, "--now",
            life.first_ms)
        self.compare_left("repaired", self.found, files_of(recovered), files_of(repaired))
        # Beside Kafka's files, whose clean marker is gone, it would be recovered by each opening.
        alone = life.directory / "alone" / repaired.name
        alone.parent.mkdir()
        return repaired.rename(alone)

    def compare_left(self, check, found, kafka_files, varve_files):
        """The files that hold the log, its epochs and its producers. `found`: by Kafka in those that it left."""
        differences = compare_files(kafka_files, varve_files, (*LOG_FILES, "leader-epoch-checkpoint"))
        self.disagree(check, differences + compare_snapshots(kafka_files, varve_files), Judged(found, {}))

    def closed_by_varve(self, partition):
        """A copy of a partition without the marks of Kafka beside it, which say less than varve's."""
        alone = self.life.directory / f"{partition.parent.name} alone" / partition.name
        shutil.copytree(partition, alone)
        return alone

    def check_found(self, check, partition, clean=None):
        """Kafka finds in a directory that varve or Kafka went on with what varve finds, and answers. Returns that.

        It opens it by the marks beside it, or after a clean stop.
        """
        dumped = dump(self.life, partition)
        questions = questions_about(dumped, QUESTIONS_OF_A_KIND)
        copy = self.life.copy(f"{check} and looked at by kafka", of=partition)
        marks = {"clean": True, "recovery_point": None, "log_start_offset": dumped["log"]["log_start_offset"]}
        answer = self.life.inspect(copy, questions, marks if clean else None)
        judged = Judged(answer["found"], modified_ms(copy), self.changed_segments(partition))
        self.compare_found(check, answer["found"], dumped, judged)
        self.disagree(check, compare_answers(answer, answers_of_varve(partition, questions)), judged)
        return dumped

    def check_rebuilt(self, check, partition, dumped, interval_bytes, suffixes, is_varves):
        """Kafka's recovery of all that varve has gone on with loses nothing and leaves the files that varve's does.

        Of a segment that is varve's, by the name of its .log file, those with a suffix of these are as varve wrote them.
        """
        copy = self.life.copy(f"{check} and rebuilt by kafka", of=partition)
        found = self.life.inspect(copy, otherwise={
            "clean": False, "recovery_point": 0, "log_start_offset": dumped["log"]["log_start_offset"],
            "config": {**self.life.config, "index.interval.bytes": interval_bytes}})["found"]
        judged = Judged(found, {}, frozenset(segment["base"] for segment in found["segments"]))
        kept = settled(found, dumped, lambda difference: self.explains(difference, judged))
        self.disagree(check, compare_members({**dumped, "batches": kept["batches"], "records": kept["records"]},
                                             dumped), judged)
        repaired = self.life.copy(f"{check} and repaired", of=partition)
        run("repair", repaired, "--force", "--all", "--index-interval-bytes", interval_bytes, "--now", self.life.first_ms)
        gone = gone_segments(found, kept)
        rebuilt, recovered, left = (without_segments(files_of(place), gone) for place in (copy, repaired, partition))
        self.compare_left(f"{check} and repaired", found, rebuilt, recovered)
        bases = {name.removesuffix(".log") for name in left if name.endswith(".log") and is_varves(name)}
        self.segments_of_varve[check] += len(bases)
        theirs, ours = ({name: content for name, content in files.items() if name.split(".")[0] in bases}
                        for files in (rebuilt, left))
        self.disagree(f"{check}, as written", compare_files(theirs, ours, suffixes), Judged(found, {}))

    def check_continuing(self):
        """Kafka reads on in what varve continued, and the other way round."""
        life, before = self.life, self.dumped
        partition = life.copy("continued")
        records = self.records_to_append()
        run("append", partition, "--format", "jsonl", "--now", life.clock_ms, "--batch-records",
            self.dice.randint(1, 9), "--compression", self.dice.choice(CODECS), "--index-interval-bytes",
            life.index_interval_bytes, *self.segment_size(), input="".join(json.dumps(one) + "\n" for one in records))
        alone = self.closed_by_varve(partition)
        after = self.check_found("continued by varve", alone, clean=True)
        active = f"{before['segments'][-1]['base']:020}"
        self.check_kept(active, files_of(self.sound), files_of(alone))
        self.check_rebuilt("continued by varve", alone, after, life.index_interval_bytes, LOG_FILES,
                           lambda log: log > f"{active}.log")
        end = before["log"]["log_end_offset"]
        start = before["log"]["log_start_offset"]
        self.expect_equal("log start", start, after["log"]["log_start_offset"])
        self.expect_equal("old records", [record for record in before["records"] if record[0] >= start],
                          [record for record in after["records"] if start <= record[0] < end])
        self.expect_equal("new records", [[end + i, *record_as_dumped(one)] for i, one in enumerate(records)],
                          [record for record in after["records"] if record[0] >= end])
        epochs = before["leader_epochs"] or [[0, end]]
        self.expect_equal("epochs", epochs, after["leader_epochs"])
        known = [one for one in before["producers"] if self.is_not_idle(one)]
        left = [self.without_idle_markers(one) for one in after["producers"]]
        self.expect_equal("forgotten producers", [],
                          [one for one in known if self.without_idle_markers(one) not in left])
        appended = life.request("continue", partition, seed=life.seed)["appended"]
        gone_on = {one["producer_id"] for one in appended}
        known_to_kafka = {one["producer_id"] for one in known} & self.producers_after_a_crash()
        self.expect_equal("producers that stopped", set(), known_to_kafka - gone_on)
        after = self.check_found("continued by kafka", partition)
        batches = {batch["base_offset"]: batch for batch in after["batches"]}
        for one in appended:
            batch = batches.get(one["base_offset"], {})
            self.expect_equal("batch of a producer", one, {
                "producer_id": batch.get("producer_id"), "epoch": batch.get("producer_epoch"),
                "base_sequence": batch.get("base_sequence"), "base_offset": one["base_offset"],
                "last_offset": batch.get("last_offset")})

    def check_kept(self, active, before, after):
        """The older segments are as they were, and what was in the active one still begins it."""
        older, kept = ({name: content for name, content in files.items() if name < f"{active}."}
                       for files in (before, after))
        self.disagree("older segments", compare_files(older, kept), Judged(self.found, {}))
        for suffix in LOG_FILES:
            name = f"{active}{suffix}"
            begun = before.get(name, b"")
            self.expect_equal(f"begin of {name}", begun, after.get(name, b"")[:len(begun)])

    def is_not_idle(self, producer):
        return (producer["current_txn_first_offset"] >= 0 or
                self.life.clock_ms - producer["timestamp"] < DAY_MS)

    def without_idle_markers(self, producer):
        """Without the coordinator of the last marker where that may have been forgotten for being idle."""
        may_be_idle = self.life.clock_ms - self.life.first_ms >= DAY_MS
        return {**producer, "coordinator_epoch": None} if may_be_idle else producer

    def producers_after_a_crash(self):
        """The ids of those that Kafka knows by the batches: varve's first change takes the mark of a clean stop away."""
        crashed = self.life.copy("crashed")
        self.life.inspect(crashed)
        (crashed.parent / ".kafka_cleanshutdown").unlink(missing_ok=True)
        return {one["producer_id"] for one in self.life.inspect(crashed)["found"]["producers"]}

    def records_to_append(self):
        """A few, or so many that they fill segments, though they be compressed."""
        dice, segment_bytes = self.dice, int(self.life.config.get("internal.segment.bytes", 0))
        fill = segment_bytes > 0 and dice.random() < 0.7
        long_bytes = segment_bytes // 40 if fill else 200
        return [{"key": f"key-{dice.randint(1, 24)}",
                 "value": dice.choice([None, "", f"varve's {i}", *3 * [dice.randbytes(long_bytes).hex()]]),
                 "timestamp": self.life.clock_ms + dice.randint(-1000, 1000),
                 "headers": [["from", "varve"]] if dice.random() < 0.2 else []}
                for i in range(dice.randint(80, 120) if fill else dice.randint(1, 40))]

    def segment_size(self):
        size = self.life.config.get("internal.segment.bytes")
        return [] if size is None else ["--segment-bytes", size]

    def check_compacting(self):
        """Kafka reads what varve compacted, and would have left the same records, batches and aborted transactions."""
        life = self.life
        compacted = life.copy("compacted")
        summary = run("compact", compacted, "--json", "--now", life.clock_ms, "--drop-unkeyed", "--delete-retention-ms",
                      life.config["delete.retention.ms"], "--min-lag-ms", life.config.get("min.compaction.lag.ms", 0),
                      *self.segment_size()).json()
        before, after = files_of(life.partition), files_of(compacted)
        ours = self.dumped
        if after != before:  # else there was nothing to compact, and nothing was opened or recovered
            compacted = self.closed_by_varve(compacted)
            ours = self.check_found("compacted", compacted, clean=True)
            # What is left of an aborted transaction does not tell where it began.
            self.check_rebuilt("compacted", compacted, ours, DEFAULT_INDEX_INTERVAL_BYTES, (".index", ".timeindex"),
                               lambda log: after[log] != before.get(log))
            self.check_untouched(compacted)
        self.had_nothing_to_compact = summary["passes"] == 0
        cleaned = life.copy("cleaned")
        life.request("clean", cleaned, rounds=max(summary["passes"], 1))  # where there was nothing to do, Kafka finds so
        kafkas = life.inspect(cleaned)["found"]
        start = self.dumped["log"]["log_start_offset"]
        self.expect_equal("log start", start, ours["log"]["log_start_offset"])
        differences = compare_compacted(compacted_from(start, kafkas), compacted_from(start, ours))
        self.disagree("left", differences, Judged(self.found, {}))
        kept = sum(record[0] >= start for record in ours["records"])
        self.records_compacted = sum(record[0] >= start for record in self.dumped["records"]) - kept

    def check_untouched(self, compacted):
        """Segments whose .log compaction left as it was have the indexes of before, or, rewritten, those of a repair."""
        opened = self.life.copy("opened")
        if not self.life.clean:
            run("repair", opened, "--on-damage", "truncate", "--now", self.life.clock_ms)
        before, after = files_of(opened), files_of(compacted)
        untouched = tuple(name.removesuffix("log") for name in before if name.endswith(".log")
                          and before[name] == after.get(name))
        repaired = files_of(self.life.directory / "compacted and repaired" / compacted.name)
        as_repaired = {name for name, content in after.items() if repaired.get(name) == content}
        before, after = ({name: content for name, content in files.items()
                          if name.startswith(untouched) and name not in as_repaired} for files in (before, after))
        self.disagree("untouched segments", compare_files(before, after), Judged(self.found, {}))


def compacted_from(start, found):
    """What compaction decides, by what it is and by offset.

    Of the log start on: what lies below nobody can read, and both are free to drop. In which segment something lies, and
    in how many bytes, is decided by who rolls and compresses.
    """
    def without(one, *members):
        return {name: value for name, value in one.items() if name not in members}

    left = {("record", record[0]): record for record in found["records"] if record[0] >= start}
    left |= {("batch", batch["base_offset"]): without(batch, "segment", "position", "bytes", "crc")
             for batch in found["batches"] if batch["last_offset"] >= start}
    return left | {("aborted transaction", one["last_offset"]): without(one, "segment")
                   for one in found["aborted_txns"] if one["last_offset"] >= start}


def compare_compacted(kafkas, ours):
    return [Difference(*place, kafkas.get(place), ours.get(place))
            for place in sorted(kafkas.keys() | ours.keys()) if kafkas.get(place) != ours.get(place)]


def record_as_dumped(record):
    """The timestamp, key, value and headers of a record as dump prints them."""
    def form(text):
        return None if text is None else as_dumped(text.encode())

    return [record["timestamp"], form(record["key"]), form(record["value"]),
            [[key, form(value)] for key, value in record["headers"]]]


class KafkaLivesTest(unittest.TestCase):
    def test_kafka_agrees(self):
        first_seed, count = asked_lives(100)
        exceptions = NamedExceptions(*IN_LIVES_OF_KAFKA)
        met = collections.Counter()
        differing = []
        with Judge() as judge:
            for seed in range(first_seed, first_seed + count):
                with self.subTest(seed=seed), tempfile.TemporaryDirectory(
                        prefix="varve-kafka-lives-", dir=directory_for_lives()) as directory:
                    differing.append(seed)  # until it is known not to
                    self.check_life(KafkaLife(judge, pathlib.Path(directory), seed), exceptions, met)
                    differing.remove(seed)
        report("lives of Kafka", count, differing, exceptions)
        if first_seed == 1 and count >= VARIED_LIVES:
            rare = [name for name, least in MET.items() if met[name] < least]
            self.assertEqual(rare, [], f"lives are not varied: {met}")

    def test_whatever_varve_spoils_is_noticed(self):
        ways = [(command, name, *way) for command, named in AFTER.items() for name, way in named.items()]
        with Judge() as judge:
            for seed in range(1, SPOILT_LIVES + 1):
                if not ways:
                    break
                command, name, spoil, noticed = way = ways.pop(0)
                with self.subTest(command=command, name=name, seed=seed), tempfile.TemporaryDirectory(
                        prefix="varve-kafka-lives-", dir=directory_for_lives()) as directory:
                    life = KafkaLife(judge, pathlib.Path(directory, "spoilt"), seed)
                    was_spoilt, told = self.spoilt_checks(life, command, spoil)
                    if was_spoilt:
                        self.assertTrue(any(re.search(noticed, one) for one in told), f"{told[:TOLD]}, {life}")
                        life = KafkaLife(judge, pathlib.Path(directory, "whole"), seed)
                        self.assertEqual(self.spoilt_checks(life, command, lambda _: True), (True, []), life)
                    else:
                        ways.append(way)  # in another life
        note("spoilt lives of Kafka")
        self.assertEqual(ways, [])

    def spoilt_checks(self, life, command, spoil):
        """Whether what a command left could be spoilt, and what Kafka and varve then disagree about, in words."""
        spoilt = []
        as_it_is = run

        def run_and_spoil(*arguments, **options):
            result = as_it_is(*arguments, **options)
            if arguments[0] == command and (command != "compact" or result.json()["passes"] > 0):
                spoilt.append(spoil(arguments[1]))
            return result

        checks = LifeChecks(life, NamedExceptions(*IN_LIVES_OF_KAFKA))
        if command != "repair":
            checks.check_reading()
        with mock.patch(f"{__name__}.run", run_and_spoil):
            try:
                {"repair": checks.check_reading, "append": checks.check_continuing,
                 "compact": checks.check_compacting}[command]()
            except (AssertionError, KafkaRefused) as error:
                checks.disagreements.append((command, error))
        return any(spoilt), [f"{check}: {difference}" for check, difference in checks.disagreements]

    def check_life(self, life, exceptions, met):
        checks = LifeChecks(life, exceptions)
        checks.check_reading()
        if life.seed % CONTINUED_EVERY == 0:
            checks.check_continuing()
        if life.seed % COMPACTED_EVERY == 1:
            checks.check_compacting()
        met.update(checks.met())
        if checks.disagreements:
            told = "\n".join(f"{check}: {difference}" for check, difference in checks.disagreements[:TOLD])
            self.fail(f"{len(checks.disagreements)} disagreements\n{told}\n{life}")


if __name__ == "__main__":
    unittest.main()
