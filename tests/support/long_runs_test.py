"""Long runs go on where they were stopped, keep what they reached, and what failed stays a failure.

Programs of a few lines stand in for the tests that they run.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import unittest

import results
from results_case import ResultsCase

# Fails where a file `fail` in its directory names a seed and a shape or kind that it is asked for. As many seeds as things
# counted, and of a crashed shape one more than was asked.
CRASH_STATES = """\
#!/usr/bin/env python3
import json, os, pathlib, sys, time
here = pathlib.Path(__file__).parent
if "--gtest_list_tests" in sys.argv:
    print("CrashTest.\\n  NothingAcknowledgedIsLostNothingIsInvented/a  # GetParam() = x\\n"
          "  NothingAcknowledgedIsLostNothingIsInvented/b  # GetParam() = x")
    sys.exit()
shape = sys.argv[1].rsplit("/")[-1]
seed, states = int(os.environ["VARVE_CRASH_SEED"]), int(os.environ["VARVE_CRASH_STATES"])
with open(here / "asked", "a") as file:
    print(shape, seed, states, file=file)
if (here / "slow").exists():
    time.sleep(60)
if (here / "fail").exists() and (here / "fail").read_text() == f"{shape} {seed}":
    print("state 5 is wrong")
    sys.exit(1)
pathlib.Path(os.environ["VARVE_CRASH_REPORT"], f"{shape}.json").write_text(json.dumps(
    {"shape": shape, "first_seed": seed, "next_seed": seed + states, "states": states + 1, "seconds": 1.5}))
"""
FILE_SYSTEMS = """\
#!/usr/bin/env python3
import json, os, pathlib, sys
here = pathlib.Path(__file__).parent
test, _, kind = sys.argv[1].removeprefix("--gtest_filter=").partition("/")
seed, endings = int(os.environ["VARVE_FILE_SYSTEMS_SEED"]), int(os.environ["VARVE_FILE_SYSTEMS_ENDINGS"])
with open(here / "asked", "a") as file:
    print(f"{test}/{kind}", seed, endings, file=file)
if kind == "btrfs":
    print("[  SKIPPED ] needs Btrfs")
    sys.exit()
failed = (here / "fail").exists() and (here / "fail").read_text() == f"{test}/{kind} {seed}"
pathlib.Path(os.environ["VARVE_FILE_SYSTEMS_REPORT"], "x.json").write_text(json.dumps(
    {"kind": test.split(".")[0], "file_system": kind or "any", "endings": endings, "next_seed": seed + endings}))
print("record 5 is lost" if failed else "")
sys.exit(failed)
"""
# A chunk of three bits, of twelve.
EVERY_BIT = """\
#!/usr/bin/env python3
import json, os, pathlib, sys
here = pathlib.Path(__file__).parent
stop, chunk = sys.argv[1].rsplit("/")[-1], os.environ["VARVE_BITS_SEED"]
with open(here / "asked", "a") as file:
    print(stop, chunk, os.environ["VARVE_BITS_ONE_IN"], file=file)
fail = (here / "fail").read_text() if (here / "fail").exists() else ""
if fail == f"{stop} {chunk} crashes":
    sys.exit("killed")
failed = fail == f"{stop} {chunk}"
print("byte 7, bit 3: a record is lost" if failed else "")
pathlib.Path(os.environ["VARVE_BITS_REPORT"]).write_text(json.dumps(
    {"stop": stop, "one_in": 4, "bits": 12, "flips": 3, "failures": 2 if failed else 0}))
sys.exit(failed)
"""
FUZZ = """\
#!/usr/bin/env python3
import os, pathlib, sys
target = os.environ["VARVE_FUZZ_TARGET"]
prefix = next(word.split("=")[1] for word in sys.argv if word.startswith("-artifact_prefix="))
print("stat::number_of_executed_units: 1000")
if (pathlib.Path(__file__).parent / "fail").exists() and target == "batch":
    pathlib.Path(f"{prefix}abc").write_text("x")
    sys.exit(77)
"""
FUZZ_SEEDS = """\
#!/usr/bin/env python3
import pathlib, sys
for target in ("batch", "time_index"):
    pathlib.Path(sys.argv[1], target).mkdir(parents=True)
"""


class LongRunsCase(ResultsCase):
    def setUp(self):
        super().setUp()
        self.build = self.directory / "build"

    def put(self, path, program):
        path = self.build / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(program)
        path.chmod(0o755)

    def run_script(self, script, *arguments):
        return subprocess.run([sys.executable, results.ROOT / script, self.build, *arguments], capture_output=True,
                              text=True, check=False, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})

    def asked(self, directory):
        """What the program was asked for since it was looked at last."""
        path = self.build / directory / "asked"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return lines


class CrashTest(LongRunsCase):
    def setUp(self):
        super().setUp()
        self.put("tests/crash/crash_states_test", CRASH_STATES)

    def crash(self, *arguments):
        return self.run_script("tests/crash/long", "--jobs", "1", "--states", "40", "--chunk", "10", *arguments)

    def test_no_state_is_made_twice(self):
        run = self.crash()
        self.assertEqual((run.returncode, run.stderr), (0, ""))
        self.assertEqual(self.asked("tests/crash"), ["a 1 10", "b 1 10", "a 11 9", "b 11 9"])
        kept = self.kept("crash")
        self.assertEqual(kept["reached"],
                         [results.one("crash states", 42, shapes=2, first_seed=1, next_seed=20)])
        self.assertEqual((kept["command"], kept["seconds"]), ("tests/crash/long BUILD", 6))

    def test_it_goes_on_where_it_was_stopped(self):
        self.crash("--minutes", "0")
        self.assertEqual(self.asked("tests/crash"), [])
        self.assertFalse((self.results / "crash.json").exists())
        self.crash("--states", "20")
        self.crash()
        self.assertEqual(self.asked("tests/crash"), ["a 1 10", "b 1 10", "a 11 9", "b 11 9"])
        self.crash()
        self.assertEqual(self.asked("tests/crash"), [])

    def test_a_failure_ends_it_and_stays(self):
        self.put("tests/crash/fail", "b 11")
        failure = "b, in the lives from seed 11 on"
        for _ in range(2):
            run = self.crash()
            self.assertEqual(run.returncode, 1)
            self.assertIn("state 5 is wrong", run.stdout)
            self.assertEqual(self.kept("crash")["reached"][0]["failures"], [failure])
        self.put("tests/crash/fail", "")
        self.assertEqual(self.crash().returncode, 1)
        self.assertEqual(self.kept("crash")["reached"][0]["failures"], [failure])
        self.assertEqual(self.crash("--anew").returncode, 0)
        self.assertEqual(self.kept("crash")["reached"][0]["failures"], [])

    def test_who_stops_it_makes_no_failure_of_what_was_under_way(self):
        self.crash("--states", "20")
        self.asked("tests/crash")
        self.put("tests/crash/slow", "")
        asked = [sys.executable, results.ROOT / "tests/crash/long", self.build, "--jobs", "1", "--states", "40"]
        run = subprocess.Popen(asked, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True)
        while not (self.build / "tests/crash/asked").exists():
            time.sleep(0.01)
        os.killpg(run.pid, signal.SIGTERM)
        _, said = run.communicate()
        self.assertEqual((run.returncode, said), (1, "stopped; what was done is kept, and the next run goes on\n"))
        self.assertEqual(len(self.asked("tests/crash")), 1)
        reached = self.kept("crash")["reached"][0]
        self.assertEqual((reached["count"], reached["failures"]), (22, []))

    def test_another_program_does_not_go_on(self):
        self.crash()
        self.put("tests/crash/crash_states_test", CRASH_STATES + "\n")
        run = self.crash()
        self.assertIn("--anew", run.stderr)
        self.assertEqual(run.returncode, 1)


class EveryBitTest(LongRunsCase):
    def setUp(self):
        super().setUp()
        self.put("tests/faults/every_bit_test", EVERY_BIT)

    def turn(self, *arguments):
        return self.run_script("tests/faults/long", "--jobs", "1", "--chunks", "4", *arguments)

    def test_every_chunk_of_each_way_to_stop_is_done_once(self):
        run = self.turn()
        self.assertEqual((run.returncode, run.stderr), (0, ""))
        stops = ("CleanStop", "ProcessDied", "PowerLost")
        self.assertEqual(self.asked("tests/faults"), [f"{stop} {chunk} 4" for chunk in range(4) for stop in stops])
        kept = self.kept("every_bit")
        self.assertEqual(kept["reached"], [results.one(f"flipped bits after {how}", 12, of=12) for how in
                                           ("a clean stop", "the death of a process", "a power loss")])
        self.assertEqual(kept["command"], "tests/faults/long BUILD")
        self.turn()
        self.assertEqual(self.asked("tests/faults"), [])

    def test_it_goes_on_where_it_was_stopped(self):
        self.turn("--minutes", "0")
        self.assertEqual(self.asked("tests/faults"), [])
        self.assertFalse((self.results / "every_bit.json").exists())
        self.put("tests/faults/fail", "PowerLost 1 crashes")
        run = self.turn()
        self.assertEqual(run.returncode, 1)
        self.assertIn("killed", run.stdout)
        self.assertEqual(self.kept("every_bit")["reached"][0]["count"], 6)
        self.asked("tests/faults")
        self.put("tests/faults/fail", "")
        self.assertEqual(self.turn().returncode, 0)
        self.assertEqual(self.asked("tests/faults")[0], "PowerLost 1 4")

    def test_a_failure_is_printed_and_stays(self):
        self.put("tests/faults/fail", "ProcessDied 2")
        for _ in range(2):
            self.assertEqual((run := self.turn()).returncode, 1)
            self.assertEqual(self.kept("every_bit")["reached"][1]["failures"], ["2 bits of chunk ProcessDied 2"])
            self.put("tests/faults/fail", "")
        self.assertIn("2 bits of chunk ProcessDied 2", run.stdout)
        self.assertEqual(self.turn("--anew").returncode, 0)

    def test_other_chunks_do_not_go_on(self):
        self.turn()
        run = self.turn("--chunks", "5")
        self.assertEqual(run.returncode, 1)
        self.assertIn("--anew", run.stderr)


class FileSystemsTest(LongRunsCase):
    def setUp(self):
        super().setUp()
        self.put("tests/file_systems/file_systems_test", FILE_SYSTEMS)

    def end(self, *arguments):
        return self.run_script("tests/file_systems/long", "--endings", "10", "--chunk", "5", *arguments)

    def test_each_kind_gets_what_was_asked_and_what_cannot_be_run_nothing(self):
        self.assertEqual(self.end().returncode, 0)
        reached = {one["what"]: one for one in self.kept("file_systems")["reached"]}
        self.assertEqual(reached["KillLoopTest"], results.one("KillLoopTest", 10, first_seed=1, next_seed=11))
        self.assertEqual(reached["ShutdownTest on xfs"]["count"], 4)
        self.assertEqual([what for what in reached if "btrfs" in what], [])
        asked = self.asked("tests/file_systems")
        self.assertIn("KillLoopTest.NothingWrittenIsLost/ 6 5", asked)
        self.assertEqual(len(asked), len(set(asked)))
        self.end()
        self.assertEqual({line.split()[0].split("/")[1] for line in self.asked("tests/file_systems")}, {"btrfs"})

    def test_a_failure_ends_it_and_stays(self):
        self.put("tests/file_systems/fail", "KillLoopTest.NothingWrittenIsLost/ 6")
        for _ in range(2):
            run = self.end()
            self.assertEqual(run.returncode, 1)
            self.assertIn("record 5 is lost", run.stdout)
            self.assertIn(results.one("KillLoopTest", 5, ["in the lives from seed 6 on"], first_seed=1, next_seed=6),
                          self.kept("file_systems")["reached"])
        self.put("tests/file_systems/fail", "")
        self.assertEqual(self.end().returncode, 1)
        self.assertEqual(self.end("--anew").returncode, 0)

    def test_a_test_that_says_nothing_has_failed(self):
        self.put("tests/file_systems/file_systems_test", "#!/bin/sh\n")
        self.assertEqual(self.end().returncode, 1)
        self.assertTrue(self.kept("file_systems")["reached"][0]["failures"])


class FuzzTest(LongRunsCase):
    def setUp(self):
        super().setUp()
        self.put("tests/fuzz/varve_fuzz", FUZZ)
        self.put("tests/fuzz/fuzz_seeds", FUZZ_SEEDS)

    def fuzz(self, *arguments):
        return self.run_script("tests/fuzz/long", "--jobs", "1", "--minutes", "0", *arguments)

    def reached(self):
        return {one["what"]: one for one in self.kept("fuzz")["reached"]}

    def test_executions_of_all_runs_add_up(self):
        self.assertEqual(self.fuzz().returncode, 0)
        first = self.reached()
        self.assertEqual(first, {what: results.one(what, 1000) for what in ("batch", "time_index")})
        self.assertEqual(self.fuzz("batch").returncode, 0)
        self.assertEqual(self.reached(), {**first, "batch": results.one("batch", 2000)})

    def test_the_targets_take_turns_until_the_time_is_over(self):
        self.assertEqual(self.fuzz("--minutes", "0.05").returncode, 0)
        self.assertTrue(all(one["count"] >= 1000 for one in self.reached().values()))

    def test_an_input_that_fails_is_a_failure_until_it_is_taken_away(self):
        self.put("tests/fuzz/fail", "")
        self.assertEqual(self.fuzz().returncode, 1)
        self.assertEqual(self.reached()["batch"], results.one("batch", 1000, ["batch-failed-abc"]))
        self.assertEqual(self.reached()["time_index"]["failures"], [])
        (self.build / "tests/fuzz/fail").unlink()
        self.assertEqual(self.fuzz().returncode, 1)
        (self.build / "tests/fuzz/corpus/batch-failed-abc").unlink()
        self.fuzz("time_index")
        self.assertEqual(self.reached()["batch"]["failures"], ["batch-failed-abc"])
        self.assertEqual(self.fuzz().returncode, 0)
        self.assertEqual(self.reached()["batch"]["failures"], [])

    def test_a_fuzzer_that_dies_is_a_failure(self):
        self.put("tests/fuzz/varve_fuzz", "#!/bin/sh\necho no libFuzzer\n")
        self.assertEqual(self.fuzz("batch").returncode, 1)
        self.assertEqual(self.reached()["batch"], results.one("batch", 0, ["batch: libFuzzer ended with status 0"]))

    def test_results_that_cannot_be_read_are_not_replaced(self):
        (self.results / "fuzz.json").write_text("{")
        run = self.fuzz()
        self.assertEqual(run.returncode, 1)
        self.assertIn("fuzz.json: results of tests in JSON expected", run.stderr)
        self.assertEqual((self.results / "fuzz.json").read_text(), "{")


class FaultsTest(LongRunsCase):
    def run_where(self, *lines, status, report=True):
        """The run where faults_test reports of two kinds of calls, prints these lines and ends with that status."""
        reported = [{"kind": "sync: EIO, pages dropped", "runs": 2, "of": 2}, {"kind": "open: EIO", "runs": 4, "of": 4}]
        told = "".join(f"echo '{json.dumps(one)}' >>$VARVE_FAULTS_REPORT\n" for one in reported) if report else ""
        said = "".join(f"echo '{line}'\n" for line in lines)
        self.put("tests/faults/faults_test",
                 f"#!/bin/sh\n[ $VARVE_FAULTS_ONE_IN = 1 ] || exit 9\n{told}{said}exit {status}\n")
        return self.run_script("tests/faults/every_call")

    def failures(self):
        return {one["what"]: one["failures"] for one in self.kept("faults")["reached"]}

    def test_all_that_there_are_is_counted(self):
        self.assertEqual(self.run_where(status=0).returncode, 0)
        self.assertEqual(self.kept("faults")["reached"], [results.one("calls that fail", 6, of=6),
                                                          results.one("syncs that fail and lose pages", 2, of=2)])

    def test_a_call_that_was_not_borne_is_a_failure_once(self):
        opened, synced = "roll: open: EIO, call 3", "roll: sync: EIO, pages dropped, call 1 and all later ones"
        traces = [f"../support/fault_runs.cc:157: {one}" for one in (opened, opened, synced)]
        run = self.run_where(*traces, status=1)
        self.assertEqual(run.returncode, 1)
        self.assertIn(traces[0], run.stdout)
        self.assertEqual(self.failures(), {"calls that fail": [opened, synced],
                                           "syncs that fail and lose pages": [synced]})

    def test_a_program_that_dies_or_says_nothing_is_a_failure(self):
        self.assertEqual(self.run_where(status=8).returncode, 1)
        self.assertEqual(self.failures()["calls that fail"], ["faults_test ended with status 8"])
        self.assertEqual(self.run_where(status=0, report=False).returncode, 1)
        self.assertEqual(self.failures(), {"calls that fail": ["faults_test ended with status 0"]})


class AllLongRunsTest(LongRunsCase):
    def setUp(self):
        super().setUp()
        self.script = self.directory / "tests/long"
        self.script.parent.mkdir()
        shutil.copy(results.ROOT / "tests/long", self.script)

    def put_run(self, name, status=0):
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'#!/bin/sh\necho "{name} $@" >>{self.directory}/ran\nexit {status}\n')
        path.chmod(0o755)

    def run_all(self, *arguments):
        (self.directory / "ran").unlink(missing_ok=True)
        run = subprocess.run([sys.executable, self.script, self.build / "gcc", *arguments], capture_output=True, text=True,
                             check=False)
        return run, (self.directory / "ran").read_text().splitlines()

    def test_what_is_there_is_run_and_then_reported(self):
        for name in ("tests/fuzz/long", "tests/crash/long", "tests/faults/every_call", "tests/report"):
            self.put_run(name)
        run, ran = self.run_all()
        self.assertEqual((run.returncode, run.stderr), (0, ""))
        self.assertEqual(ran, [f"tests/faults/every_call {self.build}/gcc", f"tests/crash/long {self.build}/gcc",
                               f"tests/fuzz/long {self.build}/sanitized", "tests/report "])
        self.assertEqual(self.run_all("--sanitized", self.build / "other")[1][2], f"tests/fuzz/long {self.build}/other")

    def test_those_that_are_left_share_the_minutes(self):
        for name in ("tests/fuzz/long", "tests/crash/long", "tests/faults/every_call", "tests/report"):
            self.put_run(name)
        _, ran = self.run_all("--minutes", "60")
        self.assertEqual(ran[0], f"tests/faults/every_call {self.build}/gcc")
        self.assertRegex(ran[1], f"tests/crash/long {self.build}/gcc --minutes (30.00|2[0-9][.]..)$")
        self.assertRegex(ran[2], f"tests/fuzz/long {self.build}/sanitized --minutes (60.00|5[0-9][.]..)$")

    def test_a_failure_keeps_no_other_from_its_run_and_is_told(self):
        self.put_run("tests/crash/long", status=1)
        self.put_run("tests/kafka/long", status=3)  # that it was ended by its minutes
        self.put_run("tests/report")
        run, ran = self.run_all()
        self.assertEqual(len(ran), 3)
        self.assertEqual((run.returncode, run.stderr), (1, "failed: tests/crash/long\n"))
        self.put_run("tests/crash/long")
        self.put_run("tests/report", status=1)
        self.assertEqual(self.run_all()[0].stderr, "failed: tests/report\n")


class CanariesTest(LongRunsCase):
    def test_a_build_that_makes_nothing_catches_nothing(self):
        self.put("compile_commands.json", "[]")
        self.put("tests/canaries/none", "")
        run = self.run_script("tests/canaries/long", "--ninja", "true")
        self.assertEqual(run.returncode, 1, run.stderr)
        reached = self.kept("canaries")["reached"][0]
        self.assertEqual((reached["count"], len(reached["failures"])), (0, reached["of"]))
        self.assertIn("missing_sync is not caught", reached["failures"])
        # Those that were caught are not tried again.
        progress = self.build / "tests/canaries/long.json"
        noted = json.loads(progress.read_text())
        noted["of"] = {name: {"problems": [], "seconds": 1} for name in noted["of"]}
        progress.write_text(json.dumps(noted))
        run = self.run_script("tests/canaries/long", "--ninja", "false")
        self.assertEqual((run.returncode, run.stderr), (0, ""))
        reached = self.kept("canaries")["reached"][0]
        self.assertEqual((reached["count"], reached["failures"]), (reached["of"], []))


if __name__ == "__main__":
    unittest.main()
