"""Compares what Kafka and varve find in the same directory, and knows where they differ on purpose or by a known fault.

A difference is a failure unless a named exception applies to it: one that says why, checks its own condition, and is
counted.
"""

import collections
import hashlib
import pathlib
import shutil
import tempfile
from typing import Callable, NamedTuple

from manifest_forms import MEMBERS, comparable, epoch_answer, time_answer
from varve_command import files_of, find_answers, varve

# The files that hold the log itself, which nobody may change in a directory that was closed cleanly.
LOG_FILES = (".log", ".index", ".timeindex", ".txnindex")
# Questions to a log: the option of `varve find`, the member of an answer of the judge, its form as find prints it.
QUESTIONS = [("--offset", "offset_queries", dict), ("--time", "time_queries", time_answer),
             ("--epoch", "epoch_queries", epoch_answer)]
EARLIEST, LATEST, LARGEST = -2, -1, -3


class Difference(NamedTuple):
    """`what` is a member, "file", or a question ("offset", "time", "epoch"); `place` is where, or what was asked."""

    what: str
    place: object
    kafka: object
    varve: object


class Judged(NamedTuple):
    """What an exception may look at: what Kafka found, and the dates of the .log files, in ms by base offset.

    `varves` are the base offsets of the segments that are not as Kafka left them.
    """

    found: dict
    modified_ms: dict
    varves: frozenset = frozenset()


class NamedException(NamedTuple):
    name: str
    reason: str
    applies: Callable[[Difference, Judged], bool]


class NamedExceptions:
    """Counts the differences that are known and explained, and says at the end which there were."""

    def __init__(self, *known):
        self._known = known
        self._counts = collections.Counter()

    def unexplained(self, differences, judged):
        """Those differences to which no exception applies; the others are counted."""
        left = []
        for difference in differences:
            name = next((known.name for known in self._known if known.applies(difference, judged)), None)
            if name is None:
                left.append(difference)
            else:
                self._counts[name] += 1
        return left

    def count(self, name):
        return self._counts[name]

    def counts(self):
        """How often each applied, by name."""
        return {known.name: self._counts[known.name] for known in self._known}

    def summary(self):
        lines = [f"  {self._counts[known.name]} {known.name}: {known.reason}" for known in self._known]
        return "\n".join([f"{sum(self._counts.values())} differences by named exceptions", *lines])


def compare_members(kafka_found, varve_dump):
    """A difference for each member: the first place in a list, or each name in the object `log`."""
    differences = []
    for member in MEMBERS:
        kafka, ours = (comparable(member, found[member]) for found in (kafka_found, varve_dump))
        if isinstance(kafka, dict):
            differences += [Difference(member, name, kafka.get(name), ours.get(name))
                            for name in sorted(kafka.keys() | ours.keys()) if kafka.get(name) != ours.get(name)]
        elif kafka != ours:
            place = next((i for i, (one, other) in enumerate(zip(kafka, ours)) if one != other),
                         min(len(kafka), len(ours)))
            differences.append(Difference(member, place, kafka[place:place + 1], ours[place:place + 1]))
    return differences


def compare_answers(kafka_answer, varve_answers):
    """A difference for each question that the judge's answer and `answers_of_varve` answer otherwise."""
    differences = []
    for option, member, as_found in QUESTIONS:
        kafka, ours = list(map(as_found, kafka_answer[member])), varve_answers[member]
        if len(kafka) != len(ours):
            raise ValueError(f"{len(kafka)} and {len(ours)} answers to {option}")
        what = option.removeprefix("--")
        differences += [Difference(what, one[what], one, other) for one, other in zip(kafka, ours) if one != other]
    return differences


def answers_of_varve(partition, questions):
    """What `varve find` says of {"offsets": …, "times": …, "epochs": …}."""
    answers = {}
    for option, member, _ in QUESTIONS:
        answers[member] = find_answers(partition, option, questions[option.removeprefix("--") + "s"])
        for answer in answers[member]:
            answer.pop("batches_scanned", None)
    return answers


def described(content):
    """A file's content in a Difference."""
    return f"{len(content)} bytes, sha256 {hashlib.sha256(content).hexdigest()}"


def compare_files(kafka_files, varve_files, suffixes=LOG_FILES):
    """A difference for each file with one of these endings that only one has, or that has other bytes in the other."""
    kafka, ours = ({name: described(content) for name, content in files.items() if name.endswith(suffixes)}
                   for files in (kafka_files, varve_files))
    return [Difference("file", name, kafka.get(name), ours.get(name))
            for name in sorted(kafka.keys() | ours.keys()) if kafka.get(name) != ours.get(name)]


def questions_about(dump, limit=40):
    """Questions whose answers say much: every kind of place in the log, or a number of them spread over it."""
    def some(numbers):
        numbers = sorted(set(numbers))
        step = max(1, len(numbers) // limit)
        return numbers[::step] + numbers[-1:]

    start, end = dump["log"]["log_start_offset"], dump["log"]["log_end_offset"]
    offsets = {start - 1, start, end - 1, end, end + 1} - {-1}
    offsets |= set(some(offset for batch in dump["batches"] for offset in (batch["base_offset"], batch["last_offset"])))
    offsets |= set(some(batch["last_offset"] + 1 for batch in dump["batches"]))
    times = {EARLIEST, LATEST, LARGEST, 0}
    times |= set(some(record[1] + near for record in dump["records"] if record[1] > 0 for near in (-1, 0, 1)))
    epochs = {near for epoch, _ in dump["leader_epochs"] for near in (epoch - 1, epoch, epoch + 1)} | {0}
    return {"offsets": sorted(offsets), "times": sorted(times), "epochs": sorted(epochs - {-1})}


def modified_ms(partition):
    return {int(path.stem): path.stat().st_mtime_ns // 1_000_000 for path in pathlib.Path(partition).glob("*.log")}


def first_record_from(found, time_ms):
    """The truth about a time: [timestamp, offset] of the first record that is not older, or None."""
    start = found["log"]["log_start_offset"]
    return next(([timestamp, offset] for offset, timestamp, *_ in found["records"]
                 if offset >= start and timestamp >= time_ms), None)


def _looked_into(judged, time_ms):
    """The one segment into which Kafka looks for a time: the first whose largest timestamp, or date, is not older."""
    for segment in judged.found["segments"]:
        largest = segment["max_timestamp"]
        if (largest if largest >= 0 else judged.modified_ms[segment["base"]]) >= time_ms:
            return segment
    return None


def _vain_segment(difference, judged):
    """Where Kafka has no answer to a time and varve has the true one: the segment in which Kafka looked in vain."""
    if difference.what != "time" or difference.place < 0 or difference.kafka["result"] != "none":
        return None
    segment = _looked_into(judged, difference.place)
    truth = first_record_from(judged.found, difference.place)
    if segment is None or truth is None or truth != [difference.varve.get("timestamp"), difference.varve.get("offset")]:
        return None
    return segment if truth[1] >= segment["next_offset"] else None


def _file_date_counts(difference, judged):
    segment = _vain_segment(difference, judged)
    return segment is not None and segment["max_timestamp"] < 0


def _no_later_segment_is_tried(difference, judged):
    segment = _vain_segment(difference, judged)
    return segment is not None and segment["max_timestamp"] >= 0


def _no_aborted_transaction(difference, judged):
    if difference.what != "file" or difference.varve is not None or not difference.kafka.startswith("0 bytes,"):
        return False
    base, _, suffix = difference.place.partition(".")
    return suffix == "txnindex" and any(segment["base"] == int(base) and segment["aborted_txns"] == 0
                                        for segment in judged.found["segments"])


FILE_DATE = NamedException(
    "file-date", "Kafka takes the date of the file of a segment without timestamps for its largest timestamp, looks "
    "there and nowhere else, and finds nothing; varve never uses a file's date", _file_date_counts)
ONE_SEGMENT = NamedException(
    "one-segment", "Kafka looks for a time in one segment only, the first that claims a late enough time, and finds "
    "nothing where compaction took its late records; varve goes on to the next", _no_later_segment_is_tried)
EMPTY_TXNINDEX = NamedException(
    "empty-txnindex", "where a segment has no aborted transactions any more, because compaction took them or a crash, "
    "Kafka's recovery leaves a .txnindex of 0 bytes and varve none, which says the same", _no_aborted_transaction)
KNOWN = (FILE_DATE, ONE_SEGMENT, EMPTY_TXNINDEX)


class Agreement:
    """Shows a directory of varve to Kafka and returns what they disagree about, named exceptions aside.

    `judge` is a running kafka_judge.Judge; the exceptions' counts go up. The directory itself is only read.
    """

    def __init__(self, judge, exceptions, **about_directories):
        """`about_directories` goes with each request to inspect one."""
        self._judge = judge
        self._exceptions = exceptions
        self._about = about_directories

    def after_clean_stop(self, partition, *, index_interval_bytes, clock_ms=None):
        """Kafka trusts the files: it finds and answers what varve does, and changes none, nor the epochs.

        Of the snapshots it removes those that it always removes when it opens a log, as `dump --as-opened` says: the
        ones at no segment's base but for the newest, and the ones outside of the log.
        """
        def compare(copy, dump):
            questions = questions_about(dump)
            before = _without_stray_snapshots(files_of(copy), dump)
            answer = self._judge.inspect(copy, clean=True, log_start_offset=dump["log"]["log_start_offset"],
                                         config={"index.interval.bytes": index_interval_bytes}, clock_ms=clock_ms,
                                         **self._about, **questions)
            differences = compare_members(answer["found"], dump)
            differences += compare_answers(answer, answers_of_varve(partition, questions))
            differences += compare_files(files_of(copy), before, (*LOG_FILES, ".snapshot", "leader-epoch-checkpoint"))
            return answer["found"], differences

        return self._compare(partition, index_interval_bytes, compare)

    def after_crash(self, partition, *, index_interval_bytes, clock_ms=None):
        """Kafka checks everything, loses nothing, and rebuilds the files that `varve repair` rebuilds."""
        def compare(copy, dump):
            repaired = copy.parent.parent / "repaired" / partition.name
            shutil.copytree(partition, repaired)
            now = [] if clock_ms is None else ["--now", clock_ms]  # an idle producer is forgotten after a day
            run("repair", repaired, "--force", "--all", "--index-interval-bytes", index_interval_bytes, *now)
            rebuilt = run("dump", repaired, "--as-opened", "--json").json()
            found = self._judge.inspect(copy, clean=False, recovery_point=0, clock_ms=clock_ms,
                                        log_start_offset=dump["log"]["log_start_offset"],
                                        config={"index.interval.bytes": index_interval_bytes})["found"]
            kept = {member: dump[member] for member in ("batches", "records")}
            differences = compare_members(found, {**rebuilt, **kept})
            return found, differences + compare_files(files_of(copy), files_of(repaired))

        return self._compare(partition, index_interval_bytes, compare)

    def _compare(self, partition, index_interval_bytes, compare):
        with tempfile.TemporaryDirectory(prefix="varve-kafka-") as scratch:
            copy = pathlib.Path(scratch) / "kafka" / partition.name
            shutil.copytree(partition, copy)
            dates = modified_ms(copy)
            dump = run("dump", partition, "--as-opened", "--json", "--index-interval-bytes",
                        index_interval_bytes).json()
            found, differences = compare(copy, dump)
            return self._exceptions.unexplained(differences, Judged(found, dates))


def _without_stray_snapshots(files, dump):
    kept = {f"{snapshot['offset']:020}.snapshot" for snapshot in dump["snapshots"]}
    return {name: content for name, content in files.items() if not name.endswith(".snapshot") or name in kept}


def run(*arguments, **options):
    """What the command prints where it ends well."""
    result = varve(*arguments, **options)
    if result.status != 0:
        raise AssertionError(f"varve {' '.join(map(str, arguments))}: exit {result.status}, {result.errors}")
    return result
