"""A random life of a log that varve carried out, and what Kafka and varve say of the directory that it left."""

import json
import os
import pathlib
import re
import shutil
import subprocess

from agreement import (Difference, Judged, answers_of_varve, compare_answers, compare_files, compare_members,
                       modified_ms, questions_about, run)
from crash_damage import OF_WHAT_WAS_WRITTEN, spoil
from kafka_judge import KafkaRefused
from kafka_life import drop_leader_epochs, make_old
from life_exceptions import gone_segments, settled, without_segments
from snapshot_files import compare_snapshots
from told_by_life import ToldByLife
from varve_command import files_of

PROGRAM = os.environ["VARVE_LIVES"]
QUESTIONS_OF_A_KIND = 12
ROOMY_INDEX_BYTES = 1 << 20
# What rewrites segments, or ends their indexes otherwise than recovery does; the others only remove whole ones.
REINDEXING = {"reopen", "kill", "truncate", "compact", "compact in part"}
# A log that did nothing of this was written in one go: its files are those that recovery makes.
REWRITING = REINDEXING | {"start at", "delete before", "retain"}
MANY_STEPS = 20


def live(first_seed, count, directory):
    """Lives of so many seeds, each as soon as it has ended."""
    with subprocess.Popen([PROGRAM, "--seed", str(first_seed), "--count", str(count), "--into", str(directory)],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        try:
            for line in program.stdout:
                yield VarveLife(json.loads(line))
            errors = program.stderr.read()
        finally:
            program.kill()  # does nothing to one that has ended
    if program.returncode != 0:
        raise AssertionError(errors)


def index_too_small(error, index_bytes, recovered):
    """That Kafka's recovery found no room for one more entry, and how many varve's made at most; None for other errors.

    Kafka keeps the last place of a time index for when the segment is closed.
    """
    full = re.search(r"Attempt to append to a full (time )?index \(size = (\d+)\)", error)
    if full is None:
        return None
    suffix, entry_bytes, kept = (".timeindex", 12, 1) if full[1] else (".index", 8, 0)
    what = f"{full[1] or ''}index entries"
    entries = max(len(content) // entry_bytes for name, content in recovered.items() if name.endswith(suffix))
    return Difference(what, index_bytes // entry_bytes - kept, int(full[2]), entries)


# What lives are to meet, and how many of the first hundred at least.
MET = {"closed": 40, "killed": 20, "damaged": 10, "written in one go": 15, "in one go, by many steps": 10,
       "aborts in one go": 3, "recovered": 10, "truncated": 5, "deleted": 5, "retained": 2, "begun anew": 5,
       "reopened": 20, "killed on the way": 20, "compacted": 10, "aborted": 20, "open": 10, "epochs": 30,
       "segments": 30, "log start in a segment": 5, "delete horizon": 3, "emptied batch": 3, "log append time": 10,
       "idempotent": 30, "transactional": 30, "followed": 30, "none": 50, "gzip": 50, "snappy": 50, "lz4": 50,
       "zstd": 50}


class VarveLife:
    """A life that has ended: its directory, and what is known of the log."""

    def __init__(self, told):
        self.told = told
        self.seed = told["seed"]
        self.partition = pathlib.Path(told["dir"])
        make_old(self.partition)
        self.clean = told["clean"]
        self.damage = []
        self.kinds_of_steps = {step.rpartition(" at ")[0] for step in told["steps"]}
        self.written_in_one_go = self.clean and not self.kinds_of_steps & REWRITING
        self.keeps_indexes = self.clean and not self.kinds_of_steps & REINDEXING
        # Recovery may know no more of a transaction that began below the log start.
        self.keeps_aborted = self.clean and not self.kinds_of_steps & {"kill", "compact", "compact in part"}

    def __str__(self):
        end = "closed" if self.clean else f"killed, recovery point {self.recovery_point}, damage: {self.damage}"
        return f"VARVE_KAFKA_SEED={self.seed}: {'; '.join(self.told['steps'])}; {end}"

    def spoilt(self, name, spoil):
        """The same life with another directory, that of a copy which `spoil` has spoilt; None if there is nothing to."""
        copy = self.copy(name)
        return VarveLife({**self.told, "dir": str(copy)}) if spoil(copy) else None

    def copy(self, name):
        target = self.partition.parent / name / self.partition.name
        shutil.copytree(self.partition, target)
        return target

    @property
    def recovery_point(self):
        return self.told["recovery_point"]

    def be_damaged(self, dice):
        """As a crash of the machine might: what was not flushed is torn, spoilt, or followed by garbage."""
        dump = run("dump", self.partition, "--as-opened", "--json").json()
        batches = dump["batches"]
        ends = {batch["last_offset"] + 1 for batch in batches} | {segment["base"] for segment in dump["segments"]}
        if self.recovery_point not in ends:
            return  # a recovery point in a segment's hole says more than it knows, namely that there are no batches
        # What a mapped file has behind its batches is no tail to tear.
        last = max(segment["base"] for segment in dump["segments"])
        ends = [batch["position"] + batch["bytes"] for batch in batches if batch["segment"] == last]
        os.truncate(self.partition / f"{last:020}.log", max(ends, default=0))
        spoil(self, dice, batches, OF_WHAT_WAS_WRITTEN)
        make_old(self.partition)

    def judge(self, judge, exceptions):
        """What Kafka, varve and the life itself disagree about, exceptions aside: all that is found, answered, and left in
        the files."""
        before = files_of(self.partition)
        dump = run("dump", self.partition, "--as-opened", "--json").json()
        questions = questions_about(dump, QUESTIONS_OF_A_KIND)
        answers = answers_of_varve(self.partition, questions)
        differences = compare_files(before, files_of(self.partition))
        ours, recovery_point = before, self.told["recovery_point"]
        if not self.clean:
            ours, recovered = self.repair()
            one_more = self.compare_recovered(dump, recovered)
            differences += one_more
            recovery_point -= len(one_more)  # so that Kafka begins where varve did
        copy = self.copy("kafka")
        try:
            answer = self.inspect(judge, copy, recovery_point, questions)
        except KafkaRefused as error:
            too_small = index_too_small(str(error), self.told["config"]["segment.index.bytes"], ours)
            if too_small is None:
                raise AssertionError(f"{error}\n{self}") from error
            differences.append(too_small)
            copy = self.copy("kafka-with-room")
            answer = self.inspect(judge, copy, recovery_point, questions, {"segment.index.bytes": ROOMY_INDEX_BYTES})
        judged = Judged(answer["found"], modified_ms(self.partition))

        def explain(difference):
            return not exceptions.unexplained([difference], judged)

        end, epochs = dump["log"]["log_end_offset"], answer["found"]["leader_epochs"]
        if epochs != dump["leader_epochs"] and explain(Difference("epochs", end, epochs, dump["leader_epochs"])):
            copy = self.copy("kafka-without-lost-epochs")
            drop_leader_epochs(copy, end)
            answer = self.inspect(judge, copy, recovery_point, questions)
            judged = Judged(answer["found"], judged.modified_ms)
        found = settled(answer["found"], dump, explain)
        differences += compare_members(found, dump) + compare_answers(answer, answers)
        # What opening leaves of a log that was closed is there before; recovery may find segments that have to go.
        gone = set() if self.clean else gone_segments(answer["found"], found)
        kafkas, ours = (without_segments(files, gone) for files in (files_of(copy), ours))
        differences += compare_files(kafkas, ours)
        if not self.clean:
            differences += compare_snapshots(kafkas, ours)
        self.met = self.met_in(dump)
        told = ToldByLife(self.told)
        if self.damage:
            differences += told.compare_flushed(found, self.recovery_point)
        else:
            differences += told.compare({**found, "log": dump["log"]}) + told.compare_last_snapshot(before)
        if self.keeps_aborted:
            differences += told.compare_aborted(dump)
        if self.clean:
            differences += self.compare_rebuilt(judge, dump, before, explain)
        return exceptions.unexplained(differences, judged)

    def inspect(self, judge, copy, recovery_point, questions, otherwise={}):
        # No producer is idle at the beginning of time; for a dump none is.
        return judge.inspect(copy, clean=self.clean, recovery_point=recovery_point, clock_ms=0,
                             log_start_offset=self.told["log_start_offset"],
                             config={**self.told["config"], **otherwise}, **questions)

    def repair(self):
        """The files of a repaired copy, and of how many segments they were made anew."""
        partition = self.copy("repaired")
        report = run("repair", partition, "--on-damage", "truncate", "--now", 0, "--json").json()["report"]
        return files_of(partition), report["segments_recovered"]

    def compare_recovered(self, dump, recovered):
        """How many segments are recovered: in Kafka those from the one on that holds the recovery point."""
        point = self.told["recovery_point"]
        ends = [segment["base"] for segment in dump["segments"][1:]]
        from_point_on = 1 + sum(end > point for end in ends)
        return [] if recovered == from_point_on else [Difference("segments recovered", point, from_point_on, recovered)]

    def met_in(self, dump):
        """Which of MET this life has."""
        batches, steps = dump["batches"], self.kinds_of_steps
        has = {
            "closed": self.clean, "killed": not self.clean, "damaged": bool(self.damage),
            "written in one go": self.written_in_one_go,
            "recovered": not self.clean and self.recovery_point < dump["log"]["log_end_offset"],
            "in one go, by many steps": self.written_in_one_go and len(self.told["steps"]) >= MANY_STEPS,
            "aborts in one go": self.written_in_one_go and bool(dump["aborted_txns"]),
            "truncated": self.told["truncated"] > 0, "deleted": self.told["deleted"] > 0,
            "retained": self.told["deleted"] > 0 and "delete before" not in steps, "begun anew": "start at" in steps,
            "reopened": "reopen" in steps, "killed on the way": "kill" in steps,
            "compacted": self.told["compacted"] > 0, "aborted": bool(dump["aborted_txns"]),
            "open": dump["log"]["last_stable_offset"] < dump["log"]["log_end_offset"],
            "epochs": len(dump["leader_epochs"]) > 1, "segments": len(dump["segments"]) > 1,
            "log start in a segment": dump["log"]["log_start_offset"] > dump["segments"][0]["base"],
            "delete horizon": any(batch["delete_horizon"] is not None for batch in batches),
            "emptied batch": any(batch["count"] == 0 for batch in batches),
            "log append time": any(batch["timestamp_type"] == "LogAppendTime" for batch in batches),
            "idempotent": any(batch["producer_id"] >= 0 and not batch["transactional"] for batch in batches),
            "transactional": any(batch["transactional"] and not batch["control"] for batch in batches),
            "followed": "append as a follower" in steps}
        return {name for name, holds in has.items() if holds} | {batch["codec"] for batch in batches}

    def compare_rebuilt(self, judge, dump, before, explain):
        """Kafka recovers the whole log, and loses nothing. One that was written in one go is what it makes of it, as are
        the indexes where no segment was gone on with, and those of transactions where nothing of them was taken away."""
        found, rebuilt = self.rebuild(judge, "rebuilt-by-kafka", ROOMY_INDEX_BYTES)
        found = settled(found, dump, explain)
        kept = ("batches", "records", "leader_epochs")
        known, suffixes = [], [".log"]
        if self.keeps_indexes:
            index_bytes = self.told["config"]["segment.index.bytes"]
            try:
                self.rebuild(judge, "rebuilt-with-small-indexes", index_bytes)
                suffixes += [".index", ".timeindex"]
            except KafkaRefused as error:
                too_small = index_too_small(str(error), index_bytes, rebuilt)
                if too_small is None:
                    raise
                known.append(too_small)
        if self.keeps_aborted and not self.told["deleted"]:
            suffixes.append(".txnindex")
        differences = compare_files(rebuilt, before, tuple(suffixes))
        if self.written_in_one_go:
            kept += ("aborted_txns", "producers")
            differences += compare_snapshots(rebuilt, before)
        differences += compare_members({**dump, **{member: found[member] for member in kept}}, dump)
        return known + [difference._replace(what=f"rebuilt {difference.what}") for difference in differences]

    def rebuild(self, judge, name, index_bytes):
        """What Kafka finds when it recovers a copy from its beginning, and the files that it leaves."""
        copy = self.copy(name)
        found = judge.inspect(copy, clean=False, recovery_point=0, clock_ms=0,
                              log_start_offset=self.told["log_start_offset"],
                              config={**self.told["config"], "segment.index.bytes": index_bytes})["found"]
        return found, files_of(copy)
