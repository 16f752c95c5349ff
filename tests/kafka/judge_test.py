"""The judge itself is right: of directories that Kafka wrote it says what their manifests, made elsewhere, say."""

import hashlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
import unittest

from kafka_judge import PROJECT, Judge, KafkaRefused
from kafka_report import note
from manifest_forms import MEMBERS, comparable
from varve_command import VarveTest, files_of, golden_cases, manifest_of

# All records of the golden directories are of a few minutes around this, so no producer is idle for a day.
CLOCK_MS = 1_700_000_000_000


def described(partition):
    return {name: {"name": name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in files_of(partition).items()}


class JudgeTest(VarveTest):
    @classmethod
    def setUpClass(cls):
        cls.judge = Judge()
        cls.addClassCleanup(cls.judge.close)

    def inspect_case(self, case):
        manifest = manifest_of(case)
        partition = self.copy_case(case)
        for path in partition.iterdir():
            os.utime(path, (0, 0))  # the date of a segment without records is to Kafka its largest timestamp
        answer = self.judge.inspect(
            partition, **manifest["open"], config=manifest["config"], clock_ms=CLOCK_MS,
            offsets=[query["offset"] for query in manifest["offset_queries"]],
            times=[query[0] for query in manifest["time_queries"]],
            epochs=[query[0] for query in manifest["epoch_queries"]])
        return manifest, partition, answer

    def test_golden_directories_are_what_their_manifests_say(self):
        self.assertEqual(len(golden_cases()), 23)
        for case in golden_cases():
            manifest, partition, answer = self.inspect_case(case)
            self.assertEqual(set(answer["found"]), set(MEMBERS), case)
            for member in MEMBERS:
                with self.subTest(case=case, member=member):
                    self.assertEqual(comparable(member, answer["found"][member]), comparable(member, manifest[member]))
            for member in ["offset_queries", "time_queries", "epoch_queries"]:
                with self.subTest(case=case, member=member):
                    self.assertEqual(answer[member], manifest[member])
            with self.subTest(case=case, member="files_after"):
                self.assertEqual(described(partition), {entry["name"]: entry for entry in manifest["files_after"]})

        note(f"{len(golden_cases())} golden directories")

    def test_an_empty_young_file_hides_later_records_from_a_lookup_by_time(self):
        manifest = manifest_of("compacted")
        self.assertEqual(manifest["segments"][0]["records"], 0)
        query = manifest["time_queries"][3]
        partition = self.copy_case("compacted")
        for path in partition.iterdir():
            os.utime(path, (0, query[0] / 1000 + 1))
        answer = self.judge.inspect(partition, config=manifest["config"], clock_ms=CLOCK_MS, times=[query[0]])
        self.assertEqual(answer["time_queries"], [[query[0], None, None, None]])
        self.assertIsNotNone(query[2])

    def test_a_flipped_byte_is_found_although_kafka_opens_the_log(self):
        manifest = manifest_of("plain")
        partition = self.copy_case("plain")
        log = partition / "00000000000000000201.log"
        content = bytearray(log.read_bytes())
        content[100] ^= 1
        log.write_bytes(content)
        with self.assertRaisesRegex(KafkaRefused, "CorruptRecordException: Record is corrupt"):
            self.judge.inspect(partition, config=manifest["config"], clock_ms=CLOCK_MS)

    def test_an_index_entry_that_names_no_batch_is_found_although_kafka_opens_the_log(self):
        for suffix, last_byte in [("index", 7), ("index", 3), ("timeindex", 7), ("timeindex", 11)]:
            with self.subTest(suffix=suffix, last_byte=last_byte):
                partition = self.copy_case("plain")
                index = partition / f"00000000000000000201.{suffix}"
                content = bytearray(index.read_bytes())
                content[last_byte] += 1
                index.write_bytes(content)
                with self.assertRaisesRegex(KafkaRefused, "of segment 201 names no batch"):
                    self.judge.inspect(partition, config=manifest_of("plain")["config"], clock_ms=CLOCK_MS)
                shutil.rmtree(partition.parent)

    def test_kafka_recovers_what_is_not_clean(self):
        partition = self.copy_case("plain")
        for path in partition.glob("*index"):
            path.unlink()
        found = self.judge.inspect(partition, clean=False, config=manifest_of("plain")["config"],
                                   clock_ms=CLOCK_MS)["found"]
        for member in ["batches", "records", "index", "time_index"]:
            self.assertEqual(found[member], manifest_of("plain")[member], member)

    def test_wrong_requests_are_refused_and_the_judge_goes_on(self):
        for request, message in [({"do": "dance"}, 'no request "dance"'), ({}, 'no request ""'),
                                 ({"do": "inspect", "dir": "plain-0"}, "not the absolute name of a directory"),
                                 ({"do": "inspect"}, "dir")]:
            answer = self.judge.ask(request)
            self.assertFalse(answer["ok"])
            self.assertIn(message, answer["error"])
        self.inspect_case("empty")


class BuildTest(VarveTest):
    def test_a_machine_without_java_and_maven_is_told_what_to_install(self):
        built = subprocess.run([sys.executable, PROJECT / "kafka_judge.py"], capture_output=True, text=True,
                               check=False, env={"PATH": str(self.directory), "VARVE_KAFKA_BUILD": str(self.directory)})
        self.assertEqual(built.returncode, 1)
        self.assertIn("need mvn, javac, java: apt-get install --no-install-recommends default-jdk-headless maven",
                      built.stderr)


class EndTest(VarveTest):
    """A test that is ended by a signal leaves neither a broker nor a directory."""

    def ended(self, number, script):
        """The line that a script of Python printed before it was sent a signal."""
        process = subprocess.Popen([sys.executable, "-c", script], cwd=PROJECT, stdout=subprocess.PIPE, text=True,
                                   stderr=subprocess.DEVNULL)
        line = process.stdout.readline().strip()
        os.kill(process.pid, number)
        process.wait()
        process.stdout.close()
        return line

    def test_a_process_that_was_started_ends_with_this(self):
        # It tells its own number, and so is bound to the script by then.
        pid = int(self.ended(signal.SIGKILL, """
import signal, subprocess, kafka_judge
subprocess.Popen(kafka_judge.ending_with_this(["sh", "-c", "echo $$; exec sleep 300"]))
signal.pause()"""))
        deadline = time.monotonic() + 60
        while self.is_running(pid):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)

    @staticmethod
    def is_running(pid):
        try:
            return " Z " not in pathlib.Path(f"/proc/{pid}/stat").read_text()
        except FileNotFoundError:
            return False

    def test_directories_are_removed(self):
        directory = self.ended(signal.SIGTERM, """
import signal, tempfile, kafka_judge
kafka_judge.end_in_order_when_told_to()
with tempfile.TemporaryDirectory() as directory:
    print(directory, flush=True)
    signal.pause()""")
        self.assertTrue(directory)
        self.assertFalse(pathlib.Path(directory).exists())


if __name__ == "__main__":
    unittest.main()
