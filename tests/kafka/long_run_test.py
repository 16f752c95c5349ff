"""A long run goes on where it was stopped, notes lives in their order, and passes neither what failed nor a part."""

import asyncio
import contextlib
import io
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

from kafka_report import note
from long_run import Progress, chunks_left, digest_of, judge_all

KINDS = ("varve", "kafka")
LONG = pathlib.Path(__file__).resolve().with_name("long")


def report(lives, *differing, failed=False, **exceptions):
    return {"lives": lives, "differing": list(differing), "exceptions": exceptions, "failed": failed}


class LongRunTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="varve-long-")
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)

    def progress(self, judged_by="these"):
        return Progress(self.directory / "long.json", judged_by, KINDS)

    def test_it_goes_on_where_it_was_stopped(self):
        first = self.progress()
        self.assertTrue(first.resume())
        first.add("varve", report(250, 7, 9, failed=True, known=2))
        second = self.progress()
        self.assertTrue(second.resume())
        second.add("varve", report(250, 300, known=1, other=1))
        third = self.progress()
        self.assertTrue(third.resume())
        self.assertEqual(third.kinds["varve"], {"judged": 500, "differing": [7, 9, 300], "failed": ["1 to 250"],
                                                "exceptions": {"known": 3, "other": 1}})
        self.assertEqual(third.kinds["kafka"]["judged"], 0)
        self.assertEqual(chunks_left(third, 600, 250), [("varve", 501, 100), ("kafka", 1, 250), ("kafka", 251, 250),
                                                        ("kafka", 501, 100)])

    def test_others_do_not_go_on(self):
        self.progress().add("varve", report(250))
        self.assertFalse(self.progress("others").resume())

    def test_the_digest_is_of_every_byte_in_its_file(self):
        one, other = self.directory / "one", self.directory / "other"
        one.write_bytes(b"ab")
        other.write_bytes(b"c")
        before = digest_of([one, other])
        self.assertEqual(digest_of([one, other]), before)
        one.write_bytes(b"a")
        other.write_bytes(b"bc")
        self.assertNotEqual(digest_of([one, other]), before)

    def test_what_failed_does_not_pass_though_no_life_differs(self):
        for reported, passes in [(report(5), True), (report(5, 3), False), (report(5, failed=True), False)]:
            progress = self.progress()
            progress.add("kafka", report(5))
            self.assertTrue(progress.passed())
            progress.add("kafka", reported)
            self.assertEqual(progress.passed(), passes, reported)
            self.assertEqual("  the test of lives 6 to 10 failed" in progress.summary(), reported["failed"])

    def long(self, *options):
        """The status of the program in a build in which no judge is compiled at first, and what it reached."""
        build = self.directory / "build"
        for name, program in (("lib/cli/varve", "VARVE_COMMAND"), ("tests/kafka/varve_lives", "VARVE_LIVES")):
            path = build / name
            if not path.exists():
                path.parent.mkdir(parents=True)
                path.symlink_to(os.environ[program])
        run = subprocess.run([sys.executable, LONG, build, "--chunk", "1", "--jobs", "1", *options],
                             env={**os.environ, "VARVE_TEST_RESULTS": str(self.directory)}, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True, check=False)
        reached = json.loads((self.directory / "kafka.json").read_text())
        return run, {one["what"].split()[-1]: one for one in reached["reached"]}, reached["command"]

    def test_a_part_does_not_pass_and_is_gone_on_with_though_the_judge_was_not_compiled(self):
        run, reached, command = self.long("--lives", "1000", "--minutes", "0.01")
        self.assertEqual(run.returncode, 3, run.stdout)
        self.assertRegex(run.stdout, r"NOT WHOLE: \d+ of 1000 lives carried out by kafka are judged")
        judged = reached["varve"]["count"]
        self.assertIn(judged, range(1, 1000))
        self.assertEqual(reached["varve"]["asked"], 1000)
        self.assertEqual(command, "tests/kafka/long BUILD --lives 1000 --minutes 0.01")
        run, reached, command = self.long("--lives", str(judged))
        self.assertEqual(run.returncode, 0, run.stdout)
        self.assertEqual({kind: one["count"] for kind, one in reached.items()}, {"varve": judged, "kafka": judged})
        self.assertNotIn("NOT WHOLE", run.stdout)
        note("a long run, gone on with")

    def test_fewer_lives_than_asked_for_are_not_whole(self):
        progress = self.progress()
        for kind in KINDS:
            progress.add(kind, report(5))
        progress.add("varve", report(1))
        self.assertEqual(progress.not_whole(5), [])
        self.assertEqual(progress.not_whole(6), ["NOT WHOLE: 5 of 6 lives carried out by kafka are judged"])

    def judge_all(self, judge_chunk, jobs, lives=8):
        """The progress after so many lives of each kind, two in a chunk."""
        progress = self.progress()
        with contextlib.redirect_stdout(io.StringIO()):
            asyncio.run(judge_all(progress, chunks_left(progress, lives, 2), judge_chunk, jobs))
        return progress

    def test_lives_are_noted_in_their_order_whichever_are_judged_first(self):
        running, most, ended = 0, 0, []

        async def judge_chunk(kind, first, count):
            nonlocal running, most
            running += 1
            most = max(most, running)
            for _ in range(20 - 2 * first):  # the later the sooner
                await asyncio.sleep(0)
            running -= 1
            ended.append((kind, first))
            return report(count, first)

        progress = self.judge_all(judge_chunk, jobs=3)
        self.assertEqual(most, 3)
        self.assertNotEqual(ended, sorted(ended, key=lambda chunk: chunk[1]))
        for kind in KINDS:
            self.assertEqual((progress.kinds[kind]["judged"], progress.kinds[kind]["differing"]), (8, [1, 3, 5, 7]))

    def test_an_error_ends_the_others_and_what_was_noted_stays(self):
        ended = []

        async def judge_chunk(kind, first, count):
            if (kind, first) == ("varve", 3):
                raise ValueError("no report")
            if first > 1:
                try:
                    await asyncio.Event().wait()  # for ever
                finally:
                    ended.append((kind, first))
            return report(count)

        with self.assertRaisesRegex(ValueError, "no report"):
            self.judge_all(judge_chunk, jobs=8)
        self.assertEqual(sorted(ended), [("kafka", 3), ("kafka", 5), ("kafka", 7), ("varve", 5), ("varve", 7)])
        progress = self.progress()
        self.assertTrue(progress.resume())
        self.assertEqual([progress.kinds[kind]["judged"] for kind in KINDS], [2, 2])

    def test_who_ends_it_waits_until_what_was_begun_has_ended(self):
        begun, ended = [], []

        async def judge_chunk(kind, first, count):
            begun.append((kind, first))
            try:
                await asyncio.Event().wait()  # for ever
            finally:
                for _ in range(20 * first):  # one that is not waited for yet the longest
                    await asyncio.sleep(0)
                ended.append((kind, first))

        async def stopped():
            progress = self.progress()
            run = asyncio.create_task(judge_all(progress, chunks_left(progress, 8, 2), judge_chunk, jobs=3))
            while len(begun) < 3:
                await asyncio.sleep(0)
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()  # as asyncio does where the program is interrupted
            await asyncio.gather(run, return_exceptions=True)

        asyncio.run(stopped())
        self.assertEqual(sorted(ended), sorted(begun))


if __name__ == "__main__":
    unittest.main()
