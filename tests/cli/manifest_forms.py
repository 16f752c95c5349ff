"""The forms in which the manifests of tests/golden, `varve dump --json` and `varve find --json` say the same."""

# Members of a manifest that are neither questions, nor facts of the files, nor words about the case; dump has just
# these.
MEMBERS = ["log", "segments", "batches", "records", "index", "time_index", "aborted_txns", "producers", "leader_epochs",
           "snapshots"]


def comparable(member, value):
    """Entries of snapshots and producers have no order in Kafka: they come out of a hash map."""
    if member == "producers":
        return sorted(value, key=lambda entry: entry["producer_id"])
    if member == "snapshots":
        return [{**snapshot, "entries": comparable("producers", snapshot["entries"])} for snapshot in value]
    return value


def time_answer(query):
    """What find prints where a manifest has [asked, timestamp, offset, leader epoch]."""
    time, timestamp, offset, epoch = query
    if offset is None:
        return {"time": time, "result": "none"}
    return {"time": time, "result": "found", "timestamp": timestamp, "offset": offset, "leader_epoch": epoch}


def epoch_answer(query):
    """What find prints where a manifest has [asked, answered epoch, its end offset]."""
    return dict(zip(("epoch", "found_epoch", "end_offset"), query))
