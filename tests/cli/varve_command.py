"""Runs the built command for the tests of this directory."""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time
import unittest

VARVE = os.environ["VARVE_COMMAND"]
GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden"
TIMEOUT_S = 120


class Result:
    def __init__(self, completed):
        self.status = completed.returncode
        self.bytes = completed.stdout
        self.text = completed.stdout.decode("utf-8", "replace")
        self.errors = completed.stderr.decode("utf-8", "replace")

    def json(self):
        return json.loads(self.text)

    def json_lines(self):
        return [json.loads(line) for line in self.text.splitlines()]


def varve(*arguments, input=b"", command=VARVE, **options):
    """The command with these arguments, run to its end."""
    if isinstance(input, str):
        input = input.encode()
    return Result(subprocess.run([command, *map(str, arguments)], input=input, capture_output=True, timeout=TIMEOUT_S,
                                 check=False, **options))


def find_answers(partition, option, questions):
    """What `varve find` says to many questions (--offset, --time or --epoch) at once, in their order."""
    if not questions:
        return []
    result = varve("find", partition, "--json", *(word for question in questions for word in (option, question)))
    answers = result.json_lines()
    missed = any(answer.get("result") in ("none", "out_of_range") for answer in answers)
    if result.status != (1 if missed else 0) or len(answers) != len(questions):
        raise AssertionError(f"find in {partition}: exit {result.status}, {len(answers)} answers to {len(questions)} "
                             f"questions\n{result.errors}")
    return answers


def files_of(directory):
    """Name and content of every file in a directory."""
    return {path.name: path.read_bytes() for path in sorted(pathlib.Path(directory).iterdir()) if path.is_file()}


class VarveTest(unittest.TestCase):
    """A test with a directory of its own."""

    maxDiff = 4000

    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="varve-cli-")
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)

    def run_ok(self, *arguments, **options):
        result = varve(*arguments, **options)
        self.assertEqual(result.status, 0, f"varve {arguments}: {result.errors}")
        return result

    def wait_until(self, condition):
        deadline = time.monotonic() + TIMEOUT_S
        while not condition():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)

    def check_refused(self, result, status, *parts):
        """The command failed with this status, and its message has these parts."""
        self.assertEqual(result.status, status, result.errors + result.text)
        for part in parts:
            self.assertIn(str(part), result.errors)

    def copy_case(self, case):
        """A writable copy of a golden log directory; returns its partition."""
        target = self.directory / case
        shutil.copytree(GOLDEN / case, target)
        (target / "manifest.json").unlink()
        for path in [target, *target.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)
        return target / manifest_of(case)["dir"]

    def check_producers_left(self, left, *command):
        """Of the producers that a log of 2023 knows, `all` or `none` are left by a command that recovers it."""
        known = {producer["producer_id"] for producer in manifest_of("idempotent")["producers"]}
        partition = self.copy_case("idempotent")
        (partition.parent / ".kafka_cleanshutdown").unlink()
        for snapshot in partition.glob("*.snapshot"):
            snapshot.unlink()  # so that they are made by what opening knows
        self.run_ok(command[0], partition, *command[1:])
        snapshots = self.run_ok("dump", partition, "--json").json()["snapshots"]
        self.assertEqual({entry["producer_id"] for entry in snapshots[-1]["entries"]},
                         {"all": known, "none": set()}[left])
        shutil.rmtree(partition.parent)

    def unprivileged(self, *arguments, **options):
        """The command, run by a user whom the modes of files bind."""
        def become_nobody():
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)

        self.directory.chmod(0o755)
        command = self.directory / "varve"  # the built one may lie where only its builder looks
        if not command.exists():
            shutil.copy(VARVE, command)
            command.chmod(0o755)
        return varve(*arguments, command=command, preexec_fn=become_nobody if os.getuid() == 0 else None, **options)

    def hold_as_broker(self, partition):
        """Another process that holds the lock of the data directory, as a running broker does; returns the lock's path."""
        lock = partition.parent / ".lock"
        lock.touch()
        holder = subprocess.Popen(["python3", "-c", "import fcntl,sys\nf=open(sys.argv[1],'r+')\nfcntl.lockf(f,"
                                   "fcntl.LOCK_EX)\nprint('held',flush=True)\nsys.stdin.read()", lock],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(holder.wait, TIMEOUT_S)
        self.addCleanup(holder.stdout.close)
        self.addCleanup(holder.stdin.close)
        self.assertEqual(holder.stdout.readline(), b"held\n")
        return lock

    def hold_as_writer(self, partition):
        """Another process that has the partition open for writing, and has appended a record there."""
        holder = subprocess.Popen([VARVE, "append", partition, "--batch-records", "1"], stdin=subprocess.PIPE,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(holder.wait, TIMEOUT_S)
        self.addCleanup(holder.stdin.close)
        holder.stdin.write(b"held\n")
        holder.stdin.flush()
        self.wait_until(lambda: "held" in varve("read", partition).text)
        return holder

    def append(self, name, lines, *options, **more):
        """Appends lines to a new partition of this name; returns its path."""
        partition = self.directory / name
        self.run_ok("append", partition, *options, input="".join(f"{line}\n" for line in lines), **more)
        return partition


def manifest_of(case):
    return json.loads((GOLDEN / case / "manifest.json").read_text())


def golden_cases():
    return sorted(path.parent.name for path in GOLDEN.glob("*/manifest.json"))
