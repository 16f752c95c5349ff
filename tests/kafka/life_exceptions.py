"""The named exceptions of lives: where varve knowingly finds or answers otherwise than Kafka in what Kafka wrote."""

from agreement import KNOWN, LARGEST, LOG_FILES, Difference, NamedException, described, first_record_from
from kafka_life import LEADER_EPOCHS, epochs_checkpoint

COMMIT_KEY = "AAAAAQ=="  # version 0, type 1
HAS_DELETE_HORIZON = 0x40  # of a batch's attributes: the base timestamp is the horizon


def _stable_offset_of_a_batch(difference, judged):
    if difference.what != "log" or difference.place != "last_stable_offset":
        return False
    found = judged.found
    unstable = [producer["current_txn_first_offset"] for producer in found["producers"]
                if producer["current_txn_first_offset"] >= 0]
    if not unstable or difference.varve != max(min(unstable), found["log"]["log_start_offset"]):
        return False
    holding = next((batch["base_offset"] for batch in found["batches"] if batch["last_offset"] >= difference.varve),
                   found["log"]["log_end_offset"])
    return difference.kafka == holding


def _largest_of_batches(found, segment):
    return max((batch["max_timestamp"] for batch in found["batches"] if batch["segment"] == segment), default=-1)


def _last_time_entry(found, segment):
    return max((timestamp for base, timestamp, _ in found["time_index"] if base == segment), default=-1)


def _is_forgotten(judged, segment):
    """Whether Kafka knows no more of a segment's largest timestamp than an index that ends too early, as Kafka left it."""
    found, base = judged.found, segment["base"]
    return (base not in judged.varves and
            segment["max_timestamp"] == _last_time_entry(found, base) < _largest_of_batches(found, base))


def _time_entries_end_too_early(difference, judged):
    if difference.what != "largest timestamp":
        return False
    segment = next(one for one in judged.found["segments"] if one["base"] == difference.place)
    return (_is_forgotten(judged, segment)
            and difference.varve == _largest_of_batches(judged.found, difference.place))


def readable_largest(found):
    """[timestamp, offset] of the first record from the log start on with the largest timestamp, or None."""
    start = found["log"]["log_start_offset"]
    largest = max((record[1] for record in found["records"] if record[0] >= start), default=-1)
    return None if largest < 0 else first_record_from(found, largest)


def is_answer_of(found, answer, record):
    """Whether an answer to a time is this record, [timestamp, offset], with the epoch of its batch."""
    epoch = next(batch["leader_epoch"] for batch in found["batches"]
                 if batch["base_offset"] <= record[1] <= batch["last_offset"])
    told = [*record, epoch if epoch >= 0 else None]
    return [answer.get(member) for member in ("timestamp", "offset", "leader_epoch")] == told


def _looked_past_forgotten_times(difference, judged):
    if difference.what != "time" or difference.place < 0:
        return False
    truth = first_record_from(judged.found, difference.place)
    if truth is None or not is_answer_of(judged.found, difference.varve, truth):
        return False
    if difference.kafka["result"] != "none" and difference.kafka["offset"] <= truth[1]:
        return False
    holding = [segment for segment in judged.found["segments"] if segment["base"] <= truth[1]][-1]
    return _is_forgotten(judged, holding) and holding["max_timestamp"] < difference.place


def _largest_below_the_log_start(difference, judged):
    if difference.what != "time" or difference.place != LARGEST:
        return False
    if difference.kafka["result"] != "found" or difference.kafka["offset"] >= judged.found["log"]["log_start_offset"]:
        return False
    largest = readable_largest(judged.found)
    if largest is None:
        return difference.varve["result"] == "none"
    return is_answer_of(judged.found, difference.varve, largest)


def _recovery_point_above_the_files(difference, judged):
    ends = [batch["last_offset"] + 1 for batch in judged.found["batches"]]
    return (difference.what == "end" and difference.kafka < difference.varve == difference.place
            and difference.kafka >= max(ends, default=0))


def _only_an_emptied_marker_is_left(difference, _):
    return (difference.what == "producer" and difference.varve is None and
            (difference.kafka["epoch"], difference.kafka["last_sequence"], difference.kafka["last_offset"],
             difference.kafka["timestamp"], difference.kafka["current_txn_first_offset"]) == (-1, -1, -1, -1, -1))


def _nothing_to_read(difference, judged):
    if difference.what != "segment" or difference.varve is not None:
        return False
    later = [segment["base"] for segment in judged.found["segments"] if segment["base"] > difference.place]
    return bool(later) and min(later) <= judged.found["log"]["log_start_offset"]


def _is_a_round_behind(difference):
    """Whether Kafka's cleaner has kept a record that varve's compaction took.

    Or a batch of one record that varve took, or of which it left the header, or to which it gave a delete horizon.
    """
    kafka, ours = difference.kafka, difference.varve
    if difference.what == "record":
        return kafka is not None and ours is None
    if difference.what != "batch" or kafka is None or kafka["count"] != 1:
        return False
    if kafka["delete_horizon"] is None and ours is not None and ours["delete_horizon"] is not None:
        horizon = ours["delete_horizon"]
        return ours == {**kafka, "attributes": kafka["attributes"] | HAS_DELETE_HORIZON, "delete_horizon": horizon,
                        "base_timestamp": horizon}
    return ours in (None, {**kafka, "count": 0, "attributes": kafka["attributes"] & ~HAS_DELETE_HORIZON,
                           "delete_horizon": None, "base_timestamp": -1})


def _marker_after_an_abort_below_the_log_start(difference, judged):
    if not _is_a_round_behind(difference):
        return False
    found = judged.found
    markers = {batch["base_offset"]: batch["producer_id"] for batch in found["batches"] if batch["control"]}
    producer = markers.get(difference.place)
    commits = [record[0] for record in found["records"]
               if record[2] == COMMIT_KEY and markers.get(record[0]) == producer]
    if difference.place not in commits:
        return False
    last_commit = max((offset for offset in commits if offset < difference.place), default=-1)
    return any(aborted["producer_id"] == producer
               and last_commit < aborted["last_offset"] < found["log"]["log_start_offset"]
               for aborted in found["aborted_txns"])


def _segments_behind_a_hole(without_index, kafka, ours):
    bases, mine = ([segment["base"] for segment in found["segments"]] for found in (kafka, ours))
    count = len(mine)
    return (mine == bases[:count] != bases and mine[-1] in without_index and
            kafka["segments"][count - 1]["next_offset"] == ours["log"]["log_end_offset"] < bases[count])


def _snapshots_of_more_segments(without_index, kafka, ours):
    bases = [segment["base"] for segment in kafka["segments"]]
    offsets, mine = ({snapshot["offset"] for snapshot in found["snapshots"]} for found in (kafka, ours))
    last_two = {offset for base in without_index for offset in [one for one in bases if one < base][-2:]}
    return kafka["log"] == ours["log"] and mine < offsets and offsets - mine <= last_two


def _recovered_while_loading(difference, _):
    asked = (difference.place, difference.kafka, difference.varve)
    return difference.what == "loading" and (_segments_behind_a_hole(*asked) or _snapshots_of_more_segments(*asked))


def _epochs_of_batches_are_forgotten(difference, judged):
    if difference.what != "epochs":
        return False
    known = len(difference.kafka)
    start = judged.found["log"]["log_start_offset"]
    told = [[batch["leader_epoch"], max(batch["base_offset"], start)] for batch in judged.found["batches"]]
    return (difference.kafka == difference.varve[:known] != difference.varve
            and all(entry in told for entry in difference.varve[known:]))


def _lower_epochs_than_below_the_log_start(difference, judged):
    if (difference.what, difference.place) != ("file", LEADER_EPOCHS):
        return False
    start = judged.found["log"]["log_start_offset"]
    below, ours = -1, []
    for batch in judged.found["batches"]:
        if batch["last_offset"] < start:
            below = max(below, batch["leader_epoch"])
        elif not ours or batch["leader_epoch"] > ours[-1][0]:
            ours.append([batch["leader_epoch"], max(batch["base_offset"], start)])
    return (bool(ours) and below > ours[-1][0]
            and difference.kafka == described(epochs_checkpoint([[below, start]]).encode())
            and difference.varve == described(epochs_checkpoint(ours).encode()))


STABLE_OFFSET_OF_A_BATCH = NamedException(
    "stable-offset-of-a-batch",
    "where a transaction that is open began below the log start, or its first batch was compacted away, Kafka 4.1 "
    "takes for the last stable offset the first one of the batch that comes there: below the log start, or above "
    "records that are not stable",
    _stable_offset_of_a_batch)
FORGOTTEN_TIMES = NamedException(
    "forgotten-times",
    "truncation takes time index entries away, and Kafka takes the last that is left for the segment's largest "
    "timestamp; varve looks at the batches behind it",
    _time_entries_end_too_early)
LOOKED_PAST_FORGOTTEN_TIMES = NamedException(
    "looked-past-forgotten-times",
    "for a time that a segment reaches only by timestamps that Kafka forgot, it does not look into that segment",
    _looked_past_forgotten_times)
LARGEST_BELOW_THE_LOG_START = NamedException(
    "largest-below-the-log-start",
    "asked for the largest timestamp, Kafka may answer a record below the log start, which nobody can read",
    _largest_below_the_log_start)
END_AT_THE_RECOVERY_POINT = NamedException(
    "end-at-the-recovery-point",
    "a follower that truncated into a batch ends above its files; after a crash Kafka gives the offsets between out"
    " again, varve does not give out what the recovery point says was synced",
    _recovery_point_above_the_files)
EMPTIED_MARKER = NamedException(
    "emptied-marker",
    "of a transaction marker that compaction emptied Kafka makes a producer that has no epoch, sequence or time, "
    "when it reads the log to know its producers",
    _only_an_emptied_marker_is_left)
SEGMENT_BELOW_THE_LOG_START = NamedException(
    "segment-below-the-log-start",
    "a segment that ends at or below the log start is gone when varve has opened the log for the second time; Kafka"
    " waits for the next round of retention",
    _nothing_to_read)
MARKER_AFTER_AN_ABORT_BELOW_THE_LOG_START = NamedException(
    "marker-after-an-abort-below-the-log-start",
    "Kafka's cleaner asks for the transactions aborted at or above the log start only, takes the data of an earlier one"
    " for committed, and so is a round behind with the producer's next commit marker, which it keeps as if it had data",
    _marker_after_an_abort_below_the_log_start)
RECOVERED_WHILE_LOADING = NamedException(
    "recovered-while-loading",
    "Kafka recovers a segment without .index while it loads the files, and once more when it recovers the log: what is "
    "cut the first time does not end the log, so that segments stay behind a hole, and snapshots of the two segments "
    "before may be left; varve recovers a segment once",
    _recovered_while_loading)
FORGOTTEN_EPOCHS = NamedException(
    "forgotten-epochs",
    "where the checkpoint of leader epochs tells of offsets that a crash took, Kafka's recovery adds no earlier epochs "
    "of the batches that are left, and then takes the later ones away; varve takes them away first",
    _epochs_of_batches_are_forgotten)
LOWER_EPOCHS_THAN_BELOW_THE_LOG_START = NamedException(
    "lower-epochs-than-below-the-log-start",
    "Kafka's recovery takes leader epochs of segments below the log start, too, and then none that is lower: a log of "
    "which all was deleted, epochs too, and that goes on with a lower one, gets the last of before; varve removes those "
    "segments first",
    _lower_epochs_than_below_the_log_start)

IN_LIVES = [*KNOWN, STABLE_OFFSET_OF_A_BATCH, FORGOTTEN_TIMES, LOOKED_PAST_FORGOTTEN_TIMES, LARGEST_BELOW_THE_LOG_START,
            END_AT_THE_RECOVERY_POINT, EMPTIED_MARKER, SEGMENT_BELOW_THE_LOG_START,
            MARKER_AFTER_AN_ABORT_BELOW_THE_LOG_START, RECOVERED_WHILE_LOADING, FORGOTTEN_EPOCHS,
            LOWER_EPOCHS_THAN_BELOW_THE_LOG_START]


def settled(found, dumped, explain):
    """What Kafka found, without that in which it differs from a dump by an exception that would hide other differences.

    `explain` takes a Difference and says whether an exception applies to it, and counts it.
    """
    found = {**found, "log": dict(found["log"])}
    ours = {segment["base"]: segment for segment in dumped["segments"]}
    gone = [segment["base"] for segment in found["segments"] if segment["base"] not in ours
            and explain(Difference("segment", segment["base"], segment, None))]
    if gone:
        found = _without_segments(found, gone)
    found["segments"] = [_settled_segment(segment, ours.get(segment["base"]), explain) for segment in found["segments"]]
    found["producers"] = _settled_producers(found["producers"], dumped["producers"], explain)
    snapshots = {snapshot["offset"]: snapshot["entries"] for snapshot in dumped["snapshots"]}
    found["snapshots"] = [
        {**snapshot, "entries": _settled_producers(snapshot["entries"], snapshots.get(snapshot["offset"], []), explain)}
        for snapshot in found["snapshots"]]
    return found


def gone_segments(found, kept):
    """The base offsets of the segments that are not in what is settled of it."""
    return {segment["base"] for segment in found["segments"]} - {segment["base"] for segment in kept["segments"]}


def without_segments(files, bases):
    """Without the files of these segments."""
    return {name: content for name, content in files.items()
            if not name.endswith(LOG_FILES) or int(name.split(".")[0]) not in bases}


def _settled_segment(segment, ours, explain):
    if ours is None or segment["max_timestamp"] == ours["max_timestamp"]:
        return segment
    difference = Difference("largest timestamp", segment["base"], segment["max_timestamp"], ours["max_timestamp"])
    return {**segment, "max_timestamp": ours["max_timestamp"]} if explain(difference) else segment


def _settled_producers(kafkas, ours, explain):
    known = {producer["producer_id"] for producer in ours}
    return [producer for producer in kafkas if producer["producer_id"] in known or
            not explain(Difference("producer", producer["producer_id"], producer, None))]


def _without_segments(found, gone):
    kept = {"segments": [segment for segment in found["segments"] if segment["base"] not in gone],
            "batches": [batch for batch in found["batches"] if batch["segment"] not in gone],
            "index": [entry for entry in found["index"] if entry[0] not in gone],
            "time_index": [entry for entry in found["time_index"] if entry[0] not in gone],
            "aborted_txns": [one for one in found["aborted_txns"] if one["segment"] not in gone]}
    kept["records"] = [record for record in found["records"] if record[0] >= kept["segments"][0]["base"]]
    counts = {"segments": len(kept["segments"]), "batches": len(kept["batches"]), "records": len(kept["records"])}
    return {**found, **kept, "log": {**found["log"], **counts}}
