"""What a life tells of its log at the end: what it appended, and what the log said of itself, held against what is found.

Neither comes from the files that the log left.
"""

import base64
import hashlib

from agreement import Difference
from manifest_forms import comparable
from snapshot_files import snapshot_entries

WHOLE_BYTES = 48  # longer texts are dumped by their digest


def as_dumped(content):
    """A key or a value as dump prints it."""
    if content is None:
        return None
    if len(content) <= WHOLE_BYTES:
        return base64.b64encode(content).decode()
    return f"sha256:{hashlib.sha256(content).hexdigest()}:{len(content)}"


def _from_hex(digits):
    return None if digits is None else bytes.fromhex(digits)


def _record(told):
    offset, timestamp, key, value, headers = told
    return [offset, timestamp, as_dumped(_from_hex(key)), as_dumped(_from_hex(value)),
            [[_from_hex(name).decode(), as_dumped(_from_hex(content))] for name, content in headers]]


class ToldByLife:
    def __init__(self, told):
        self.clean = told["clean"]
        self.log_start_offset = told["log_start_offset"]
        self.log_end_offset = told["log_end_offset"]
        self.last_stable_offset = told["last_stable_offset"]
        self.records = [_record(record) for record in told["records"]]
        self.aborts = told["aborts"]
        self.producers = comparable("producers", told["producers"])
        self.leader_epochs = told["leader_epochs"]
        self.opened_at_end = f"reopen at {self.log_end_offset}" in told["steps"]

    def compare(self, found):
        """A difference for each thing that was found otherwise: what was found is `kafka`, what was told is `varve`."""
        log = found["log"]
        differences = [Difference("told", member, log[member], getattr(self, member))
                       for member in ("log_start_offset", "log_end_offset") if log[member] != getattr(self, member)]
        if log["last_stable_offset"] != self.last_stable_offset and not self._may_forget_a_transaction(found):
            differences.append(Difference("told", "last_stable_offset", log["last_stable_offset"],
                                          self.last_stable_offset))
        differences += self._compare_records(found)
        # An epoch without records is taken away by whoever opens the log.
        theirs, ours = ([[epoch, start] for epoch, start in epochs if start < self.log_end_offset]
                        for epochs in (found["leader_epochs"], self.leader_epochs))
        if theirs != ours:
            differences.append(Difference("told", "leader_epochs", theirs, ours))
        return differences + self._compare_producers(found)

    def compare_flushed(self, found, recovery_point):
        """After a damage to what was not flushed: the rest is there, and of the other records only the last are gone."""
        differences = self._compare_records(found)
        end = found["log"]["log_end_offset"]
        return [one for one in differences if one.kafka is not None or one.place < max(recovery_point, end)]

    def compare_last_snapshot(self, files):
        """A log that is closed leaves its producers in a snapshot."""
        if not self.clean or not self.producers:
            return []
        content = files.get(f"{self.log_end_offset:020}.snapshot")
        left = None if content is None else self._without_forgotten(snapshot_entries(content))
        return [] if left == self.producers else [Difference("told", "last snapshot", left, self.producers)]

    def compare_aborted(self, found):
        """Each abort marker has ended a transaction, which is in an index as long as none was compacted away."""
        ends = sorted(one["last_offset"] for one in found["aborted_txns"]
                      if one["last_offset"] >= self.log_start_offset)
        return [] if ends == self.aborts else [Difference("told", "aborted_txns", ends, self.aborts)]

    def _compare_records(self, found):
        left = {record[0]: record for record in found["records"] if record[0] >= self.log_start_offset}
        told = {record[0]: record for record in self.records}
        return [Difference("told record", offset, left.get(offset), told.get(offset))
                for offset in sorted(left.keys() | told.keys()) if left.get(offset) != told.get(offset)]

    def _compare_producers(self, found):
        kafkas, ours = self._without_forgotten(comparable("producers", found["producers"])), self.producers
        if self._counts_no_snapshots():
            kafkas, ours = ([self._without_lost_markers(one) for one in producers if self._is_known_by_records(one)]
                            for producers in (kafkas, ours))
        return [] if kafkas == ours else [Difference("told", "producers", kafkas, ours)]

    def _without_forgotten(self, producers):
        """Without those idle for ever that the log has forgotten since it was opened.

        Where nothing was appended either, the snapshot of before, which has them, is the last.
        """
        if not self.opened_at_end:
            return producers
        known = {one["producer_id"] for one in self.producers}
        return [one for one in producers if one["timestamp"] >= 0 or one["producer_id"] in known]

    def _counts_no_snapshots(self):
        """Whether producers may be known by records only: opening a log removes snapshots up to the log start."""
        return not self.clean or self.log_start_offset == self.log_end_offset

    def _without_lost_markers(self, producer):
        """Without the coordinator of the last marker where that may lie below the log start."""
        return {**producer, "coordinator_epoch": None} if self.log_start_offset > 0 else producer

    def _is_known_by_records(self, producer):
        """A producer without a timestamp is idle for ever: when it is forgotten is a matter of the moment."""
        known = next((one for one in self.producers if one["producer_id"] == producer["producer_id"]), producer)
        first = known["current_txn_first_offset"]
        return (first if first >= 0 else known["last_offset"]) >= self.log_start_offset and known["timestamp"] >= 0

    def _may_forget_a_transaction(self, found):
        """One that is open below the log start: it is known again once a recovery reads the segment that it is in."""
        return self._counts_no_snapshots() and any(0 <= one["current_txn_first_offset"] < self.log_start_offset
                                                   for one in [*self.producers, *found["producers"]])
