"""Tests with a running broker, a client of it, and the judge."""

import base64
import time

import kcat
from agreement import (KNOWN, LOG_FILES, Agreement, Difference, Judged, NamedException, NamedExceptions, compare_files,
                       modified_ms)
from kafka_broker import Broker, wait_until
from kafka_judge import KAFKA_VERSION, Judge
from kafka_report import note
from varve_command import VarveTest, files_of, find_answers

# Records are of the last hour, so that no broker takes their producers for idle ones and forgets them.
NOW_MS = int(time.time() * 1000) - 3_600_000


def _epochs_file(epochs):
    text = f"0\n{len(epochs)}\n" + "".join(f"{epoch} {start}\n" for epoch, start in epochs)
    return compare_files({"leader-epoch-checkpoint": text.encode()}, {}, ("leader-epoch-checkpoint",))[0].kafka


def _epoch_without_records(difference, judged):
    if (difference.what, difference.place) != ("file", "leader-epoch-checkpoint"):
        return False
    epochs, end = judged.found["leader_epochs"], judged.found["log"]["log_end_offset"]
    latest = epochs[-1][0] if epochs else -1
    return difference.kafka == _epochs_file(epochs) and any(
        difference.varve == _epochs_file([*epochs, [epoch, end]]) for epoch in range(latest + 1, latest + 100))


UNUSED_EPOCH = NamedException(
    "unused-epoch", "a broker that started and was stopped before anything was written leaves an epoch at the log's "
    "end, which whoever opens the log takes away, Kafka as varve", _epoch_without_records)
WITH_A_BROKER = (*KNOWN, UNUSED_EPOCH)


def encoded(content):
    return None if content is None else base64.b64encode(content).decode()


def record(time_ms, key, value, headers=()):
    """A record as the judge's "produce" takes it."""
    return [NOW_MS + time_ms, encoded(key), encoded(value), [[name, encoded(content)] for name, content in headers]]


def log_files(partition):
    """Name and content of the files that hold the log: batches, indexes, aborted transactions."""
    return {name: content for name, content in files_of(partition).items() if name.endswith(LOG_FILES)}


class BrokerCase(VarveTest):
    """One broker for all tests of a class, which start, stop and kill it as they need; each has topics of its own."""

    VERSION = KAFKA_VERSION
    EXCEPTIONS = WITH_A_BROKER
    BROKER_SETTINGS = {}
    # Or else each group of batches that is appended at once, as the cleaner does.
    INDEXES_EVERY_BATCH = True

    @classmethod
    def setUpClass(cls):
        cls.judge = Judge()
        cls.addClassCleanup(cls.judge.close)
        cls.exceptions = NamedExceptions(*cls.EXCEPTIONS)
        cls.agreement = Agreement(cls.judge, cls.exceptions, entries_of_many_batches=not cls.INDEXES_EVERY_BATCH)
        cls.addClassCleanup(lambda: print(f"Kafka {cls.VERSION}: {cls.exceptions.summary()}"))
        cls.addClassCleanup(lambda: note(f"broker {cls.VERSION}", exceptions=cls.exceptions.counts()))
        cls.broker = Broker(cls.VERSION, cls.BROKER_SETTINGS)
        cls.addClassCleanup(cls.broker.close)

    def setUp(self):
        super().setUp()
        self.broker.ensure_running()

    def ask(self, **request):
        answer = self.judge.ask({"broker": self.broker.address} | request)
        self.assertTrue(answer["ok"], f"{answer.get('error')}\n{self.judge.log_tail()}\n{self.broker.log()}")
        return answer

    def create_topics(self, topics):
        """Topics of these names and settings, with one partition each."""
        self.ask(do="create_topics", topics=topics)

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
        """kcat consumes from the broker what varve reads beside it: everything, and what is committed."""
        partition = self.broker.partition(topic)
        records = self.read(partition)
        self.assertEqual(kcat.consume(self.broker, topic, committed=False), records)
        self.assertEqual(kcat.consume(self.broker, topic), self.read(partition, "--committed"))
        return records

    def check_times(self, topic, records):
        """The broker finds what varve finds, and kcat consumes from there on."""
        partition = self.broker.partition(topic)
        judged = Judged(self.run_ok("dump", partition, "--json", "--full").json(), modified_ms(partition))
        timestamps = sorted({timestamp for _, timestamp, *_ in records if timestamp >= 0})
        for timestamp in timestamps[len(timestamps) // 2::max(1, len(timestamps) // 3)]:
            ours = find_answers(partition, "--time", [timestamp])[0]
            offset = kcat.offset_for_time(self.broker, topic, timestamp)
            theirs = {"time": timestamp, "result": "none"} if offset is None else {**ours, "offset": offset}
            if theirs == ours:
                self.assertEqual(kcat.consume(self.broker, topic, f"s@{timestamp}", committed=False),
                                 [one for one in records if one[0] >= offset])
            else:
                difference = Difference("time", timestamp, theirs, ours)
                self.assertEqual(self.exceptions.unexplained([difference], judged), [])

    def check_judged(self, partition, index_interval_bytes=4096):
        """varve verifies the partition, and the judge says of a copy what varve says, and changes nothing of it."""
        self.run_ok("verify", partition)
        self.assertEqual(self.agreement.after_clean_stop(partition, index_interval_bytes=index_interval_bytes), [],
                         partition.name)

    def partitions(self):
        """Every partition of the stopped broker, its own ones too."""
        return sorted(path for path in self.broker.data.iterdir() if path.is_dir())
