"""What goes wrong: the exit status, a message that names what and where, and no harm done."""

import os
import subprocess
import unittest

from varve_command import GOLDEN, TIMEOUT_S, VARVE, VarveTest, files_of, manifest_of, varve

READERS = [["read"], ["find", "--offset", 0], ["stat"], ["dump"], ["dump", "--as-opened"], ["verify"], ["explain"]]
WRITERS = [["repair"], ["truncate", "--to", 0], ["compact"]]
PLAIN = GOLDEN / "plain" / "plain-0"


def on(command, path):
    """The command's words with the path behind the name."""
    return [command[0], path, *command[1:]]


class WrongPathTest(VarveTest):
    def test_no_such_directory(self):
        missing = self.directory / "missing-0"
        for command in READERS + WRITERS:
            with self.subTest(command=command):
                self.check_refused(varve(*on(command, missing)), 3, missing, "no such")
                self.assertFalse(missing.exists())

    def test_a_directory_without_a_partition(self):
        (self.directory / "notes.txt").write_text("hello")
        for command in READERS + WRITERS:
            with self.subTest(command=command):
                self.check_refused(varve(*on(command, self.directory)), 2, self.directory, "expected", "found")
        self.assertEqual(set(files_of(self.directory)), {"notes.txt"})

    def test_a_file_in_place_of_a_directory(self):
        path = self.directory / "notes.txt"
        path.write_text("hello")
        for command in READERS + WRITERS:
            with self.subTest(command=command):
                self.check_refused(varve(*on(command, path)), 2, path, "expected", "found")

    def test_a_name_that_is_no_topic_and_partition(self):
        for name in ["orders", "orders-", "-3", "orders-x", "a b-0", "orders-01",
                     "orders-0.0123456789abcdef0123456789abcdef-delete"]:
            with self.subTest(name=name):
                result = varve("append", "--json", "--", self.directory / name, input="x\n")
                self.check_refused(result, 2, name)
                self.assertFalse((self.directory / name).exists())

    def test_reading_takes_any_name(self):
        partition = self.append("t-0", ["x"])
        other = partition.rename(self.directory / "any name")
        self.assertEqual(self.run_ok("read", other).text, "x\n")
        self.run_ok("repair", other)

    def test_no_parent_directory(self):
        partition = self.directory / "missing" / "t-0"
        self.check_refused(varve("append", partition, input="x\n"), 3, self.directory / "missing")

    def test_an_input_that_is_not_there(self):
        missing = self.directory / "missing.txt"
        self.check_refused(varve("append", self.directory / "t-0", missing), 3, missing, "No such file")
        self.assertFalse((self.directory / "t-0").exists())

    def test_an_input_that_is_a_directory(self):
        self.check_refused(varve("append", self.directory / "t-0", self.directory), 3, self.directory, "directory")

    def test_files_of_no_partition_are_not_dumped(self):
        for name in ["notes.txt", "1.log", "varve.lock"]:
            path = self.directory / name
            path.write_text("")
            self.check_refused(varve("dump", path), 2, path, "expected")


class WrongUseTest(VarveTest):
    CASES = [
        [], ["nonsense"], ["read"], ["append"], ["find", PLAIN], ["truncate", PLAIN], ["read", PLAIN, "--nonsense"],
        ["append", "t-0", "--batch-records", "0"], ["append", "t-0", "--batch-records", "many"],
        ["append", "t-0", "--batch-bytes", "0"], ["append", "t-0", "--batch-bytes", "1XB"],
        ["append", "t-0", "--batch-bytes", "4GiB"], ["append", "t-0", "--compression", "brotli"],
        ["append", "t-0", "--ack", "maybe"], ["append", "t-0", "--format", "xml"],
        ["append", "t-0", "--segment-bytes", "13"], ["append", "t-0", "--segment-bytes", "2GiB"],
        ["append", "t-0", "--segment-ms", "0"], ["append", "t-0", "--timestamp-type", "now"],
        ["append", "t-0", "--leader-epoch", "-1"], ["append", "t-0", "--leader-epoch", "2147483648"],
        ["append", "t-0", "--max-message-bytes", "0"], ["append", "t-0", "--now", "yesterday"],
        ["append", "t-0", "--now", "2026-13-01T00:00:00Z"], ["append", "t-0", "--io", "dma"],
        ["append", "t-0", "--format", "jsonl", "--key-separator", "="],
        ["append", "t-0", "--format", "jsonl", "--timestamp-format", "%s"],
        ["read", PLAIN, "--format", "xml"], ["read", PLAIN, "--from-time", "noon"], ["read", PLAIN, "--max-records", "-1"],
        ["read", PLAIN, "--from-offset", "1", "--from-time", "earliest"], ["read", PLAIN, "--from-offset", "x"],
        ["find", PLAIN, "--time", "sometime"], ["find", PLAIN, "--time", "-4"], ["find", PLAIN, "--offset", "1.5"],
        ["find", PLAIN, "--epoch", "x"], ["repair", PLAIN, "--on-damage", "ignore"],
        ["repair", PLAIN, "--index-interval-bytes", "-1"], ["truncate", PLAIN, "--to", "-1"],
        ["dump", PLAIN, "--index-interval-bytes", "a lot"],
        ["truncate", PLAIN, "--to", ""], ["read", PLAIN, "--from-offset", ""], ["read", PLAIN, "--from-time", ""],
        ["find", PLAIN, "--offset", ""], ["append", "t-0", "--batch-bytes", ""], ["append", "t-0", "--now", ""],
        ["append", "t-0", "--ack", ""], ["append", "t-0", "--segment-ms", ""], ["append", ""],
        ["append", "t-0", "--ack", "1"], ["repair", PLAIN, "--on-damage", "1"], ["read", PLAIN, "--format", "1"],
        ["append", "t-0", "--ack", "7"], ["read", PLAIN, "--format", ""], ["repair", PLAIN, "--on-damage", ""],
        ["truncate", PLAIN, "--to", "9223372036854775808"], ["truncate", PLAIN, "--to", "true"],
        ["read", PLAIN, "--from-offset", "9223372036854775808"], ["read", PLAIN, "--from-offset", "-9223372036854775809"],
        ["read", PLAIN, "--to-offset", "18446744073709551616"], ["read", PLAIN, "--max-records", "9223372036854775808"],
        ["find", PLAIN, "--offset", "18446744073709551615"], ["find", PLAIN, "--epoch", "2147483648"],
        ["append", "t-0", "--segment-ms", "9223372036854775808"], ["append", "t-0", "--batch-records", "true"],
        ["retain", PLAIN], ["retain", PLAIN, "--now", "0"], ["retain", PLAIN, "--retention-ms", "-1"],
        ["retain", PLAIN, "--retention-bytes", "1XB"], ["retain", PLAIN, "--before-offset", "-1"],
        ["retain", PLAIN, "--retention-ms", "1", "--now", "noon"],
        ["compact"], ["compact", PLAIN, "--map-bytes", "0"], ["compact", PLAIN, "--segment-bytes", "13"],
        ["compact", PLAIN, "--delete-retention-ms", "-1"], ["compact", PLAIN, "--min-lag-ms", "1 day"],
        ["compact", PLAIN, "--now", "noon"],
        ["adopt"], ["adopt", PLAIN], ["adopt", PLAIN, "--into", "."], ["adopt", PLAIN, "--into", ".", "--as", "orders"],
        ["adopt", PLAIN, "--into", ".", "--as", "orders-0.0-delete"], ["export", PLAIN], ["export", PLAIN, "--to", PLAIN],
    ]

    def test_is_answered_with_2_and_a_message(self):
        for case in self.CASES:
            with self.subTest(case=case):
                result = varve(*case, cwd=self.directory)
                self.assertEqual(result.status, 2, result.errors)
                self.assertNotEqual(result.errors, "")
                self.assertEqual(result.text, "")
        self.assertEqual(os.listdir(self.directory), [])

    def test_help_and_version_are_no_mistakes(self):
        self.assertIn("append", self.run_ok("--help").text)
        self.assertRegex(self.run_ok("--version").text, r"^\d+\.\d+\.\d+\n$")
        for command in ["append", "read", "find", "stat", "dump", "verify", "repair", "explain", "truncate", "retain",
                        "compact", "adopt", "export"]:
            self.assertIn("--json", self.run_ok(command, "--help").text, command)


class NothingFoundTest(VarveTest):
    def test_offsets_out_of_range(self):
        partition = self.copy_case("log-start-advanced")
        for offset in ["332", "704", "9223372036854775807"]:
            self.check_refused(varve("read", partition, "--from-offset", offset), 1, offset, "333", "703")
        self.check_refused(varve("read", partition, "--from-offset", "-1"), 1, "-1", "333", "703")
        self.assertEqual(self.run_ok("read", partition, "--from-offset", 703).text, "")

    def test_a_number_with_zeros_before_it_is_decimal(self):
        self.assertEqual(self.run_ok("find", PLAIN, "--offset", "010", "--json").json()["offset"], 10)

    def test_a_time_after_the_last_record(self):
        self.check_refused(varve("read", PLAIN, "--from-time", "2100-01-01T00:00:00Z"), 1, "2100-01-01", "no record")

    def test_truncating_inside_a_batch_names_its_ends(self):
        partition = self.append("t-0", range(30), "--batch-records", 10)
        before = files_of(partition)
        self.check_refused(varve("truncate", partition, "--to", 15), 2, "15", "10", "19")
        self.assertEqual({n: c for n, c in files_of(partition).items() if n.endswith(".log")},
                         {n: c for n, c in before.items() if n.endswith(".log")})
        self.run_ok("truncate", partition, "--to", 15, "--whole-batch")
        self.assertEqual(self.run_ok("read", partition).text.split(), [str(i) for i in range(10)])


class LockTest(VarveTest):
    def test_writers_are_refused_and_readers_are_not(self):
        partition = self.append("t-0", ["a", "b"])
        holder = self.hold_as_writer(partition)
        # Also where the command would be refused, or would have nothing to do, without the writer.
        for command in WRITERS + [["truncate", "--to", 1], ["repair", "--force", "--all"]]:
            with self.subTest(command=command):
                self.check_refused(varve(*on(command, partition)), 3, "open for writing elsewhere",
                                   f"process {holder.pid}", "what to do: stop the process")
        self.check_refused(varve("append", partition, input="y\n"), 3, f"process {holder.pid}",
                           "what to do: stop the process")
        for command in READERS:
            with self.subTest(command=command):
                self.run_ok(*on(command, partition))
        self.assertEqual(self.run_ok("read", partition).text, "a\nb\nheld\n")
        self.assertIn("being written", self.run_ok("stat", partition).text)

    def test_a_running_broker_keeps_its_directory(self):
        partition = self.copy_case("plain")
        lock = self.hold_as_broker(partition)
        before = files_of(partition), set(files_of(partition.parent))
        for result in [varve("append", partition, input="x\n"), varve("truncate", partition, "--to", 0),
                       varve("repair", partition, "--force")]:
            self.check_refused(result, 3, lock)
        self.assertEqual((files_of(partition), set(files_of(partition.parent))), before)
        self.run_ok("read", partition, "--max-records", 1)

    def test_a_write_below_a_kafka_directory_removes_the_clean_marker_and_says_so(self):
        partition = self.copy_case("plain")
        result = self.run_ok("append", partition, input="x\n")
        self.assertIn("removed .kafka_cleanshutdown", result.errors)
        self.assertFalse((partition.parent / ".kafka_cleanshutdown").exists())

    def test_truncation_lowers_kafkas_checkpoints(self):
        partition = self.copy_case("plain")
        target = manifest_of("plain")["segments"][3]["base"]
        high_watermark = partition.parent / "replication-offset-checkpoint"
        high_watermark.write_text("0\n2\nother 0 9999\nplain 0 1399\n")
        self.run_ok("truncate", partition, "--to", target)
        self.assertEqual((partition.parent / "recovery-point-offset-checkpoint").read_text(), f"0\n1\nplain 0 {target}\n")
        self.assertEqual(high_watermark.read_text(), f"0\n2\nother 0 9999\nplain 0 {target}\n")


class DamageTest(VarveTest):
    def damaged(self, name="t-0"):
        """A partition of several segments with a flipped byte in the middle of the log, closed cleanly before."""
        lines = [f"line {i} " + "x" * 80 for i in range(600)]
        partition = self.append(name, lines, "--batch-records", 5, "--segment-bytes", "16KiB", "--index-interval-bytes", 512)
        batches = self.run_ok("dump", partition, "--json", "--batches-only").json()["batches"]
        batch = batches[len(batches) // 2]
        log = partition / f"{batch['segment']:020}.log"
        content = bytearray(log.read_bytes())
        content[batch["position"] + 70] ^= 1
        log.write_bytes(content)
        return partition, batch, log

    def test_a_flipped_byte_is_told_and_costs_one_batch(self):
        partition, batch, log = self.damaged()
        result = varve("verify", partition, "--json")
        self.assertEqual(result.status, 1)
        report = result.json()
        self.assertFalse(report["ok"])
        self.assertEqual(len(report["damage"]), 1)
        damage = report["damage"][0]
        self.assertEqual((damage["file"], damage["position"], damage["bytes"]), (log.name, batch["position"], batch["bytes"]))
        self.assertEqual((damage["first_offset"], damage["last_offset"]), (batch["base_offset"], batch["last_offset"]))
        self.assertTrue(damage["reason"])
        dump = varve("dump", partition)
        self.check_refused(dump, 1, log.name, f"position {batch['position']}", "expected checksum", "found")
        read = varve("read", partition)
        self.check_refused(read, 1, batch["base_offset"], batch["last_offset"], "what to do")
        lost = set(range(batch["base_offset"], batch["last_offset"] + 1))
        self.assertEqual([int(line.split()[1]) for line in read.text.splitlines()],
                         [i for i in range(600) if i not in lost])

    def test_repair_keeps_truncates_or_moves_aside(self):
        for action, kept, gap in [("keep", 600, 5), ("quarantine", 600, 5), ("truncate", None, 0)]:
            with self.subTest(on_damage=action):
                partition, batch, _ = self.damaged(f"{action}-0")
                result = varve("repair", partition, "--force", "--all", "--on-damage", action, "--json")
                self.assertEqual(result.status, 1 if action == "keep" else 0, result.errors)
                report = result.json()["report"]
                self.assertEqual(report["log_end_offset"], kept or batch["base_offset"])
                lines = varve("read", partition).text.splitlines()
                self.assertEqual(len(lines), report["log_end_offset"] - gap)
                saved = [name for name in files_of(partition) if name.startswith("varve.cut-")]
                self.assertEqual(bool(saved), action != "keep")

    def test_explain_tells_what_was_done(self):
        partition, batch, _ = self.damaged()
        self.assertIn("no opening", self.run_ok("explain", partition).text)
        self.assertIsNone(self.run_ok("explain", partition, "--json").json()["report"])
        varve("repair", partition, "--force", "--all", "--on-damage", "truncate")
        report = self.run_ok("explain", partition, "--json").json()["report"]
        self.assertEqual(report["log_end_offset"], batch["base_offset"])
        self.assertTrue(report["findings"])
        self.assertIn(report["findings"][0]["evidence"], self.run_ok("explain", partition).text)

    def test_a_torn_tail_is_told_and_cut(self):
        partition = self.append("t-0", range(20), "--batch-records", 10)
        log = partition / f"{0:020}.log"
        log.write_bytes(log.read_bytes() + b"\0" * 7 + b"\x14torn")
        result = varve("verify", partition, "--json")
        self.assertEqual((result.status, result.json()["torn_tail_bytes"]), (1, 12))
        self.run_ok("repair", partition)
        self.assertTrue(self.run_ok("verify", partition, "--json").json()["ok"])
        self.assertEqual(self.run_ok("read", partition).text.split(), [str(i) for i in range(20)])


class IndexFaultTest(VarveTest):
    FAULTS = {
        "missing": lambda content: None,
        "empty": lambda content: b"",
        "shorter": lambda content: content[:-12 * 8],
        "odd": lambda content: content + b"\1\2\3",
        "garbage": lambda content: bytes(range(1, 97)) * 2,
        "zeros": lambda content: bytes(len(content)),
        "padded": lambda content: content + bytes(9600),
    }

    def test_answers_stay_right_and_repair_mends(self):
        lines = [f"line {i} " + "x" * 50 for i in range(2000)]
        sound = self.append("t-0", lines, "--batch-records", 3, "--segment-bytes", "32KiB", "--index-interval-bytes", 256,
                            "--now", 1_700_000_000_000)
        questions = [word for offset in range(0, 2000, 97) for word in ("--offset", str(offset))]
        bases = sorted(name[:20] for name in files_of(sound) if name.endswith(".log"))
        clean = files_of(sound)
        expected = self.places(sound, questions)
        for suffix in ["index", "timeindex"]:
            for fault, change in self.FAULTS.items():
                for base in [bases[0], bases[-1]]:
                    with self.subTest(suffix=suffix, fault=fault, base=base):
                        self.check_fault(sound, f"{base}.{suffix}", change, questions, expected, clean)

    def check_fault(self, partition, name, change, questions, expected, clean):
        for file_name, content in clean.items():
            (partition / file_name).write_bytes(content)
        path = partition / name
        content = change(clean[name])
        path.unlink()
        if content is not None:
            path.write_bytes(content)
        self.assertEqual(self.places(partition, questions), expected)
        self.assertEqual(self.run_ok("find", partition, "--time", 1_700_000_000_000, "--json").json()["offset"], 0)
        self.run_ok("repair", partition, "--force", "--all", "--index-interval-bytes", 256)
        self.assertEqual(path.read_bytes(), clean[name])
        self.assertTrue(self.run_ok("verify", partition, "--json").json()["ok"])

    def places(self, partition, questions):
        answers = self.run_ok("find", partition, "--json", *questions).json_lines()
        return [(answer["offset"], answer["segment"], answer["position"]) for answer in answers]

    def test_verify_names_the_faulty_index(self):
        lines = [f"line {i} " + "x" * 50 for i in range(2000)]
        for fault in ["missing", "odd", "garbage", "zeros"]:
            with self.subTest(fault=fault):
                partition = self.append(f"{fault}-0", lines, "--batch-records", 3, "--segment-bytes", "32KiB",
                                        "--index-interval-bytes", 256)
                path = partition / f"{0:020}.index"
                content = self.FAULTS[fault](path.read_bytes())
                path.unlink()
                if content is not None:
                    path.write_bytes(content)
                result = varve("verify", partition, "--json")
                self.assertEqual(result.status, 1)
                report = result.json()
                self.assertFalse(report["ok"])
                self.assertEqual(report["index_faults"][0]["file"], path.name)
                self.assertTrue(report["index_faults"][0]["reason"])
                self.assertEqual(report["damage"], [])
                self.check_refused(varve("verify", partition), 1)
                self.assertIn(path.name, varve("verify", partition).text)


class OutputTest(VarveTest):
    def test_a_pipe_that_closes_early_is_enough(self):
        partition = self.append("t-0", ["x" * 100] * 50_000)
        for command in [["read"], ["read", "--json"], ["dump"], ["dump", "--json"]]:
            with self.subTest(command=command):
                process = subprocess.Popen([VARVE, *on(command, str(partition))], stdout=subprocess.PIPE,
                                           stderr=subprocess.PIPE)
                process.stdout.read(10)
                process.stdout.close()
                errors = process.stderr.read()
                process.stderr.close()
                self.assertEqual((process.wait(TIMEOUT_S), errors), (0, b""))

    def test_a_full_disk_is_told(self):
        with open("/dev/full", "wb") as full:
            process = subprocess.run([VARVE, "read", PLAIN], stdout=full, stderr=subprocess.PIPE, timeout=TIMEOUT_S,
                                     check=False)
        self.assertEqual(process.returncode, 3)
        self.assertIn(b"standard output", process.stderr)

    def test_every_command_prints_json(self):
        partition = self.append("t-0", [f"{i}" for i in range(50)], "--batch-records", 10)
        summaries = [["append", partition], ["stat", partition], ["dump", partition], ["dump", partition, "--as-opened"],
                     ["verify", partition], ["repair", partition], ["repair", partition, "--dry-run"],
                     ["explain", partition], ["truncate", partition, "--to", "40"]]
        for command in summaries:
            with self.subTest(command=command):
                self.assertIsInstance(self.run_ok(*command, "--json").json(), dict)
        for command in [["read", partition], ["find", partition, "--offset", 3, "--time", "latest"]]:
            with self.subTest(command=command):
                self.assertTrue(self.run_ok(*command, "--json").json_lines())


class CommittedTest(VarveTest):
    def test_aborted_and_open_transactions_are_left_out(self):
        manifest = manifest_of("transactions")
        partition = GOLDEN / "transactions" / manifest["dir"]
        everything = self.run_ok("read", partition, "--json").json_lines()
        committed = self.run_ok("read", partition, "--json", "--committed").json_lines()
        control = {batch["base_offset"] for batch in manifest["batches"] if batch["control"]}
        self.assertEqual([record["offset"] for record in everything],
                         [record[0] for record in manifest["records"] if record[0] not in control])
        aborted = set()
        for transaction in manifest["aborted_txns"]:
            for batch in manifest["batches"]:
                if (batch["transactional"] and batch["producer_id"] == transaction["producer_id"] and
                        transaction["first_offset"] <= batch["base_offset"] <= transaction["last_offset"]):
                    aborted.update(range(batch["base_offset"], batch["last_offset"] + 1))
        self.assertTrue(aborted)
        stable = manifest["log"]["last_stable_offset"]
        self.assertEqual([record["offset"] for record in committed],
                         [record["offset"] for record in everything
                          if record["offset"] not in aborted and record["offset"] < stable])


if __name__ == "__main__":
    unittest.main()
