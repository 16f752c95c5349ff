"""Each named exception of lives applies where it says, and not beside that."""

import unittest

from agreement import LARGEST, Difference, Judged, described
from life_exceptions import (COMMIT_KEY, EMPTIED_MARKER, END_AT_THE_RECOVERY_POINT, FORGOTTEN_EPOCHS, FORGOTTEN_TIMES,
                             IN_LIVES, LARGEST_BELOW_THE_LOG_START, LOOKED_PAST_FORGOTTEN_TIMES,
                             LOWER_EPOCHS_THAN_BELOW_THE_LOG_START,
                             MARKER_AFTER_AN_ABORT_BELOW_THE_LOG_START, RECOVERED_WHILE_LOADING,
                             SEGMENT_BELOW_THE_LOG_START, STABLE_OFFSET_OF_A_BATCH, settled)


def producer(number, **members):
    return {"producer_id": number, "epoch": 0, "last_sequence": 3, "last_offset": 7, "timestamp": 50,
            "current_txn_first_offset": -1, **members}


NOBODY = producer(2, epoch=-1, last_sequence=-1, last_offset=-1, timestamp=-1)


def found():
    """Two segments, of which the first has a batch behind its last time index entry; the log begins in the second."""
    return {
        "log": {"log_start_offset": 12, "log_end_offset": 30, "segments": 2, "batches": 3, "records": 3},
        "segments": [{"base": 0, "max_timestamp": 40}, {"base": 10, "max_timestamp": 70}],
        "batches": [
            {"segment": 0, "base_offset": 0, "last_offset": 4, "max_timestamp": 40, "leader_epoch": 2},
            {"segment": 0, "base_offset": 5, "last_offset": 9, "max_timestamp": 60, "leader_epoch": 2},
            {"segment": 10, "base_offset": 20, "last_offset": 29, "max_timestamp": 70, "leader_epoch": 3}],
        "records": [[4, 40, None, None, []], [9, 60, None, None, []], [29, 70, None, None, []]],
        "index": [], "time_index": [[0, 40, 4], [10, 70, 29]], "aborted_txns": [],
        "producers": [producer(1, current_txn_first_offset=5)], "snapshots": []}


class LifeExceptionsTest(unittest.TestCase):
    def check(self, exception, judged, applies, *others):
        self.assertTrue(exception.applies(Difference(*applies), Judged(judged, {})), applies)
        for other in others:
            self.assertFalse(exception.applies(Difference(*other), Judged(judged, {})), other)

    def test_stable_offset_of_a_batch(self):
        what = ("log", "last_stable_offset")
        self.check(STABLE_OFFSET_OF_A_BATCH, found(), (*what, 20, 12), (*what, 5, 12), (*what, 20, 11),
                   ("log", "log_end_offset", 20, 12))
        stable = {**found(), "producers": [producer(1)]}
        self.assertFalse(STABLE_OFFSET_OF_A_BATCH.applies(Difference(*what, 20, 12), Judged(stable, {})))

    def test_forgotten_times(self):
        what = "largest timestamp"
        self.check(FORGOTTEN_TIMES, found(), (what, 0, 40, 60), (what, 0, 40, 50), (what, 10, 70, 80),
                   ("segments", 0, 40, 60))
        trusted = found()
        trusted["time_index"].insert(1, [0, 60, 9])
        self.assertFalse(FORGOTTEN_TIMES.applies(Difference(what, 0, 40, 60), Judged(trusted, {})))
        for varves, applies in [({0}, False), ({10}, True)]:  # what varve leaves tells all times
            self.assertEqual(FORGOTTEN_TIMES.applies(Difference(what, 0, 40, 60), Judged(found(), {}, varves)), applies)

    def test_looked_past_forgotten_times(self):
        judged = {**found(), "log": {"log_start_offset": 0}}
        kafkas = {"time": 50, "result": "found", "timestamp": 70, "offset": 29, "leader_epoch": 3}
        ours = {"time": 50, "result": "found", "timestamp": 60, "offset": 9, "leader_epoch": 2}
        nothing = {"time": 50, "result": "none"}
        self.check(LOOKED_PAST_FORGOTTEN_TIMES, judged, ("time", 50, kafkas, ours), ("time", 50, ours, kafkas),
                   ("time", 65, kafkas, {**kafkas, "offset": 28}),
                   ("time", 50, kafkas, {**ours, "leader_epoch": 3}),
                   ("time", 50, {**kafkas, "offset": 4, "timestamp": 40}, ours),  # not looked past
                   ("time", 50, {**ours, "leader_epoch": 3}, ours), ("time", 50, ours, nothing))
        self.assertTrue(LOOKED_PAST_FORGOTTEN_TIMES.applies(Difference("time", 50, nothing, ours), Judged(judged, {})))
        emptied = {**judged, "records": judged["records"][1:]}
        for asked, varves, applies in [(41, (), True), (40, (), False),  # which Kafka knows the segment to reach
                                       (41, {0}, False)]:
            self.assertEqual(LOOKED_PAST_FORGOTTEN_TIMES.applies(Difference("time", asked, nothing, ours),
                                                                 Judged(emptied, {}, varves)), applies, asked)

    def test_largest_below_the_log_start(self):
        kafkas = {"time": LARGEST, "result": "found", "timestamp": 90, "offset": 9, "leader_epoch": 2}
        ours = {"time": LARGEST, "result": "found", "timestamp": 70, "offset": 29, "leader_epoch": 3}
        self.check(LARGEST_BELOW_THE_LOG_START, found(), ("time", LARGEST, kafkas, ours),
                   ("time", LARGEST, kafkas, {"time": LARGEST, "result": "none"}),
                   ("time", LARGEST, kafkas, {**ours, "leader_epoch": 2}),
                   ("time", LARGEST, {**kafkas, "offset": 20}, ours), ("time", 3, kafkas, ours))

    def test_end_at_the_recovery_point(self):
        self.check(END_AT_THE_RECOVERY_POINT, found(), ("end", 40, 30, 40), ("end", 41, 30, 40), ("end", 40, 40, 40),
                   ("end", 40, 20, 40))  # where Kafka has a batch up to 30

    def test_emptied_marker(self):
        self.check(EMPTIED_MARKER, found(), ("producer", 2, NOBODY, None), ("producer", 1, producer(1), None),
                   ("producer", 2, NOBODY, NOBODY))

    def test_segment_below_the_log_start(self):
        self.check(SEGMENT_BELOW_THE_LOG_START, found(), ("segment", 0, {}, None), ("segment", 10, {}, None),
                   ("segment", 0, {}, {}))

    def test_marker_after_an_abort_below_the_log_start(self):
        def markers(*committed, aborted_at):
            return {**found(), "aborted_txns": [{"producer_id": 1, "first_offset": 2, "last_offset": aborted_at}],
                    "batches": [{"base_offset": offset, "control": True, "producer_id": 1} for offset in committed],
                    "records": [[offset, 70, COMMIT_KEY, None, []] for offset in committed]}

        kept = ["a marker"]
        self.check(MARKER_AFTER_AN_ABORT_BELOW_THE_LOG_START, markers(20, aborted_at=9), ("record", 20, kept, None),
                   ("record", 20, None, kept), ("record", 21, kept, None), ("record", 20, kept, kept))
        batch = {"count": 1, "attributes": 0x70, "delete_horizon": 50, "base_timestamp": 50, "max_timestamp": 40}
        emptied = {**batch, "count": 0, "attributes": 0x30, "delete_horizon": None, "base_timestamp": -1}
        for left in (emptied, None):
            self.check(MARKER_AFTER_AN_ABORT_BELOW_THE_LOG_START, markers(20, aborted_at=9), ("batch", 20, batch, left),
                       ("batch", 20, left, batch), ("batch", 21, batch, left), ("batch", 20, {**batch, "count": 2}, left),
                       ("batch", 20, batch, {**emptied, "max_timestamp": 41}), ("batch", 20, batch, batch))
        new = {**batch, "attributes": 0x30, "delete_horizon": None, "base_timestamp": 40}
        self.check(MARKER_AFTER_AN_ABORT_BELOW_THE_LOG_START, markers(20, aborted_at=9), ("batch", 20, new, batch),
                   ("batch", 20, batch, new), ("batch", 20, new, {**batch, "base_timestamp": 51}))
        for judged in (markers(20, aborted_at=12), markers(10, 20, aborted_at=9)):
            self.assertFalse(MARKER_AFTER_AN_ABORT_BELOW_THE_LOG_START.applies(
                Difference("record", 20, kept, None), Judged(judged, {})))

    def test_lower_epochs_than_below_the_log_start(self):
        def after(epoch):
            return {**found(), "batches": [{**batch, "leader_epoch": epoch if batch["base_offset"] == 20 else 2}
                                           for batch in found()["batches"]]}

        def file(*epochs):
            lines = [f"{epoch} {start}\n" for epoch, start in epochs]
            return described("".join([f"0\n{len(lines)}\n", *lines]).encode())

        name, kafkas, ours = "leader-epoch-checkpoint", file([2, 12]), file([0, 20])
        self.check(LOWER_EPOCHS_THAN_BELOW_THE_LOG_START, after(0), ("file", name, kafkas, ours),
                   ("file", name, ours, kafkas), ("file", name, kafkas, file([0, 12])),
                   ("file", name, file([2, 11]), ours), ("file", name, kafkas, None), ("file", "0.log", kafkas, ours))
        self.assertFalse(LOWER_EPOCHS_THAN_BELOW_THE_LOG_START.applies(
            Difference("file", name, kafkas, file([2, 20])), Judged(after(2), {})))

    def test_segments_behind_a_hole(self):
        def segments(*ends):
            bases = [0, 10, 20, 30]
            return {"log": {"log_end_offset": ends[-1]}, "snapshots": [],
                    "segments": [{"base": base, "next_offset": end} for base, end in zip(bases, ends)]}

        kafkas, ours = segments(10, 15, 30, 40), segments(10, 15)
        self.check(RECOVERED_WHILE_LOADING, found(), ("loading", [10], kafkas, ours), ("loading", [0, 20], kafkas, ours),
                   ("loading", [10], ours, kafkas), ("loading", [10], ours, ours),
                   ("loading", [10], segments(10, 20, 30, 40), segments(10, 20)),
                   ("loading", [10], kafkas, segments(10, 14)), ("end", [10], kafkas, ours))

    def test_snapshots_of_more_segments(self):
        def snapshots(*offsets, end=40):
            return {"log": {"log_end_offset": end}, "snapshots": [{"offset": offset} for offset in offsets],
                    "segments": [{"base": base, "next_offset": base + 10} for base in (0, 10, 20, 30)]}

        kafkas, ours = snapshots(10, 20, 30, 40), snapshots(20, 30, 40)
        self.check(RECOVERED_WHILE_LOADING, found(), ("loading", [30], snapshots(10, 20, 40), snapshots(20, 40)),
                   ("loading", [10], kafkas, ours), ("loading", [30], kafkas, kafkas), ("loading", [30], ours, kafkas),
                   ("loading", [40], kafkas, ours), ("loading", [30], kafkas, snapshots(20, 30, 40, end=41)),
                   ("loading", [20], kafkas, snapshots(10, 20, 40)))

    def test_forgotten_epochs(self):
        judged = {**found(), "batches": [{"leader_epoch": 2, "base_offset": 10}, {"leader_epoch": 3, "base_offset": 20}]}
        self.check(FORGOTTEN_EPOCHS, judged, ("epochs", 30, [[2, 12]], [[2, 12], [3, 20]]),
                   ("epochs", 30, [[3, 20]], [[2, 12], [3, 20]]), ("epochs", 30, [[2, 12]], [[2, 12]]),
                   ("epochs", 30, [[2, 12]], [[2, 12], [3, 19]]), ("epochs", 30, [[2, 12]], [[2, 12], [4, 20]]),
                   ("end", 30, [[2, 12]], [[2, 12], [3, 20]]))
        self.assertTrue(FORGOTTEN_EPOCHS.applies(Difference("epochs", 30, [], [[2, 12], [3, 20]]), Judged(judged, {})))

    def test_what_is_settled_is_what_is_explained(self):
        kafkas = found()
        kafkas["producers"].append(NOBODY)
        ours = {**found(), "segments": [{"base": 10, "max_timestamp": 70}]}
        judged = Judged(kafkas, {})

        def explain(difference):
            return any(known.applies(difference, judged) for known in IN_LIVES)

        result = settled(kafkas, ours, explain)
        self.assertEqual(result["segments"], ours["segments"])
        self.assertEqual(result["producers"], ours["producers"])
        self.assertEqual(result["records"], found()["records"][2:])
        self.assertEqual(result["log"]["batches"], 1)
        self.assertEqual(settled(kafkas, ours, lambda _: False), kafkas)


if __name__ == "__main__":
    unittest.main()
