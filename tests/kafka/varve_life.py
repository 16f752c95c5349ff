"""A random life of a log that varve carried out, and what Kafka and varve say of the directory that it left."""

import json
import os
import pathlib
import re
import shutil
import subprocess

from agreement import (LOG_FILES, Difference, Judged, answers_of_varve, compare_answers, compare_files, compare_members,
                       modified_ms, questions_about)
from kafka_judge import KafkaRefused
from kafka_life import make_old
from life_exceptions import gone_segments, settled, without_segments
from snapshot_files import compare_snapshots
from told_by_life import ToldByLife
from varve_command import files_of, varve

PROGRAM = os.environ["VARVE_LIVES"]
QUESTIONS_OF_A_KIND = 12
ROOMY_INDEX_BYTES = 1 << 20
# A log that did nothing of this was written in one go: its files are those that recovery makes.
REWRITING = {"reopen", "kill", "truncate", "start at", "delete before", "retain", "compact", "compact in part"}


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


def run(*arguments):
    result = varve(*arguments)
    if result.status != 0:
        raise AssertionError(f"varve {' '.join(map(str, arguments))}: exit {result.status}, {result.errors}")
    return result


class VarveLife:
    """A life that has ended: its directory, and what is known of the log."""

    def __init__(self, told):
        self.told = told
        self.seed = told["seed"]
        self.partition = pathlib.Path(told["dir"])
        make_old(self.partition)
        self.clean = told["clean"]
        steps = {step.rpartition(" at ")[0] for step in told["steps"]}
        self.written_in_one_go = self.clean and not steps & REWRITING
        # Recovery may know no more of a transaction that began below the log start.
        self.keeps_aborted = self.clean and not steps & {"kill", "compact", "compact in part"}

    def __str__(self):
        end = "closed" if self.clean else f"killed, recovery point {self.told['recovery_point']}"
        return f"VARVE_KAFKA_SEED={self.seed}: {'; '.join(self.told['steps'])}; {end}"

    def spoilt(self, name, spoil):
        """The same life with another directory, that of a copy which `spoil` has spoilt; None if there is nothing to."""
        copy = self.copy(name)
        return VarveLife({**self.told, "dir": str(copy)}) if spoil(copy) else None

    def copy(self, name):
        target = self.partition.parent / name / self.partition.name
        shutil.copytree(self.partition, target)
        return target

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
            differences.append(self.index_too_small(str(error), ours))
            copy = self.copy("kafka-with-room")
            answer = self.inspect(judge, copy, recovery_point, questions, {"segment.index.bytes": ROOMY_INDEX_BYTES})
        judged = Judged(answer["found"], modified_ms(self.partition))

        def explain(difference):
            return not exceptions.unexplained([difference], judged)

        found = settled(answer["found"], dump, explain)
        differences += compare_members(found, dump) + compare_answers(answer, answers)
        # What opening leaves of a log that was closed is there before; recovery may find segments that have to go.
        gone = set() if self.clean else gone_segments(answer["found"], found)
        differences += compare_files(*(without_segments(files, gone) for files in (files_of(copy), ours)))
        told = ToldByLife(self.told)
        differences += told.compare({**found, "log": dump["log"]}) + told.compare_last_snapshot(before)
        if self.keeps_aborted:
            differences += told.compare_aborted(dump)
        if self.clean:
            differences += self.compare_rebuilt(judge, dump, before)
        return exceptions.unexplained(differences, judged)

    def inspect(self, judge, copy, recovery_point, questions, otherwise={}):
        # No producer is idle at the beginning of time; for a dump none is.
        return judge.inspect(copy, clean=self.clean, recovery_point=recovery_point, clock_ms=0,
                             log_start_offset=self.told["log_start_offset"],
                             config={**self.told["config"], **otherwise}, **questions)

    def repair(self):
        """The files of a repaired copy, and of how many segments they were made anew."""
        partition = self.copy("repaired")
        report = run("repair", partition, "--now", self.told["clock_ms"], "--json").json()["report"]
        return files_of(partition), report["segments_recovered"]

    def compare_recovered(self, dump, recovered):
        """How many segments are recovered: in Kafka those from the one on that holds the recovery point."""
        point = self.told["recovery_point"]
        ends = [segment["base"] for segment in dump["segments"][1:]]
        from_point_on = 1 + sum(end > point for end in ends)
        return [] if recovered == from_point_on else [Difference("segments recovered", point, from_point_on, recovered)]

    def compare_rebuilt(self, judge, dump, before):
        """Kafka recovers the whole log, and loses nothing. One that was written in one go is what it makes of it."""
        copy = self.copy("rebuilt-by-kafka")
        found = judge.inspect(copy, clean=False, recovery_point=0, clock_ms=0,
                              log_start_offset=self.told["log_start_offset"],
                              config={**self.told["config"], "segment.index.bytes": ROOMY_INDEX_BYTES})["found"]
        rebuilt = files_of(copy)
        kept = ("batches", "records", "leader_epochs")
        differences = compare_files(rebuilt, before, LOG_FILES if self.written_in_one_go else (".log",))
        if self.written_in_one_go:
            kept += ("aborted_txns", "producers")
            differences += compare_snapshots(rebuilt, before)
        differences += compare_members({**dump, **{member: found[member] for member in kept}}, dump)
        return [difference._replace(what=f"rebuilt {difference.what}") for difference in differences]

    def index_too_small(self, error, recovered):
        """That Kafka's recovery found no room for one more entry, and how many varve's made at most."""
        full = re.search(r"Attempt to append to a full (time )?index \(size = (\d+)\)", error)
        if full is None:
            raise AssertionError(f"{error}\n{self}")
        suffix, entry_bytes = (".timeindex", 12) if full[1] else (".index", 8)
        entries = max(len(content) // entry_bytes for name, content in recovered.items() if name.endswith(suffix))
        room = self.told["config"]["segment.index.bytes"] // entry_bytes
        return Difference("index entries", room, int(full[2]), entries)
