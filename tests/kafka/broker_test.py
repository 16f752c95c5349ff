"""A real broker and varve take partitions from each other."""

import json
import re
import shutil
import subprocess
import unittest

import kcat
from broker_case import NOW_MS, BrokerCase, log_files, record
from dump_tool import DumpTool
from kafka_broker import wait_until
from kafka_judge import KAFKA_VERSION, java_command
from log_files import batch, write_log
from varve_command import files_of, golden_cases, varve
from varve_life import live

TOOL_TIMEOUT_S = 120
LIVES_SEARCHED = 1000
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]


class BrokerTest(BrokerCase):
    DUMP_TOOL = DumpTool(KAFKA_VERSION)
    # What is handed over with records of varve's behind those that Kafka 4.1 wrote.
    GOLDEN_CASES = golden_cases()

    def produce_with_each_codec(self):
        for codec in CODECS:
            lines = [b"%s-%d:%s" % (codec.encode(), i, b"value " * i) for i in range(20)] + [b"only a key:", b":no key"]
            kcat.produce(self.broker, "sent", lines, "-z", codec, "-H", f"codec={codec}", "-H", "empty=", "-H", "nil")
        kcat.produce(self.broker, "sent", [b"a:b"], "-X", "enable.idempotence=true")
        kcat.produce(self.broker, "sent", [b"c:d"], "-X", "transactional.id=kcat")

    def produce_transactions(self):
        """Interleaved transactions, committed, aborted and one that stays open, and a batch outside of them."""
        def send(producer, time_ms, count=3):
            name = producer.encode()
            return [producer, "send", [record(time_ms + i, name, b"%d" % i, [("of", name)]) for i in range(count)]]

        producers = {"a": {"transactional.id": "a"}, "b": {"transactional.id": "b"}, "plain": {}}
        self.produce("sent-in-transactions", producers, [
            ["a", "begin"], send("a", 0), ["b", "begin"], send("b", 1000), send("plain", 2000), send("a", 3000),
            ["a", "abort"], send("plain", 4000), ["b", "commit"], ["a", "begin"], send("a", 5000), ["a", "commit"],
            ["b", "begin"], send("b", 6000, 50), ["b", "abort"],
            ["a", "begin"], send("a", 7000), send("plain", 8000)])

    def produce_and_clean(self):
        """Segments of several batches whose keys are all but one written again or removed, and the cleaner's pass."""
        def records(batch):
            keys = [b"only %d" % batch, *(b"key %d" % (i * batch % 13) for i in range(9))]
            return [record(120 * batch + i, key, b"%d" % batch if i % 5 != 1 else None) for i, key in enumerate(keys)]

        self.produce("sent-and-cleaned", {"p": {"compression.type": "lz4"}},
                     [["p", "send", records(batch)] for batch in range(30)])
        partition = self.broker.partition("sent-and-cleaned")
        active = max(int(path.stem) for path in partition.glob("*.log"))
        checkpoint = self.broker.data / "cleaner-offset-checkpoint"
        cleaned = f"sent-and-cleaned 0 {active}"
        wait_until(lambda: cleaned in checkpoint.read_text().splitlines(), "the topic is cleaned")

    def check_indexes_of_cleaned(self):
        """Recovery indexes every batch; the cleaner of an older version left fewer entries, which serve as well."""
        cleaned = self.broker.partition("sent-and-cleaned")
        rebuilt = self.directory / "rebuilt-0"
        shutil.copytree(cleaned, rebuilt)
        self.run_ok("repair", rebuilt, "--force", "--all", "--index-interval-bytes", 100)
        active = max(int(path.stem) for path in cleaned.glob("*.log"))
        kept, every = ([entry for entry in self.run_ok("dump", partition, "--json", "--batches-only").json()["index"]
                        if entry[0] < active] for partition in [cleaned, rebuilt])
        self.assertGreater(len(every), 5)
        if self.INDEXES_EVERY_BATCH:
            self.assertEqual(kept, every)
        else:
            self.assertLess(len(kept), len(every) / 2)

    def test_what_clients_wrote_is_read_continued_compacted_and_taken_back(self):
        self.create_topics({
            "sent": {},
            "sent-in-transactions": {"index.interval.bytes": 100},
            "sent-and-cleaned": {"cleanup.policy": "compact", "segment.ms": 1000, "min.cleanable.dirty.ratio": 0.01,
                                 "index.interval.bytes": 100}})
        self.produce_with_each_codec()
        self.produce_transactions()
        self.produce_and_clean()
        self.assertEqual(len(kcat.consume_as_group(self.broker, "sent", "readers", 112)), 112)
        topics = ["sent", "sent-in-transactions", "sent-and-cleaned"]
        served = {topic: self.check_served(topic) for topic in topics}
        for topic in topics:
            self.check_times(topic, served[topic])
        self.assertLess(len(served["sent-and-cleaned"]), 300 / 2)
        self.assertEqual(len(kcat.consume(self.broker, "sent-in-transactions")), 12)
        self.assertEqual(len(served["sent-in-transactions"]), 74)

        self.broker.stop()
        for partition in self.partitions():
            self.check_judged(partition)
        self.check_indexes_of_cleaned()
        offsets_topic = self.broker.partition("__consumer_offsets")
        self.assertIn("readers", self.run_ok("read", offsets_topic, "--format", "jsonl").text)
        for topic in topics:
            self.run_ok("append", self.broker.partition(topic), "--key-separator", ":", "--compression", "zstd",
                        input="from:varve\nfrom:varve\n")
        compacted = self.directory / "sent-and-cleaned-0"
        shutil.copytree(self.broker.partition("sent-and-cleaned"), compacted)
        self.run_ok("compact", compacted)
        kept = self.read(compacted)
        self.assertEqual([one[3] for one in kept if one[2] == b"from"], [b"varve"])
        shutil.rmtree(self.broker.partition("sent-and-cleaned"))
        compacted.rename(self.broker.partition("sent-and-cleaned"))
        for topic in topics:
            # Beside Kafka's files, whose clean marker is gone, it would be recovered.
            alone = self.directory / "alone" / f"{topic}-0"
            shutil.copytree(self.broker.partition(topic), alone)
            self.check_judged(alone)

        self.broker.start()
        for topic in topics:
            kcat.produce(self.broker, topic, [b"from:kcat"])
        for topic in ["sent", "sent-in-transactions"]:
            after = self.check_served(topic)
            self.assertEqual(after[:len(served[topic])], served[topic])
            self.assertEqual([one[3] for one in after[len(served[topic]):]], [b"varve", b"varve", b"kcat"])
        self.assertEqual(self.check_served("sent-and-cleaned")[:-1], kept)

    def written_by_varve(self):
        """A partition of several segments with every codec, headers and nulls."""
        partition = self.directory / "written-0"
        for number, codec in enumerate(CODECS * 2):
            lines = [{"key": None if i % 7 == 3 else f"key {i}", "value": None if i % 5 == 2 else "value " * i,
                      "timestamp": NOW_MS + 1000 * number + i,
                      "headers": [["codec", codec], ["nil", None], ["empty", ""]][:i % 4]} for i in range(300)]
            self.run_ok("append", partition, "--format", "jsonl", "--compression", codec, "--batch-records", 20,
                        "--segment-bytes", "64KiB", input="".join(json.dumps(line) + "\n" for line in lines))
        self.assertGreater(len(list(partition.glob("*.log"))), 2)
        return partition

    def lived_by_varve(self, count, open_transactions):
        """Logs with idempotent producers, ended transactions and leader epochs of varve's."""
        lived = []
        for life in live(1, LIVES_SEARCHED, self.directory / "lives"):
            is_open = sum(producer["current_txn_first_offset"] >= 0 for producer in life.told["producers"])
            if life.clean and life.told["aborts"] and is_open == open_transactions:
                lived.append(life.partition.rename(self.directory / f"life{life.seed}-0"))
            if len(lived) == count:
                break
        self.assertEqual(len(lived), count)
        return lived

    def exported(self, partition):
        target = self.directory / partition.name
        self.run_ok("export", partition, "--to", target)
        return target

    def continued_by_varve(self, case):
        """A golden partition, recovered if it was left by a crash, with records of varve's after those of Kafka."""
        kept_by_kafka = self.copy_case(case)
        partition = self.exported(kept_by_kafka)
        self.run_ok("append", partition, "--segment-bytes", "16KiB", "--compression", "lz4", "--batch-records", 10,
                    input="".join(f"line {i}\n" for i in range(500)))
        return partition

    def test_what_varve_wrote_is_served_continued_and_read_back(self):
        partitions = [self.written_by_varve(), *self.lived_by_varve(4, open_transactions=0),
                      *map(self.continued_by_varve, self.GOLDEN_CASES)]
        partitions = {partition.name.removesuffix("-0"): partition for partition in partitions}
        self.create_topics(dict.fromkeys(partitions, {"retention.ms": -1}))
        self.broker.stop()
        for partition in partitions.values():
            self.run_ok("adopt", partition, "--into", self.broker.data)

        self.broker.start()
        for topic, partition in partitions.items():
            with self.subTest(topic=topic):
                served = self.check_served(topic)
                self.assertEqual(served, self.read(partition))
                self.check_times(topic, served)
                kcat.produce(self.broker, topic, [b"from:kcat", b"and:again"], "-z", "gzip")
                continued = kcat.consume(self.broker, topic, committed=False)
                self.assertEqual(continued[:-2], served)
                self.assertEqual([one[2:4] for one in continued[-2:]], [(b"from", b"kcat"), (b"and", b"again")])
        self.broker.stop()
        for topic in partitions:
            with self.subTest(topic=topic):
                self.check_judged(self.broker.partition(topic))
                shutil.rmtree(partitions[topic])
                exported = self.exported(self.broker.partition(topic))
                self.run_ok("verify", exported)
                self.assertEqual(self.read(exported), self.read(self.broker.partition(topic)))

    def tool(self, name, *arguments):
        """What a tool of Kafka's that asks a broker prints."""
        command = java_command(f"org.apache.kafka.tools.{name}", *arguments, version=self.VERSION)
        done = subprocess.run(command, capture_output=True, text=True, timeout=TOOL_TIMEOUT_S, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_what_adopt_tells_to_do_next_works(self):
        """A transaction that varve left open is aborted with Kafka's tool, and the offsets are those that were told."""
        partition = self.lived_by_varve(1, open_transactions=1)[0]
        topic = partition.name.removesuffix("-0")
        self.create_topics({topic: {"retention.ms": -1}})
        self.broker.stop()
        told = self.run_ok("adopt", partition, "--into", self.broker.data).text
        self.broker.start()
        asked = re.findall(r"^  (\S+) is what this answers: kafka-get-offsets\.sh (.+)$", told, re.MULTILINE)
        self.assertEqual(len(asked), 2)
        for answer, arguments in asked:
            arguments = arguments.replace("HOST:9092", self.broker.address).split()
            self.assertEqual(self.tool("GetOffsetShell", *arguments).split(), [answer])
        before = self.check_served(topic)
        committed = self.read(partition, "--committed")
        self.assertLess(len(committed), len(before))
        abort = re.search(r"kafka-transactions\.sh (abort .+?) has\s", told, re.DOTALL).group(1).split()
        self.tool("TransactionsCommand", "--bootstrap-server", self.broker.address, *abort)
        self.assertEqual(self.check_served(topic), before)
        kcat.produce(self.broker, topic, [b"from:kcat"])
        ended = kcat.consume(self.broker, topic)
        self.assertEqual(ended[:len(committed)], committed)
        self.assertEqual(ended[-1][2:4], (b"from", b"kcat"))
        self.broker.stop()
        self.check_judged(self.broker.partition(topic))

    def test_the_producers_of_an_adopted_log_are_unknown_to_the_broker(self):
        """A broker gives out ids from 0 on: what the first one sends would else be taken for a record of the log."""
        partition = self.directory / "known-0"
        write_log(partition, [batch(i, [b"of the host"], producer_id=i, sequence=0, timestamp=NOW_MS)
                              for i in range(5000)])
        self.run_ok("repair", partition)
        self.create_topics({"known": {}})
        self.broker.stop()
        self.run_ok("adopt", partition, "--into", self.broker.data)
        for sent, stop in [(1, self.broker.kill), (2, self.broker.stop)]:
            self.broker.start()
            kcat.produce(self.broker, "known", [b"from:kcat"], "-X", "enable.idempotence=true")
            values = [one[3] for one in kcat.consume(self.broker, "known")]
            self.assertEqual(values, [b"of the host"] * 5000 + [b"kcat"] * sent)
            stop()

    def test_the_dump_tool_finds_the_records_and_no_fault(self):
        partition = self.written_by_varve()
        records, valid, complaints = self.DUMP_TOOL.dump(partition)
        sizes = [tuple(-1 if content is None else len(content) for content in one[2:4]) for one in self.read(partition)]
        self.assertEqual(records, [(*one[:2], *size) for one, size in zip(self.read(partition), sizes)])
        batches = self.run_ok("dump", partition, "--json", "--batches-only").json()["batches"]
        self.assertEqual(valid, ["true"] * len(batches))
        self.assertEqual(self.exceptions.unexplained(complaints, None), [])
        indexes = sorted(path.name for path in partition.iterdir() if path.suffix in (".index", ".timeindex"))
        self.assertEqual(self.DUMP_TOOL.sane_indexes(partition), (indexes, []))

    def test_the_dump_tool_finds_a_fault(self):
        partition = self.written_by_varve()
        index = max(path for path in partition.glob("*.index") if path.stat().st_size > 8)
        content = bytearray(index.read_bytes())
        content[3] ^= 1  # the offset that the first entry says
        index.write_bytes(content)
        _, _, complaints = self.DUMP_TOOL.dump(partition)
        self.assertEqual([one.place for one in self.exceptions.unexplained(complaints, None)], [index.name])

    def test_what_a_running_broker_has_open_is_not_written(self):
        self.create_topics({"open": {}})
        kcat.produce(self.broker, "open", [b"a:b"])
        partition = self.broker.partition("open")
        before = files_of(partition)
        for command in [["append"], ["truncate", "--to", 0], ["repair"], ["repair", "--force"], ["compact"],
                        ["retain", "--before-offset", 1]]:
            with self.subTest(command=command):
                result = varve(command[0], partition, *command[1:], input="x\n")
                self.check_refused(result, 3, self.broker.data / ".lock")
        self.assertEqual(files_of(partition), before)
        self.assertEqual(len(self.check_served("open")), 1)

    def test_a_running_broker_is_handed_nothing_and_nothing_is_taken_from_it(self):
        self.create_topics({"vacant": {}, "served": {}})
        kcat.produce(self.broker, "served", [b"a:b"])
        self.assertEqual(kcat.consume(self.broker, "vacant"), [])
        vacant, served = self.broker.partition("vacant"), self.broker.partition("served")
        for partition in [vacant, served]:
            wait_until(lambda path=partition / "partition.metadata": path.exists(), f"{partition} has its topic's id")
        source = self.append("vacant-0", ["from varve"])

        def found():
            names = sorted(path.name for path in self.directory.iterdir())
            return names, self.partitions(), [files_of(path) for path in [vacant, served, source]]

        before = found()
        adopt = ["adopt", source, "--into", self.broker.data]
        export = ["export", served, "--to", self.directory / "served-0"]
        for command in [adopt, [*adopt, "--move", "--replication-factor", 1], [*adopt, "--dry-run"], export]:
            with self.subTest(command=command):
                self.check_refused(varve(*command), 3, "stop the broker first", self.broker.data / ".lock")
                self.assertEqual(found(), before)
        self.assertEqual(len(self.check_served("served")), 1)

    def test_a_killed_brokers_partitions_are_recovered_to_the_same_bytes(self):
        settings = {"index.interval.bytes": 200, "segment.ms": 5000}
        topics = ["whole", "torn", "transactional"]
        self.create_topics(dict.fromkeys(topics, settings))
        for topic, producer in [("whole", {}), ("torn", {"compression.type": "gzip"}),
                                ("transactional", {"transactional.id": "t"})]:
            steps = []
            for batch in range(40):
                steps += [["p", "send", [record(300 * batch + i, b"k", b"v" * batch) for i in range(5)]]]
                if producer.get("transactional.id"):
                    steps[-1:] = [["p", "begin"], steps[-1], ["p", "abort" if batch % 3 else "commit"]]
            self.produce(topic, {"p": producer}, steps)
        self.broker.kill()
        last = max(self.broker.partition("torn").glob("*.log"))
        last.write_bytes(last.read_bytes()[:-5])
        killed = self.directory / "killed"
        shutil.copytree(self.broker.data, killed)

        self.broker.start()
        for topic in topics:
            self.check_served(topic)
        self.broker.stop()
        for topic in topics:
            copy = killed / f"{topic}-0"
            self.run_ok("repair", copy, "--index-interval-bytes", 200)
            with self.subTest(topic=topic):
                recovered = log_files(self.broker.partition(topic))
                self.assertGreater(len([name for name in recovered if name.endswith(".log")]), 1)
                self.assertEqual(log_files(copy), recovered)


if __name__ == "__main__":
    unittest.main()
