"""The progress bar: drawn where standard error is a terminal, of the whole work, and nowhere else."""

import os
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
BATCHES = 30_000  # of a segment
# A bar is drawn at most every 100 ms, and the work may take less: the command is held up again and again.
SLICE_S = 0.002
PAUSE_S = 0.11
PAUSES = 20


def hold_up(process):
    for _ in range(PAUSES):
        time.sleep(SLICE_S)
        if process.poll() is not None:
            return
        process.send_signal(signal.SIGSTOP)
        time.sleep(PAUSE_S)
        process.send_signal(signal.SIGCONT)


class ProgressTest(VarveTest):
    def setUp(self):
        super().setUp()
        self.partition = self.directory / "t-0"
        one = log_files.batch(0, [b"v" * 20])
        for segment in range(SEGMENTS):
            base = segment * BATCHES
            log_files.write_log(self.partition, [struct.pack(">q", base + i) + one[8:] for i in range(BATCHES)], base)

    def on_terminal(self, *command):
        """What the command draws: title and percent of each line, in their order."""
        master, slave = pty.openpty()
        drawn = bytearray()

        def take():
            try:
                while chunk := os.read(master, 1 << 16):
                    drawn.extend(chunk)
            except OSError:
                pass  # the other end is closed

        process = subprocess.Popen([VARVE, *command], stdout=subprocess.DEVNULL, stderr=slave)
        os.close(slave)
        taker = threading.Thread(target=take)
        taker.start()
        hold_up(process)
        self.assertEqual(process.wait(TIMEOUT_S), 0)
        taker.join(TIMEOUT_S)
        os.close(master)
        text = drawn.decode()
        self.assertTrue(text.endswith("\r\x1b[K"), f"{command} leaves its bar: {text[-200:]!r}")
        return re.findall(r"\r([^\r]*?)  [█░]+ +(\d+) %  [^\r]*/s  \d+:\d\d left\x1b\[K", text)

    def check_bar(self, drawn, title):
        percents = [int(percent) for name, percent in drawn if name == title]
        self.assertTrue(percents, (title, drawn))
        self.assertEqual(percents, sorted(percents), title)
        self.assertLessEqual(percents[-1], 100)
        return percents

    def close_cleanly(self):
        self.run_on_pipe("append", self.partition)

    def run_on_pipe(self, *command):
        process = subprocess.Popen([VARVE, *command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE)
        hold_up(process)
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
                drawn = self.on_terminal(command[0], self.partition, *command[1:])
                self.check_bar(drawn, command[0])
        for command in [["dump", log], ["dump", log, "--json"]]:
            with self.subTest(command=command):
                self.check_bar(self.on_terminal(*command), "dump")

    def test_a_recovery_has_a_bar(self):
        for command in [["stat"], ["dump", "--as-opened"], ["read", "--max-records", "1"],
                        ["truncate", "--to", str(SEGMENTS * BATCHES)]]:
            with self.subTest(command=command):
                drawn = self.on_terminal(command[0], self.partition, *command[1:])
                self.check_bar(drawn, f"{command[0]}: recovery")

    def test_several_input_files_have_one_bar(self):
        sources = []
        for i in range(3):
            sources.append(self.directory / f"source-{i}")
            sources[-1].write_text(f"line of file {i}\n" * 60_000)
        self.check_bar(self.on_terminal("append", self.directory / "u-0", *sources), "append")

    def test_nothing_is_drawn_where_no_terminal_is(self):
        # The same work at the same pace as above, where the bar is seen.
        self.close_cleanly()
        for command in [["stat"], ["dump"], ["read"], ["verify"], ["repair", "--force", "--all"]]:
            with self.subTest(command=command):
                self.assertNotIn(b"\r", self.run_on_pipe(command[0], self.partition, *command[1:]))


if __name__ == "__main__":
    unittest.main()
