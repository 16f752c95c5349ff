"""Snapshots of a log's producers: what is in their files, whose entries have no order in Kafka."""

import struct

from agreement import Difference
from manifest_forms import comparable

# Version and checksum; the number of entries. An entry: see Kafka's ProducerStateManager.
SNAPSHOT_HEADER = struct.Struct(">HIi")
SNAPSHOT_ENTRY = struct.Struct(">qhiqiqiq")
ENTRY_MEMBERS = ("producer_id", "epoch", "last_sequence", "last_offset", "offset_delta", "timestamp",
                 "coordinator_epoch", "current_txn_first_offset")


def snapshot_entries(content):
    """The producers in a snapshot's file."""
    _, _, count = SNAPSHOT_HEADER.unpack_from(content)
    entries = SNAPSHOT_ENTRY.iter_unpack(content[SNAPSHOT_HEADER.size:])
    producers = [dict(zip(ENTRY_MEMBERS, entry)) for entry in entries]
    if len(producers) != count:
        raise ValueError(f"{count} producers in a snapshot of {len(content)} bytes")
    return comparable("producers", producers)


def snapshots_of(files):
    """The producers in each snapshot, by the offset that it is of."""
    return {int(name.split(".")[0]): snapshot_entries(content) for name, content in files.items()
            if name.endswith(".snapshot")}


def compare_snapshots(kafka_files, varve_files):
    """A difference for each snapshot that only one has, and for each producer that is not the same in both."""
    kafka, ours = snapshots_of(kafka_files), snapshots_of(varve_files)
    differences = [Difference("snapshot", offset, kafka.get(offset), ours.get(offset))
                   for offset in sorted(kafka.keys() ^ ours.keys())]
    for offset in sorted(kafka.keys() & ours.keys()):
        theirs, mine = ({one["producer_id"]: one for one in snapshots[offset]} for snapshots in (kafka, ours))
        differences += [Difference("producer", producer, theirs.get(producer), mine.get(producer))
                        for producer in sorted(theirs.keys() | mine.keys())
                        if theirs.get(producer) != mine.get(producer)]
    return differences
