"""append: what may stand in for a file, and what a line may hold."""

import base64
import json
import os
import subprocess
import threading
import unittest

from varve_command import TIMEOUT_S, VARVE, VarveTest, files_of, varve

LONGEST_MESSAGE = 600


class InputFileTest(VarveTest):
    def test_a_named_pipe_is_read_whole(self):
        pipe = self.directory / "pipe"
        os.mkfifo(pipe)
        writer = threading.Thread(target=pipe.write_text, args=["0\n" * 1000], daemon=True)
        writer.start()
        process = subprocess.Popen([VARVE, "append", self.directory / "t-0", pipe], stdout=subprocess.PIPE)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.kill)
        self.assertEqual(process.wait(TIMEOUT_S), 0)
        writer.join(TIMEOUT_S)
        self.assertEqual(self.run_ok("read", self.directory / "t-0").text, "0\n" * 1000)

    def test_a_failed_close_is_told_beside_a_refused_line(self):
        partition = self.directory / "t-0"
        process = subprocess.Popen([VARVE, "append", partition], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE)
        for stream in [process.stdin, process.stderr]:
            self.addCleanup(stream.close)
        self.addCleanup(process.kill)
        process.stdin.write(b"good\n")
        process.stdin.flush()
        self.wait_until(lambda: varve("read", partition).text == "good\n")
        partition.rename(self.directory / "elsewhere-0")
        process.stdin.write(b"x" * 1_000_001 + b"\n")
        process.stdin.close()
        errors = process.stderr.read().decode()
        self.assertEqual(process.wait(TIMEOUT_S), 3, errors)
        self.assertIn("No such file", errors)
        self.assertIn("standard input line 2", errors)

    def test_a_directory_is_refused_before_anything_is_made(self):
        self.check_refused(varve("append", self.directory / "t-0", self.directory), 3, self.directory, "directory")
        self.assertFalse((self.directory / "t-0").exists())


class CompressionTest(VarveTest):
    def test_lines_that_do_not_compress_are_taken(self):
        for codec in ["gzip", "snappy", "lz4", "zstd"]:
            with self.subTest(codec=codec):
                source = self.directory / "source"
                # Bytes that no codec makes smaller; a line feed would end the line.
                lines = [os.urandom(9_000).replace(b"\n", b" ") for _ in range(300)]
                source.write_bytes(b"".join(line + b"\n" for line in lines))
                partition = self.directory / f"{codec}-0"
                summary = self.run_ok("append", partition, source, "--compression", codec, "--json").json()
                self.assertEqual((summary["records"], summary["first_offset"], summary["last_offset"]), (300, 0, 299))
                batches = self.run_ok("dump", partition, "--json", "--batches-only").json()["batches"]
                self.assertEqual(summary["batches"], len(batches))
                self.assertEqual({batch["codec"] for batch in batches}, {codec})
                self.assertEqual(self.run_ok("read", partition).bytes, source.read_bytes())

    def test_a_batch_above_the_size_of_a_segment_is_parted(self):
        lines = ["x" * 100] * 1000
        partition = self.append("t-0", lines, "--segment-bytes", "16KiB")
        self.assertEqual(self.run_ok("read", partition).text.split(), lines)


class JsonLineTest(VarveTest):
    def refused(self, line):
        result = varve("append", self.directory / "t-0", "--format", "jsonl", "--json",
                       input=b'{"value":"ok"}\n' + line + b"\n")
        self.check_refused(result, 1, "standard input line 2", "expected")
        self.assertLess(len(result.errors), LONGEST_MESSAGE, result.errors[:2000])
        return result.errors

    def test_a_time_beyond_63_bits_is_refused(self):
        for number in ["9223372036854775808", "18446744073709551615", "18446744073709551616", "-9223372036854775809"]:
            self.refused(b'{"timestamp":%s}' % number.encode())
        record = {"value": "v", "timestamp": 9223372036854775807}
        partition = self.append("u-0", [json.dumps(record)], "--format", "jsonl")
        self.assertEqual(self.run_ok("read", partition, "--json").json()["timestamp"], 9223372036854775807)

    def test_nesting_deeper_than_the_stack_is_refused(self):
        deep = b"[" * 200_000 + b"]" * 200_000
        for member in [b"key", b"value", b"timestamp", b"headers", b"other"]:
            with self.subTest(member=member):
                self.assertIn('{"', self.refused(b'{"%s":%s}' % (member, deep)))
        self.refused(b'{"headers":[%s]}' % deep)
        self.refused(b'{"headers":[["k",%s]]}' % deep)

    def test_a_message_about_a_long_line_is_short(self):
        long = b"x" * 1_000_000
        for line in [b'{"' + long + b'":1}', b'{"key":"' + long, b'{"timestamp":"' + long + b'"}', long,
                     b'{"headers":"' + long + b'"}', '{"\u00fc'.encode() + "\u00fc".encode() * 500_000]:
            self.assertNotIn("\ufffd", self.refused(line))


class PathTest(VarveTest):
    def test_a_path_that_is_no_utf8_can_be_told_in_json(self):
        partition = os.fsencode(self.directory) + b"/\xff\xfe"
        made = self.append("t-0", [str(i) for i in range(20)], "--batch-records", "10")
        os.rename(made, partition)
        for command in [["append", partition], ["stat", partition], ["verify", partition], ["repair", partition],
                        ["explain", partition], ["truncate", partition, "--to", "10"]]:
            with self.subTest(command=command):
                completed = subprocess.run([VARVE, *command, "--json"], input=b"", capture_output=True,
                                           timeout=TIMEOUT_S, check=False)
                self.assertEqual(completed.returncode, 0, completed.stderr)
                self.assertIn("\ufffd", json.loads(completed.stdout)["dir"])


if __name__ == "__main__":
    unittest.main()
