"""Ways to spoil what a life left, as a fault of varve might: to be noticed, all of them.

Each takes a partition's directory and says whether there was anything to spoil.
"""

import struct

from agreement import run
from crash_damage import segment_files, unflushed_segments
from life_exceptions import HAS_DELETE_HORIZON
from log_files import crc32c


def _middle_segment_gone(partition):
    logs = segment_files(partition, ".log")
    if len(logs) < 3:
        return False
    middle = logs[len(logs) // 2]
    had_records = middle.stat().st_size > 0
    for path in partition.glob(f"{middle.stem}.*"):
        path.unlink()
    return had_records


def _changed(partition, suffix, changed):
    """Puts other bytes into the files of a kind, or removes those for which there are none; whether any changed."""
    spoilt = False
    for path in segment_files(partition, suffix):
        before = path.read_bytes()
        after = changed(before)
        if after is None:
            path.unlink()
        else:
            path.write_bytes(after)
        spoilt = spoilt or (before != after and before != b"")
    return spoilt


def _epochs_gone(partition):
    path = partition / "leader-epoch-checkpoint"
    if not path.exists() or path.read_text().split()[1] == "0":
        return False
    path.write_text("0\n0\n")
    return True


def _with_flipped_bit(content):
    """In the last producer's entry, if there is one."""
    if len(content) <= 20:
        return content
    return content[:-20] + bytes([content[-20] ^ 1]) + content[-19:]


def _batches_changed(partition, changed):
    """Puts other bytes in the place of each batch, or none, and makes indexes of that; whether any changed."""
    def all_changed(content):
        after, position = b"", 0
        while position < len(content):
            size = 12 + struct.unpack_from(">i", content, position + 8)[0]
            after += changed(content[position:position + size])
            position += size
        return after

    spoilt = _changed(partition, ".log", all_changed)
    if spoilt:
        run("repair", partition, "--force", "--all")
    return spoilt


def _with_later_horizon(batch):
    attributes, base_timestamp = (struct.unpack_from(form, batch, at)[0] for form, at in ((">h", 21), (">q", 27)))
    if not attributes & HAS_DELETE_HORIZON:
        return batch
    checked = batch[21:27] + struct.pack(">q", base_timestamp + 1) + batch[35:]
    return batch[:17] + struct.pack(">I", crc32c(checked)) + checked


def _unless_emptied(batch):
    return b"" if struct.unpack_from(">i", batch, 57)[0] == 0 else batch


def _indexes_emptied(partition):
    return _changed(partition, ".index", lambda _: b"")


def _snapshots_gone(partition):
    return _changed(partition, ".snapshot", lambda _: None)


def _snapshot_bit_flipped(partition):
    return _changed(partition, ".snapshot", _with_flipped_bit)


def _transaction_indexes_gone(partition):
    return _changed(partition, ".txnindex", lambda _: None)


# By name: the way to spoil it, and what one of the differences must say of it.
ANYWHERE = {"a middle segment gone": (_middle_segment_gone, r"'told record', place=\d+, kafka=None")}
# Elsewhere recovery makes them anew.
BEGUN_BEFORE_RECOVERY = {"epochs gone": (_epochs_gone, r"'told', place='leader_epochs'")}
CLOSED = {
    "snapshots gone": (_snapshots_gone, r"'told', place='last snapshot', kafka=None"),
    "a bit of a snapshot flipped": (_snapshot_bit_flipped, r"'told', place='last snapshot', kafka=\[")}
NEVER_COMPACTED = {
    "transaction indexes gone": (_transaction_indexes_gone, r"'told', place='aborted_txns', kafka=\[\]")}
IN_ONE_GO = {
    "indexes emptied": (_indexes_emptied, r"'rebuilt file', place='\d+\.index', kafka='[1-9]\d* bytes,.*varve='0 bytes,"),
    "every second index entry gone": (
        lambda partition: _changed(partition, ".index",
                                   lambda content: b"".join(content[i:i + 8] for i in range(0, len(content), 16))),
        r"'rebuilt file', place='\d+\.index'"),
    "only the last time index entry left": (
        lambda partition: _changed(partition, ".timeindex", lambda content: content[-12:]),
        r"'rebuilt file', place='\d+\.timeindex', .*varve='12 bytes,")}
# After a command went on with a log: the way to spoil it, and what one of the disagreements must say of it.
AFTER = {
    "repair": {"indexes emptied": (_indexes_emptied, r"repaired: .*'file', place='\d+\.index'"),
               "epochs gone": (_epochs_gone, r"repaired: .*'file', place='leader-epoch-checkpoint'"),
               "snapshots gone": (_snapshots_gone, r"repaired: .*'snapshot'"),
               "a bit of a snapshot flipped": (_snapshot_bit_flipped, r"repaired: .*'producer'")},
    "append": {"indexes emptied": (_indexes_emptied, r"older segments: .*'file', place='\d+\.index'|begin of \d+\.index"),
               "epochs gone": (_epochs_gone, r"^epochs: "),
               "transaction indexes gone": (_transaction_indexes_gone,
                                            r"older segments: .*'file', place='\d+\.txnindex'|begin of \d+\.txnindex"),
               "a middle segment gone": (_middle_segment_gone,
                                         r"older segments: .*'file', place='\d+\.log'|new records: ")},
    # Where files have room behind their batches Kafka finds by an index where these end.
    "compact": {"indexes emptied": (_indexes_emptied, r"(as written|untouched segments): .*'file', place='\d+\.index'|"
                                                      "Found record size 0 "),
                "transaction indexes gone": (_transaction_indexes_gone, r"^left: .*'aborted transaction'.*varve=None"),
                "a middle segment gone": (_middle_segment_gone, r"^left: .*'record'|log start: "),
                "horizon changed": (lambda partition: _batches_changed(partition, _with_later_horizon),
                                    r"^left: .*'batch'.*'delete_horizon': (\d+),.*'delete_horizon': (?!\1\b)\d+"),
                "emptied batch gone": (lambda partition: _batches_changed(partition, _unless_emptied),
                                       r"^left: .*'batch'.*'count': 0,.*varve=None")}}


def ways_to_spoil(life):
    """Those that must be noticed in a life of varve, by name."""
    ways = dict(ANYWHERE)
    begins = [start for _, start in life.told["leader_epochs"]]
    if life.clean or any(start < unflushed_segments(life)[0] for start in begins):
        ways |= BEGUN_BEFORE_RECOVERY
    if life.clean:
        ways |= CLOSED
    if life.keeps_aborted:
        ways |= NEVER_COMPACTED
    if life.written_in_one_go:
        ways |= IN_ONE_GO
    return ways
