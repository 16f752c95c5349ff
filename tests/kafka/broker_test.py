"""A real broker and varve take partitions from each other."""

import shutil
import unittest

import kcat
from broker_case import BrokerCase, log_files, record
from kafka_broker import wait_until
from varve_command import files_of, varve

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]


class BrokerTest(BrokerCase):
    def produce_with_each_codec(self):
        for codec in CODECS:
            lines = [b"%s-%d:%s" % (codec.encode(), i, b"value " * i) for i in range(20)] + [b"only a key:", b":no key"]
            kcat.produce(self.broker, "codecs", lines, "-z", codec, "-H", f"codec={codec}", "-H", "empty=", "-H", "nil")
        kcat.produce(self.broker, "codecs", [b"a:b"], "-X", "enable.idempotence=true")
        kcat.produce(self.broker, "codecs", [b"c:d"], "-X", "transactional.id=kcat")

    def produce_transactions(self):
        """Interleaved transactions, committed, aborted and one that stays open, and a batch outside of them."""
        def send(producer, time_ms, count=3):
            name = producer.encode()
            return [producer, "send", [record(time_ms + i, name, b"%d" % i, [("of", name)]) for i in range(count)]]

        self.produce("transactions", {"a": {"transactional.id": "a"}, "b": {"transactional.id": "b"}, "plain": {}}, [
            ["a", "begin"], send("a", 0), ["b", "begin"], send("b", 1000), send("plain", 2000), send("a", 3000),
            ["a", "abort"], send("plain", 4000), ["b", "commit"], ["a", "begin"], send("a", 5000), ["a", "commit"],
            ["b", "begin"], send("b", 6000, 50), ["b", "abort"],
            ["a", "begin"], send("a", 7000), send("plain", 8000)])

    def produce_and_clean(self):
        """Keys that are written again and removed, in many segments, until the broker's cleaner has been over them."""
        self.produce("cleaned", {"p": {"compression.type": "lz4"}}, [
            ["p", "send", [record(700 * batch + i, b"key %d" % (i * batch % 13), b"%d" % batch if i % 5 else None)
                           for i in range(10)]] for batch in range(30)])
        partition = self.broker.partition("cleaned")
        active = max(int(path.stem) for path in partition.glob("*.log"))
        checkpoint = self.broker.data / "cleaner-offset-checkpoint"
        wait_until(lambda: f"cleaned 0 {active}" in checkpoint.read_text().splitlines(), "the topic is cleaned")

    def test_what_clients_wrote_is_read_continued_compacted_and_taken_back(self):
        self.create_topics(
            codecs={}, transactions={"index.interval.bytes": 100},
            cleaned={"cleanup.policy": "compact", "segment.ms": 1000, "min.cleanable.dirty.ratio": 0.01})
        self.produce_with_each_codec()
        self.produce_transactions()
        self.produce_and_clean()
        self.assertEqual(len(kcat.consume_as_group(self.broker, "codecs", "readers", 112)), 112)
        topics = ["codecs", "transactions", "cleaned"]
        served = {topic: self.check_served(topic) for topic in topics}
        self.assertLess(len(served["cleaned"]), 300 / 5)
        self.assertEqual(len(kcat.consume(self.broker, "transactions")), 12)
        self.assertEqual(len(served["transactions"]), 74)

        self.broker.stop()
        for partition in self.partitions():
            self.check_judged(partition)
        offsets_topic = self.broker.partition("__consumer_offsets")
        self.assertIn("readers", self.run_ok("read", offsets_topic, "--format", "jsonl").text)
        for topic in topics:
            self.run_ok("append", self.broker.partition(topic), "--key-separator", ":", "--compression", "zstd",
                        input="from:varve\nfrom:varve\n")
        compacted = self.directory / "cleaned-0"
        shutil.copytree(self.broker.partition("cleaned"), compacted)
        self.run_ok("compact", compacted)
        kept = self.read(compacted)
        self.assertEqual([one[3] for one in kept if one[2] == b"from"], [b"varve"])
        shutil.rmtree(self.broker.partition("cleaned"))
        compacted.rename(self.broker.partition("cleaned"))

        self.broker.start()
        for topic in topics:
            kcat.produce(self.broker, topic, [b"from:kcat"])
        for topic in ["codecs", "transactions"]:
            after = self.check_served(topic)
            self.assertEqual(after[:len(served[topic])], served[topic])
            self.assertEqual([one[3] for one in after[len(served[topic]):]], [b"varve", b"varve", b"kcat"])
        self.assertEqual(self.check_served("cleaned")[:-1], kept)

    def test_what_a_running_broker_has_open_is_not_written(self):
        self.create_topics(open={})
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

    def test_a_killed_brokers_partitions_are_recovered_to_the_same_bytes(self):
        settings = {"index.interval.bytes": 200, "segment.ms": 5000}
        self.create_topics(whole=settings, torn=settings, transactional=settings)
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
        topics = ["whole", "torn", "transactional"]
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
