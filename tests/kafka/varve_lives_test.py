"""Random lives of logs that varve carries out: Kafka finds in each what the life left and varve finds, in the same files.

A life is told by its seed: VARVE_KAFKA_SEED=N judges that one alone, VARVE_KAFKA_LIVES=COUNT so many from there on.
"""

import collections
import pathlib
import random
import re
import shutil
import tempfile
import unittest

from agreement import NamedExceptions
from kafka_judge import Judge, KafkaRefused
from kafka_report import note
from lives_asked import asked_lives, directory_for_lives, report
from spoilt_life import ANYWHERE, BEGUN_BEFORE_RECOVERY, CLOSED, IN_ONE_GO, NEVER_COMPACTED, ways_to_spoil
from varve_life import MET, live
from varve_life_exceptions import IN_LIVES_OF_VARVE

VARIED_LIVES = 100  # the first ones, which meet everything as often as they should
SPOILT_LIVES = 60
TOLD = 10  # differences of a spoilt life that are printed
SPOILT_EACH = 1  # lives in which each way to spoil is tried, closed and killed


class VarveLivesTest(unittest.TestCase):
    def test_kafka_agrees(self):
        first_seed, count = asked_lives(100)
        exceptions = NamedExceptions(*IN_LIVES_OF_VARVE)
        judged, differing, met = 0, [], collections.Counter()
        place = tempfile.TemporaryDirectory(prefix="varve-lives-", dir=directory_for_lives())
        with Judge() as judge, place as directory:
            for life in live(first_seed, count, pathlib.Path(directory)):
                with self.subTest(seed=life.seed):
                    judged += 1
                    differing.append(life.seed)  # until it is known not to
                    if not life.clean and life.seed % 2 == 0:
                        life.be_damaged(random.Random(life.seed))
                    differences = life.judge(judge, exceptions)
                    met.update(life.met)
                    self.assertFalse(differences, "\n".join([f"{len(differences)} differences",
                                                             *map(str, differences), str(life)]))
                    differing.remove(life.seed)
                    shutil.rmtree(life.partition.parent)
        report("lives of varve", judged, differing, exceptions)
        self.assertEqual(judged, count)
        if first_seed == 1 and count >= VARIED_LIVES:
            rare = [name for name, least in MET.items() if met[name] < least]
            self.assertEqual(rare, [], f"lives are not varied: {met}")

    def test_whatever_is_spoilt_is_noticed(self):
        met = collections.Counter()
        place = tempfile.TemporaryDirectory(prefix="varve-lives-", dir=directory_for_lives())
        with Judge() as judge, place as directory:
            for life in live(1, SPOILT_LIVES, pathlib.Path(directory)):
                for number, (name, (spoil, noticed)) in enumerate(ways_to_spoil(life).items()):
                    spoilt = life.spoilt(f"spoilt-{number}", spoil) if met[name, life.clean] < SPOILT_EACH else None
                    if spoilt is None:
                        continue
                    met[name, life.clean] += 1
                    with self.subTest(name, seed=life.seed):
                        told = self.told_of(spoilt, judge)
                        self.assertTrue(any(re.search(noticed, one) for one in told), f"{told[:TOLD]}, {life}")
                        whole = life.spoilt(f"whole-{number}", lambda _: True)
                        self.assertEqual(self.told_of(whole, judge), [], life)
        ways = [(name, True) for name in ANYWHERE | BEGUN_BEFORE_RECOVERY | CLOSED | NEVER_COMPACTED | IN_ONE_GO]
        ways += [(name, False) for name in ANYWHERE | BEGUN_BEFORE_RECOVERY]
        note("spoilt lives of varve")
        self.assertEqual({way: met[way] for way in ways}, dict.fromkeys(ways, SPOILT_EACH))

    @staticmethod
    def told_of(life, judge):
        """What Kafka, varve and the life itself disagree about, in words."""
        try:
            return list(map(str, life.judge(judge, NamedExceptions(*IN_LIVES_OF_VARVE))))
        except (AssertionError, KafkaRefused) as error:
            return [str(error)]


if __name__ == "__main__":
    unittest.main()
