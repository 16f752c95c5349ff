"""Each named exception of varve's lives applies where it says, and not beside that."""

import unittest

from agreement import LARGEST, Difference, Judged
from varve_life import index_too_small
from varve_life_exceptions import (IN_LIVES_OF_VARVE, INDEX_TOO_SMALL, LARGEST_COMPACTED_AWAY, NONE_IS_THE_LARGEST,
                                   ONE_MORE_IS_RECOVERED)


def found(*records):
    """Two segments; the second batch claims a later time than the first, the log begins in the first one."""
    return {
        "log": {"log_start_offset": 1},
        "segments": [{"base": 0, "max_timestamp": 40}, {"base": 5, "max_timestamp": 70}],
        "batches": [{"base_offset": 0, "last_offset": 4, "max_timestamp": 40, "leader_epoch": 0},
                    {"base_offset": 5, "last_offset": 9, "max_timestamp": 70, "leader_epoch": 1}],
        "records": [[offset, timestamp, None, None, []] for offset, timestamp in records]}


def answer(timestamp, offset):
    return {"time": LARGEST, "result": "found", "timestamp": timestamp, "offset": offset, "leader_epoch": 0}


NOTHING = {"time": LARGEST, "result": "none"}


class VarveLifeExceptionsTest(unittest.TestCase):
    def check(self, exception, judged, applies, *others):
        self.assertIn(exception, IN_LIVES_OF_VARVE)
        self.assertTrue(exception.applies(Difference(*applies), Judged(judged, {})), applies)
        for other in others:
            self.assertFalse(exception.applies(Difference(*other), Judged(judged, {})), other)

    def test_largest_compacted_away(self):
        self.check(LARGEST_COMPACTED_AWAY, found((0, 50), (2, 40), (3, 40)),
                   ("time", LARGEST, NOTHING, answer(40, 2)),
                   ("time", LARGEST, NOTHING, answer(40, 3)),  # not the first of them
                   ("time", LARGEST, NOTHING, answer(50, 0)),  # below the log start
                   ("time", LARGEST, NOTHING, {**answer(40, 2), "leader_epoch": 1}),
                   ("time", LARGEST, answer(40, 3), answer(40, 2)),
                   ("time", 40, NOTHING, answer(40, 2)))
        # The record that is claimed is there, so Kafka should have found it.
        self.assertFalse(LARGEST_COMPACTED_AWAY.applies(Difference("time", LARGEST, NOTHING, answer(70, 6)),
                                                        Judged(found((2, 40), (6, 70)), {})))

    def test_none_is_the_largest(self):
        self.check(NONE_IS_THE_LARGEST, found((0, 40), (2, -1)),
                   ("time", LARGEST, answer(-1, 2), NOTHING),
                   ("time", LARGEST, answer(40, 0), NOTHING),
                   ("time", LARGEST, answer(-1, 2), answer(40, 0)),
                   ("time", 7, answer(-1, 2), NOTHING))
        self.assertFalse(NONE_IS_THE_LARGEST.applies(Difference("time", LARGEST, answer(-1, 2), NOTHING),
                                                     Judged(found((2, -1), (3, 5)), {})))

    def test_index_too_small(self):
        self.check(INDEX_TOO_SMALL, {}, ("index entries", 10, 10, 11), ("index entries", 10, 10, 10),
                   ("index entries", 12, 10, 13), ("kept", 10, 10, 11))
        self.check(INDEX_TOO_SMALL, {}, ("time index entries", 10, 10, 10), ("time index entries", 10, 10, 9),
                   ("time index entries", 12, 10, 13))

    def test_index_too_small_for_either_kind_of_entry(self):
        error = "InvalidOffsetException: Attempt to append to a full %sindex (size = %d)."
        files = {"0.index": bytes(8 * 10), "5.index": bytes(8 * 11), "0.timeindex": bytes(12 * 7)}
        for full, index_bytes, applies in [
                (error % ("", 10), 80, True), (error % ("", 10), 87, True), (error % ("", 10), 88, False),
                (error % ("", 9), 80, False), (error % ("", 11), 88, False),
                (error % ("time ", 6), 84, True), (error % ("time ", 5), 72, True), (error % ("time ", 6), 83, False),
                (error % ("time ", 7), 84, False), (error % ("time ", 7), 96, True),
                (error % ("time ", 8), 108, False)]:
            difference = index_too_small(full, index_bytes, files)
            self.assertEqual(INDEX_TOO_SMALL.applies(difference, Judged({}, {})), applies, (full, index_bytes))
        self.assertIsNone(index_too_small("Record is corrupt", 80, files))

    def test_one_more_is_recovered(self):
        self.check(ONE_MORE_IS_RECOVERED, found(), ("segments recovered", 5, 1, 2), ("segments recovered", 5, 1, 3),
                   ("segments recovered", 5, 2, 1), ("segments recovered", 4, 1, 2), ("segments recovered", 0, 1, 2))


if __name__ == "__main__":
    unittest.main()
