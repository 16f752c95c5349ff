"""Tests with a running broker, a client of it, and the judge."""

import base64
import shutil
import time

import kcat
from kafka_broker import Broker, wait_until
from kafka_judge import KAFKA_VERSION, Judge
from manifest_forms import MEMBERS, comparable
from varve_command import VarveTest, files_of, varve

# Records are of the last hour, so that no broker takes their producers for idle ones and forgets them.
NOW_MS = int(time.time() * 1000) - 3_600_000


def encoded(content):
    return None if content is None else base64.b64encode(content).decode()


def record(time_ms, key, value, headers=()):
    """A record as the judge's "produce" takes it."""
    return [NOW_MS + time_ms, encoded(key), encoded(value), [[name, encoded(content)] for name, content in headers]]


def log_files(partition):
    """Name and content of the files that hold the log: batches, indexes, aborted transactions."""
    return {name: content for name, content in files_of(partition).items()
            if name.endswith((".log", ".index", ".timeindex", ".txnindex"))}


class BrokerCase(VarveTest):
    """One broker for all tests of a class, which start, stop and kill it as they need; each has topics of its own."""

    KAFKA_VERSION = KAFKA_VERSION

    @classmethod
    def setUpClass(cls):
        cls.judge = Judge()
        cls.addClassCleanup(cls.judge.close)
        cls.broker = Broker(cls.KAFKA_VERSION)
        cls.addClassCleanup(cls.broker.close)

    def setUp(self):
        super().setUp()
        self.broker.ensure_running()

    def ask(self, **request):
        answer = self.judge.ask({"broker": self.broker.address} | request)
        self.assertTrue(answer["ok"], f"{answer.get('error')}\n{self.judge.log_tail()}\n{self.broker.log()}")
        return answer

    def create_topics(self, **topics):
        """Topics with these settings; a name with hyphens has underscores here. Answers their ids."""
        return self.ask(do="create_topics",
                        topics={name.replace("_", "-"): settings for name, settings in topics.items()})["ids"]

    def produce(self, topic, producers, steps):
        """Kafka's own producers take these steps, see Produce.java, in a topic that has no transactions yet."""
        self.ask(do="produce", topic=topic, producers=producers, steps=steps)
        # A transaction is ended before its marker is written.
        ended = sum(step[1] in ("commit", "abort") for step in steps)
        if ended:
            wait_until(lambda: self.markers(topic) == ended, f"{topic} has {ended} markers")

    def markers(self, topic):
        dump = self.run_ok("dump", self.broker.partition(topic), "--json", "--batches-only").json()
        return sum(batch["control"] for batch in dump["batches"])

    def read(self, partition, *options):
        return kcat.records_of(self.run_ok("read", partition, "--format", "jsonl", *options).text)

    def check_served(self, topic):
        """kcat consumes from the broker what varve reads beside it: everything, what is committed, and by time."""
        partition = self.broker.partition(topic)
        records = self.read(partition)
        self.assertEqual(kcat.consume(self.broker, topic, committed=False), records)
        committed = self.read(partition, "--committed")
        self.assertEqual(kcat.consume(self.broker, topic), committed)
        for _, timestamp, *_ in records[::max(1, len(records) // 4)]:
            found = self.run_ok("find", partition, "--time", timestamp, "--json").json()
            self.assertEqual(kcat.offset_for_time(self.broker, topic, timestamp), found["offset"])
            start = next(index for index, one in enumerate(records) if one[0] >= found["offset"])
            self.assertEqual(kcat.consume(self.broker, topic, f"s@{timestamp}", committed=False), records[start:])
        return records

    def check_judged(self, partition, clean=True, **about):
        """varve verifies the partition, and says of it what the judge says of a copy."""
        self.run_ok("verify", partition)
        dump = self.run_ok("dump", partition, "--as-opened", "--json").json()
        copy = self.directory / "judged" / partition.name
        shutil.copytree(partition, copy)
        found = self.judge.inspect(copy, clean=clean, **about)["found"]
        shutil.rmtree(copy)
        for member in MEMBERS:
            with self.subTest(partition=partition.name, member=member):
                self.assertEqual(comparable(member, dump[member]), comparable(member, found[member]))

    def partitions(self):
        """Every partition of the stopped broker, its own ones too."""
        return sorted(path for path in self.broker.data.iterdir() if path.is_dir())
