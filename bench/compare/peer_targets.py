"""What is asked of varve beside its peers: how many times better it is to be, at least."""

import dataclasses

OURS = "varve"


@dataclasses.dataclass(frozen=True)
class PeerTarget:
    work: str
    subject: str   # of varve
    figure: str
    peer: str
    times: float


PEER_TARGETS = [
    PeerTarget("append.one_by_one", OURS, "time", "Chronicle Queue", 1),
    PeerTarget("append.one_by_one", OURS, "time", "Apache Kafka", 14),
    PeerTarget("lookup.offset.equal_records", OURS, "time", "LMDB", 2.5),
    PeerTarget("lookup.offset.equal_records", OURS, "time", "Apache Kafka", 15),
    PeerTarget("scan.one_record_batches", "varve Scan, each record decoded", "rate", "Apache Kafka", 3),
    PeerTarget("scan.batches_of_100", "varve Scan, each record decoded", "rate", "Apache Kafka", 3),
    PeerTarget("hand_over.thread", OURS, "p99", "Chronicle Queue", 1),
]


def times_better(measurement, peer):
    """How many times better a measurement is than a peer's of the same work and figure."""
    better, worse = (peer, measurement) if measurement["better"] == "less" else (measurement, peer)
    return better["median"] / worse["median"] if worse["median"] else float("inf")


def judged(measurements):
    """(target, times, whether it is met) of each target whose peer was measured."""
    by_key = {(one["work"], one["subject"], one["figure"]): one for one in measurements}
    answers = []
    for target in PEER_TARGETS:
        ours = by_key.get((target.work, target.subject, target.figure))
        theirs = by_key.get((target.work, target.peer, target.figure))
        if ours is not None and theirs is not None:
            times = times_better(ours, theirs)
            answers.append((target, times, times >= target.times))
    return answers
