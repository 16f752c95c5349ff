"""Random lives of logs that varve carries out: Kafka finds in each what varve finds, and leaves the same files.

A life is told by its seed: VARVE_KAFKA_SEED=N judges that one alone, VARVE_KAFKA_LIVES=COUNT so many from there on.
"""

import pathlib
import shutil
import tempfile
import unittest

from agreement import NamedExceptions
from kafka_judge import Judge
from lives_asked import asked_lives, directory_for_lives, report
from varve_life import live
from varve_life_exceptions import IN_LIVES_OF_VARVE


class VarveLivesTest(unittest.TestCase):
    def test_kafka_agrees(self):
        first_seed, count = asked_lives(100)
        exceptions = NamedExceptions(*IN_LIVES_OF_VARVE)
        judged = differing = 0
        place = tempfile.TemporaryDirectory(prefix="varve-lives-", dir=directory_for_lives())
        with Judge() as judge, place as directory:
            for life in live(first_seed, count, pathlib.Path(directory)):
                with self.subTest(seed=life.seed):
                    judged += 1
                    differing += 1  # until it is known not to
                    differences = life.judge(judge, exceptions)
                    self.assertFalse(differences, "\n".join([f"{len(differences)} differences",
                                                             *map(str, differences), str(life)]))
                    differing -= 1
                    shutil.rmtree(life.partition.parent)
        report("lives of varve", judged, differing, exceptions)
        self.assertEqual(judged, count)


if __name__ == "__main__":
    unittest.main()
