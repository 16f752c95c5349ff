"""read --follow: what comes is printed, and what a truncation takes away is told."""

import signal
import subprocess
import time
import unittest

from varve_command import TIMEOUT_S, VARVE, VarveTest


class FollowTest(VarveTest):
    def follow_ten(self, partition, options):
        """A follower that has printed the records 0 to 9."""
        follower = subprocess.Popen([VARVE, "read", partition, "--follow", *options], stdout=subprocess.PIPE,
                                    stderr=subprocess.PIPE)
        for stream in [follower.stdout, follower.stderr]:
            self.addCleanup(stream.close)
        self.addCleanup(follower.kill)
        self.assertEqual([follower.stdout.readline() for _ in range(10)], [b"%d\n" % i for i in range(10)])
        return follower

    def end(self, follower):
        """By an interrupt, and nothing more was told."""
        follower.send_signal(signal.SIGINT)
        self.assertEqual(follower.wait(TIMEOUT_S), 0)
        self.assertEqual(follower.stderr.read(), b"")

    def test_follow_prints_what_comes_and_ends_at_an_interrupt(self):
        partition = self.append("t-0", ["first"])
        follower = subprocess.Popen([VARVE, "read", partition, "--follow"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(follower.stdout.close)
        self.addCleanup(follower.stderr.close)
        self.assertEqual(follower.stdout.readline(), b"first\n")
        for line in ["second", "third"]:
            self.append("t-0", [line])
            self.assertEqual(follower.stdout.readline().decode(), f"{line}\n")
        follower.send_signal(signal.SIGINT)
        self.assertEqual(follower.wait(TIMEOUT_S), 0)
        self.assertEqual(follower.stderr.read(), b"")

    def test_follow_keeps_up_with_a_live_writer(self):
        partition = self.append("t-0", ["0"])
        writer = subprocess.Popen([VARVE, "append", partition, "--batch-records", "1", "--segment-bytes", "4KiB"],
                                  stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        follower = subprocess.Popen([VARVE, "read", partition, "--follow", "--max-records", "500"],
                                    stdout=subprocess.PIPE)
        self.addCleanup(follower.stdout.close)
        for i in range(1, 500):
            writer.stdin.write(f"{i}\n".encode())
            if i % 50 == 0:
                writer.stdin.flush()
                time.sleep(0.01)
        writer.stdin.flush()
        lines = follower.stdout.read().decode().split()
        self.assertEqual(lines, [str(i) for i in range(500)])
        self.assertEqual(follower.wait(TIMEOUT_S), 0)
        writer.stdin.close()
        self.assertEqual(writer.wait(TIMEOUT_S), 0)

    def test_a_truncation_below_the_reader_is_told_and_reading_goes_on_at_the_end(self):
        for options in [[], ["--committed"]]:
            with self.subTest(options=options):
                partition = self.append(f"{len(options)}-0", range(10), "--batch-records", 1)
                follower = self.follow_ten(partition, options)
                self.run_ok("truncate", partition, "--to", 5)
                told = follower.stderr.readline().decode()
                for part in [str(partition), "truncated to offset 5", "5 to 9"]:
                    self.assertIn(part, told)
                self.run_ok("append", partition, input="new\n")
                self.assertEqual(follower.stdout.readline(), b"new\n")
                self.end(follower)

    def test_a_log_written_on_past_the_reader_is_told(self):
        for options in [[], ["--committed"]]:
            with self.subTest(options=options):
                partition = self.append(f"{len(options)}-0", range(10), "--batch-records", 1)
                follower = self.follow_ten(partition, options)
                follower.send_signal(signal.SIGSTOP)
                self.run_ok("truncate", partition, "--to", 5)
                self.append(f"{len(options)}-0", [f"new {i}" for i in range(5, 12)], "--batch-records", 1)
                follower.send_signal(signal.SIGCONT)
                told = follower.stderr.readline().decode()
                for part in [str(partition), "truncated and written on", "below offset 10"]:
                    self.assertIn(part, told)
                self.assertEqual([follower.stdout.readline() for _ in range(2)], [b"new 10\n", b"new 11\n"])
                self.end(follower)


if __name__ == "__main__":
    unittest.main()
