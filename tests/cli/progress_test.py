"""The progress bar: drawn where standard error is a terminal, of the whole work, and nowhere else."""

import itertools
import os
import pathlib
import pty
import re
import signal
import struct
import subprocess
import threading
import time
import unittest

import log_files
from varve_command import TIMEOUT_S, VARVE, VarveTest

SEGMENTS = 4
ENOUGH_BARS = 3
PAUSES_ON_PIPE = 20
BATCHES = 30_000  # of a segment
# A bar is drawn at most every 100 ms, and the work may take less: the command is held up again and again.
PAUSE_S = 0.11
SLICE_NS = 2_000_000  # of processor time, of which a loaded machine gives as much as any other, only later
NICENESS = 19  # so that whoever holds it up gets the processor first
PAUSES = 60  # more than any of these commands takes to begin


def processor_ns(process):
    """Of a process that has ended and was not waited for: what it has used in all."""
    return int(pathlib.Path(f"/proc/{process.pid}/schedstat").read_text().split()[0])


def has_ended(process):
    """Without waiting for it: then there would be nobody left to ask."""
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def hold_up(process, enough):
    """Stops the process after each slice of its work, until enough() or it has ended."""
    for _ in range(PAUSES):
        used_ns = processor_ns(process)
        while processor_ns(process) < used_ns + SLICE_NS and not has_ended(process):
            time.sleep(0.0002)
        if enough() or has_ended(process):
            return
        # Not send_signal(): it waits for a process that ended just now, and nobody is left to ask.
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(PAUSE_S)
        os.kill(process.pid, signal.SIGCONT)


def be_nice():
    os.nice(NICENESS)


class ProgressTest(VarveTest):
    def setUp(self):
        super().setUp()
        self.partition = self.directory / "t-0"
        one = log_files.batch(0, [b"v" * 20])
        for segment in range(SEGMENTS):
            base = segment * BATCHES
            log_files.write_log(self.partition, [struct.pack(">q", base + i) + one[8:] for i in range(BATCHES)], base)

    def on_terminal(self, title, *command):
        """What the command draws: title and percent of each line, in their order; it is held up until there are a few
        of this title."""
        master, slave = pty.openpty()
        drawn = bytearray()

        def take():
            try:
                while chunk := os.read(master, 1 << 16):
                    drawn.extend(chunk)
            except OSError:
                pass  # the other end is closed

        process = subprocess.Popen([VARVE, *command], stdout=subprocess.DEVNULL, stderr=slave, preexec_fn=be_nice)
        os.close(slave)
        taker = threading.Thread(target=take)
        taker.start()
        hold_up(process, lambda: drawn.count(f"\r{title}  ".encode()) >= ENOUGH_BARS)
        self.assertEqual(process.wait(TIMEOUT_S), 0)
        taker.join(TIMEOUT_S)
        os.close(master)
        text = drawn.decode()
        self.assertTrue(text.endswith("\r\x1b[K"), f"{command} leaves its bar: {text[-200:]!r}")
        return re.findall(r"\r([^\r]*?)  [█░]+ +(\d+) %  [^\r]*/s  \d+:\d\d left\x1b\[K", text)

    def check_bar(self, title, *command):
        drawn = self.on_terminal(title, *command)
        percents = [int(percent) for name, percent in drawn if name == title]
        self.assertTrue(percents, (title, drawn))
        self.assertEqual(percents, sorted(percents), title)
        self.assertLessEqual(percents[-1], 100)

    def close_cleanly(self):
        self.run_ok("append", self.partition)

    def run_on_pipe(self, *command):
        process = subprocess.Popen([VARVE, *command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, preexec_fn=be_nice)
        pauses = itertools.count()
        hold_up(process, lambda: next(pauses) >= PAUSES_ON_PIPE)
        errors = process.stderr.read()
        process.stderr.close()
        self.assertEqual(process.wait(TIMEOUT_S), 0, errors)
        return errors

    def test_one_bar_is_drawn_of_all_files(self):
        log = self.partition / f"{0:020}.log"
        self.close_cleanly()
        for command in [["stat"], ["dump"], ["dump", "--json"], ["read"], ["read", "--committed"], ["verify"],
                        ["repair", "--force", "--all"]]:
            with self.subTest(command=command):
                self.check_bar(command[0], command[0], self.partition, *command[1:])
        for command in [["dump", log], ["dump", log, "--json"]]:
            with self.subTest(command=command):
                self.check_bar("dump", *command)

    def test_a_recovery_has_a_bar(self):
        for command in [["stat"], ["dump", "--as-opened"], ["read", "--max-records", "1"],
                        ["truncate", "--to", str(SEGMENTS * BATCHES)]]:
            with self.subTest(command=command):
                self.check_bar(f"{command[0]}: recovery", command[0], self.partition, *command[1:])

    def test_a_compaction_has_a_bar(self):
        self.close_cleanly()
        self.check_bar("compact", "compact", self.partition, "--drop-unkeyed")

    def test_handing_over_has_bars(self):
        self.close_cleanly()
        broker = self.directory / "kafka-logs"
        broker.mkdir()
        (broker / "meta.properties").write_text("cluster.id=abc\nnode.id=7\n")
        self.check_bar("adopt: check", "adopt", self.partition, "--into", broker, "--topic-id", "4L6g3nShT-eMCtK--X86sw")

    def test_several_input_files_have_one_bar(self):
        sources = []
        for i in range(3):
            sources.append(self.directory / f"source-{i}")
            sources[-1].write_text(f"line of file {i}\n" * 60_000)
        self.check_bar("append", "append", self.directory / "u-0", *sources)

    def test_nothing_is_drawn_where_no_terminal_is(self):
        # The same work at the same pace as above, where the bar is seen.
        self.close_cleanly()
        for command in [["stat"], ["dump"], ["read"], ["verify"], ["repair", "--force", "--all"],
                        ["compact", "--drop-unkeyed"]]:
            with self.subTest(command=command):
                self.assertNotIn(b"\r", self.run_on_pipe(command[0], self.partition, *command[1:]))


if __name__ == "__main__":
    unittest.main()
