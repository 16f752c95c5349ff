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
from life_exceptions import settled
from varve_command import files_of, varve

PROGRAM = os.environ["VARVE_LIVES"]
QUESTIONS_OF_A_KIND = 12
ROOMY_INDEX_BYTES = 1 << 20


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
        self.clean = told["clean"]

    def __str__(self):
        end = "closed" if self.clean else f"killed, recovery point {self.told['recovery_point']}"
        return f"VARVE_KAFKA_SEED={self.seed}: {'; '.join(self.told['steps'])}; {end}"

    def copy(self, name):
        target = self.partition.parent / name / self.partition.name
        shutil.copytree(self.partition, target)
        return target

    def judge(self, judge, exceptions):
        """What Kafka and varve disagree about, exceptions aside: all that they find, answer, and leave in the files."""
        before = files_of(self.partition)
        dump = run("dump", self.partition, "--as-opened", "--json").json()
        questions = questions_about(dump, QUESTIONS_OF_A_KIND)
        answers = answers_of_varve(self.partition, questions)
        differences = compare_files(before, files_of(self.partition)) + self.compare_ends(dump)
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
        differences += compare_files(self.kept_of(files_of(copy), found), self.kept_of(ours, found))
        return exceptions.unexplained(differences, judged)

    def kept_of(self, files, found):
        """Opening leaves the files of a log that was closed as they are; recovery may find segments that have to go."""
        if self.clean:
            return files
        bases = {segment["base"] for segment in found["segments"]}
        return {name: content for name, content in files.items()
                if not name.endswith(LOG_FILES) or int(name.split(".")[0]) in bases}

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

    def compare_ends(self, dump):
        """Nothing is lost, and nothing has come back."""
        return [Difference("kept", member, self.told[member], dump["log"][member])
                for member in ["log_start_offset", "log_end_offset"] if dump["log"][member] != self.told[member]]

    def index_too_small(self, error, recovered):
        """That Kafka's recovery found no room for one more entry, and how many varve's made at most."""
        full = re.search(r"Attempt to append to a full (time )?index \(size = (\d+)\)", error)
        if full is None:
            raise AssertionError(f"{error}\n{self}")
        suffix, entry_bytes = (".timeindex", 12) if full[1] else (".index", 8)
        entries = max(len(content) // entry_bytes for name, content in recovered.items() if name.endswith(suffix))
        room = self.told["config"]["segment.index.bytes"] // entry_bytes
        return Difference("index entries", room, int(full[2]), entries)
