"""Directories that Kafka wrote in random lives: varve reads, repairs, continues and compacts them as Kafka does.

A life is told by its seed: VARVE_KAFKA_SEED=N judges that one alone, VARVE_KAFKA_LIVES=COUNT so many from there on.
"""

import base64
import collections
import hashlib
import json
import pathlib
import random
import tempfile
import unittest

from agreement import (Difference, Judged, NamedExceptions, answers_of_varve, compare_answers, compare_files,
                       compare_members, modified_ms, questions_about)
from crash_damage import damage
from kafka_judge import Judge
from kafka_life import KafkaLife
from life_exceptions import IN_LIVES, settled
from lives_asked import asked_lives, directory_for_lives, report
from varve_command import files_of, varve
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
VARIED_LIVES = 50  # so many have met everything


def run(*arguments, **options):
    result = varve(*arguments, **options)
    if result.status != 0:
        raise AssertionError(f"varve {' '.join(map(str, arguments))}: exit {result.status}, {result.errors}")
    return result


def dump(life, partition):
    return run("dump", partition, "--as-opened", "--json", "--index-interval-bytes", life.index_interval_bytes).json()


class LifeChecks:
    """What is done to one life, and what Kafka and varve then disagree about."""

    def __init__(self, life, exceptions):
        self.life = life
        self.exceptions = exceptions
        self.dice = random.Random(life.seed)
        self.disagreements = []
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
        place = life.partition
        if not life.clean:
            place = self.check_repair(recovered)
        self.disagree("asked", compare_answers(answer, answers_of_varve(place, questions)), judged)

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
        if all(start < end for _, start in life.leader_epochs):
            return
        found = life.inspect(life.copy("with-all-epochs"))["found"]
        if self.explains(Difference("epochs", end, found["leader_epochs"], dumped["leader_epochs"]), Judged(found, {})):
            life.drop_leader_epochs(end)

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
        run("repair", repaired, "--on-damage", "truncate", "--index-interval-bytes", life.index_interval_bytes)
        self.disagree("repaired", compare_files(files_of(recovered), files_of(repaired)), Judged(self.found, {}))
        # Beside Kafka's files, whose clean marker is gone, it would be recovered by each opening.
        alone = life.directory / "alone" / repaired.name
        alone.parent.mkdir()
        return repaired.rename(alone)

    def check_found(self, check, partition):
        """Kafka finds in a directory that varve or Kafka went on with what varve finds. Returns that."""
        dumped = dump(self.life, partition)
        copy = self.life.copy(f"{check} and looked at by kafka", of=partition)
        found = self.life.inspect(copy)["found"]
        self.compare_found(check, found, dumped, Judged(found, modified_ms(copy)))
        return dumped

    def check_continuing(self):
        """Kafka reads on in what varve continued, and the other way round."""
        life, before = self.life, self.dumped
        partition = life.copy("continued")
        records = self.records_to_append()
        run("append", partition, "--format", "jsonl", "--now", life.clock_ms, "--batch-records",
            self.dice.randint(1, 9), "--compression", self.dice.choice(CODECS), "--index-interval-bytes",
            life.index_interval_bytes, *self.segment_size(), input="".join(json.dumps(one) + "\n" for one in records))
        after = self.check_found("continued by varve", partition)
        end = before["log"]["log_end_offset"]
        first = after["segments"][0]["base"]
        self.expect_equal("old records", [record for record in before["records"] if record[0] >= first],
                          [record for record in after["records"] if record[0] < end])
        self.expect_equal("new records", [[end + i, *as_dumped(one)] for i, one in enumerate(records)],
                          [record for record in after["records"] if record[0] >= end])
        epochs = before["leader_epochs"] or [[0, end]]
        self.expect_equal("epochs", epochs, after["leader_epochs"])
        remembered = self.producers_after_a_crash()
        self.expect_equal("forgotten producers", [], [one for one in remembered if one not in after["producers"]])
        appended = life.request("continue", partition, seed=life.seed)["appended"]
        gone_on = {one["producer_id"] for one in appended}
        self.expect_equal("producers that stopped", [],
                          [one for one in remembered if one["producer_id"] not in gone_on])
        after = self.check_found("continued by kafka", partition)
        batches = {batch["base_offset"]: batch for batch in after["batches"]}
        for one in appended:
            batch = batches.get(one["base_offset"], {})
            self.expect_equal("batch of a producer", one, {
                "producer_id": batch.get("producer_id"), "epoch": batch.get("producer_epoch"),
                "base_sequence": batch.get("base_sequence"), "base_offset": one["base_offset"],
                "last_offset": batch.get("last_offset")})

    def producers_after_a_crash(self):
        """Those that Kafka knows, too, where it opens the log, stops uncleanly, and forgets nobody for being idle."""
        crashed = self.life.copy("crashed")
        self.life.inspect(crashed)
        (crashed.parent / ".kafka_cleanshutdown").unlink(missing_ok=True)
        producers = self.life.inspect(crashed)["found"]["producers"]
        return [one for one in producers if one["current_txn_first_offset"] >= 0 or
                self.life.clock_ms - one["timestamp"] < DAY_MS]

    def records_to_append(self):
        dice = self.dice
        return [{"key": f"key-{dice.randint(1, 24)}", "value": dice.choice([None, "", f"varve's {i}", "x" * 300]),
                 "timestamp": self.life.clock_ms + dice.randint(-1000, 1000),
                 "headers": [["from", "varve"]] if dice.random() < 0.2 else []} for i in range(dice.randint(1, 40))]

    def segment_size(self):
        size = self.life.config.get("internal.segment.bytes")
        return [] if size is None else ["--segment-bytes", size]

    def check_compacting(self):
        """Kafka reads what varve compacted, and would have kept the same records."""
        life = self.life
        compacted = life.copy("compacted")
        summary = run("compact", compacted, "--json", "--now", life.clock_ms, "--drop-unkeyed", "--delete-retention-ms",
                      life.config["delete.retention.ms"], "--min-lag-ms", life.config.get("min.compaction.lag.ms", 0),
                      *self.segment_size()).json()
        ours = self.check_found("compacted", compacted)
        cleaned = life.copy("cleaned")
        life.request("clean", cleaned, rounds=summary["passes"])
        kafkas = life.inspect(cleaned)["found"]
        start = ours["log"]["log_start_offset"]  # what lies below nobody can read, and both are free to drop
        mine, theirs = ({record[0]: record for record in found["records"] if record[0] >= start}
                        for found in (ours, kafkas))
        differences = [Difference("record", offset, theirs.get(offset), mine.get(offset))
                       for offset in sorted(mine.keys() | theirs.keys()) if mine.get(offset) != theirs.get(offset)]
        self.disagree("records left", differences, Judged(self.found, {}))


def as_dumped(record):
    """The timestamp, key, value and headers of a record as dump prints them."""
    def form(text):
        if text is None:
            return None
        content = text.encode()
        if len(content) <= 48:
            return base64.b64encode(content).decode()
        return f"sha256:{hashlib.sha256(content).hexdigest()}:{len(content)}"

    return [record["timestamp"], form(record["key"]), form(record["value"]),
            [[key, form(value)] for key, value in record["headers"]]]


class KafkaLivesTest(unittest.TestCase):
    def test_kafka_agrees(self):
        first_seed, count = asked_lives(100)
        exceptions = NamedExceptions(*IN_LIVES_OF_KAFKA)
        met = collections.Counter()
        differing = 0
        with Judge() as judge:
            for seed in range(first_seed, first_seed + count):
                with self.subTest(seed=seed), tempfile.TemporaryDirectory(
                        prefix="varve-kafka-lives-", dir=directory_for_lives()) as directory:
                    differing += 1  # until it is known not to
                    self.check_life(KafkaLife(judge, pathlib.Path(directory), seed), exceptions, met)
                    differing -= 1
        report("lives of Kafka", count, differing, exceptions)
        if count >= VARIED_LIVES:
            self.assertGreater(min(met.values()), count // 10, f"lives are not as varied as they should be: {met}")

    def check_life(self, life, exceptions, met):
        checks = LifeChecks(life, exceptions)
        checks.check_reading()
        if life.seed % CONTINUED_EVERY == 0:
            checks.check_continuing()
        if life.seed % COMPACTED_EVERY == 1:
            checks.check_compacting()
        met.update({"clean": life.clean, "crashed": not life.clean, "damaged": bool(life.damage),
                    "compacting": life.compacts, "aborted": bool(checks.found["aborted_txns"]),
                    "open": any(one["current_txn_first_offset"] >= 0 for one in checks.found["producers"])})
        if checks.disagreements:
            told = "\n".join(f"{check}: {difference}" for check, difference in checks.disagreements[:TOLD])
            self.fail(f"{len(checks.disagreements)} disagreements\n{told}\n{life}")


if __name__ == "__main__":
    unittest.main()
