"""The standard streams: closed, broken, full, or left by whoever read them; and the exit status all the same."""

import fcntl
import os
import pathlib
import signal
import struct
import subprocess
import termios
import unittest

from varve_command import TIMEOUT_S, VARVE, VarveTest, files_of, varve


def flip_first_batch(partition):
    """Damages the first batch of the first segment."""
    path = partition / f"{0:020}.log"
    content = bytearray(path.read_bytes())
    content[70] ^= 1
    path.write_bytes(content)


class ClosedStreamTest(VarveTest):
    def test_a_closed_stream_does_not_become_a_file_of_the_log(self):
        source = self.directory / "source.txt"
        source.write_text("one\ntwo\n")
        for descriptor, status in [(0, 0), (1, 3), (2, 0)]:
            with self.subTest(descriptor=descriptor):
                partition = self.directory / f"t-{descriptor}"
                completed = subprocess.run([VARVE, "append", partition, source], stderr=subprocess.DEVNULL,
                                           stdout=subprocess.DEVNULL, timeout=TIMEOUT_S, check=False,
                                           preexec_fn=lambda closed=descriptor: os.close(closed))
                self.assertEqual(completed.returncode, status)
                self.assertEqual(self.run_ok("read", partition).text, "one\ntwo\n")
                self.run_ok("verify", partition)
                for name, content in files_of(partition).items():
                    self.assertNotIn(b"appended", content, name)

    def test_a_closed_standard_input_cannot_be_read(self):
        completed = subprocess.run([VARVE, "append", self.directory / "t-0"], capture_output=True, timeout=TIMEOUT_S,
                                   check=False, preexec_fn=lambda: os.close(0))
        self.assertEqual(completed.returncode, 3)
        self.assertIn(b"standard input", completed.stderr)


class BrokenStandardErrorTest(VarveTest):
    def test_the_exit_status_is_that_of_the_data(self):
        partition = self.append("t-0", range(20))
        flip_first_batch(partition)
        for command, status in [(["verify", partition], 1), (["read", partition], 1), (["stat", "missing-0"], 3),
                                (["read", partition, "--format", "xml"], 2), (["dump", partition], 1)]:
            with self.subTest(command=command), open("/dev/full", "wb") as full:
                completed = subprocess.run([VARVE, *command], stdout=subprocess.DEVNULL, stderr=full,
                                           timeout=TIMEOUT_S, check=False)
                self.assertEqual(completed.returncode, status)


class EarlyCloseTest(VarveTest):
    def closed_early(self, *command):
        """The exit status and the messages of a command whose reader leaves after the first bytes."""
        process = subprocess.Popen([VARVE, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        process.stdout.read(1)
        process.stdout.close()
        errors = process.stderr.read().decode()
        process.stderr.close()
        return process.wait(TIMEOUT_S), errors

    def test_a_failure_stays_one(self):
        partition = self.append("t-0", ["x" * 100] * 50_000)
        flip_first_batch(partition)
        status, errors = self.closed_early("read", partition)
        self.assertEqual(status, 1, errors)
        self.assertIn("checksum", errors)

    def test_following_an_idle_log_ends_when_nobody_listens(self):
        partition = self.append("t-0", ["only"])
        process = subprocess.Popen([VARVE, "read", partition, "--follow"], stdout=subprocess.PIPE)
        self.assertEqual(process.stdout.readline(), b"only\n")
        process.stdout.close()
        try:
            self.assertEqual(process.wait(TIMEOUT_S), 0)
        finally:
            process.kill()

    def test_a_dump_that_nobody_reads_on_stops(self):
        partition = self.append("t-0", ["x" * 100] * 50_000, "--batch-records", 5)
        log = partition / f"{0:020}.log"
        content = bytearray(log.read_bytes())
        content[-1] ^= 1
        log.write_bytes(content)
        for form in [[], ["--json"]]:
            with self.subTest(form=form):
                # Whoever gets to the end meets the damage there.
                self.check_refused(varve("dump", partition, *form), 1, "checksum")
                self.assertEqual(self.closed_early("dump", partition, *form), (0, ""))


class InterruptTest(VarveTest):
    def appender(self, partition):
        process = subprocess.Popen([VARVE, "append", partition], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        for stream in [process.stdin, process.stdout, process.stderr]:
            self.addCleanup(stream.close)
        self.addCleanup(process.kill)
        return process

    def wait_for(self, partition, text):
        self.wait_until(lambda: varve("read", partition).text == text)

    def has_taken(self, process):
        """True once the command has read all that was written to it, and waits for more."""
        waiting = fcntl.ioctl(process.stdin, termios.FIONREAD, struct.pack("i", 0))
        state = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0]
        return struct.unpack("i", waiting) == (0,) and state == "S"

    def test_what_has_come_is_appended_though_the_pipe_stays_open(self):
        partition = self.directory / "t-0"
        process = self.appender(partition)
        process.stdin.write(b"one\ntwo\nthr")
        process.stdin.flush()
        self.wait_for(partition, "one\ntwo\n")
        process.stdin.write(b"ee\n")
        process.stdin.close()
        self.assertEqual(process.wait(TIMEOUT_S), 0)
        self.assertEqual(self.run_ok("read", partition).text, "one\ntwo\nthree\n")

    def test_an_interrupt_costs_no_record_that_was_read(self):
        for number in [signal.SIGINT, signal.SIGTERM]:
            with self.subTest(signal=number):
                partition = self.directory / f"t-{int(number)}"
                process = self.appender(partition)
                process.stdin.write(b"first\n")
                process.stdin.flush()
                self.wait_for(partition, "first\n")
                # It waits for input: it takes these lines at once, and the interrupt later.
                process.stdin.write(b"second\nthird\nnot whole")
                process.stdin.flush()
                self.wait_until(lambda: self.has_taken(process))
                process.send_signal(number)
                self.assertEqual(process.wait(TIMEOUT_S), 3)
                self.assertIn(b"interrupted behind line 3", process.stderr.read())
                self.assertIn(b"3 records appended", process.stdout.read())
                self.assertEqual(self.run_ok("read", partition).text, "first\nsecond\nthird\n")
                self.run_ok("verify", partition)


if __name__ == "__main__":
    unittest.main()
