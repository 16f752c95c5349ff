"""What a real broker makes of the directories that varve leaves it, where a hand-over was not a plain one."""

import json
import re
import shutil
import unittest

import kcat
from broker_case import NOW_MS, BrokerCase, record
from kafka_broker import wait_until

UNIQUE = "0123456789abcdef0123456789abcdef"
DELETE_DELAY_MS = 1500


class BrokerHandOverTest(BrokerCase):
    BROKER_SETTINGS = {"log.segment.delete.delay.ms": DELETE_DELAY_MS}

    def source(self, topic, count=100):
        """A partition by itself, of several segments."""
        lines = [{"key": f"key {i % 10}", "value": f"value {i}", "timestamp": NOW_MS + i} for i in range(count)]
        return self.append(f"{topic}-0", map(json.dumps, lines), "--format", "jsonl", "--batch-records", 5,
                           "--segment-bytes", 1000)

    def adopt(self, source, *options):
        return self.run_ok("adopt", source, "--into", self.broker.data, *options)

    def check_continued(self, topic, records):
        """The broker serves these records, and takes more."""
        self.assertEqual(self.check_served(topic), records)
        kcat.produce(self.broker, topic, [b"from:kcat"])
        continued = kcat.consume(self.broker, topic)
        self.assertEqual(continued[:-1], records)
        self.assertEqual(continued[-1][2:4], (b"from", b"kcat"))

    def leave_stage(self, source, replaced):
        """What an adoption leaves that is killed: before it touches the broker's own directory, or right after."""
        partition = self.broker.data / source.name
        stage = self.broker.data / f"{source.name}.{UNIQUE}-delete"
        shutil.copytree(source, stage / source.name, ignore=shutil.ignore_patterns("varve.*"))
        if replaced:
            partition.rename(stage / "replaced")
        else:
            max((stage / source.name).glob("*.log")).unlink()
        return stage

    def test_a_killed_adoptions_stage_is_removed_and_the_next_one_succeeds(self):
        for topic, replaced in (("killed-early", False), ("killed-late", True)):
            with self.subTest(topic=topic):
                self.broker.ensure_running()
                source = self.source(topic)
                self.create_topics({topic: {"retention.ms": -1}})
                self.broker.stop()
                stage = self.leave_stage(source, replaced)
                self.broker.start()
                self.assertEqual(kcat.consume(self.broker, topic), [])
                wait_until(lambda stage=stage: not stage.exists(), f"{stage} is removed")
                self.broker.stop()
                self.leave_stage(source, replaced)
                self.adopt(source)
                self.assertFalse(stage.exists())
                self.broker.start()
                self.check_continued(topic, self.read(source))

    def test_by_the_topics_id_where_there_is_no_directory(self):
        self.create_topics({"named": {"retention.ms": -1}})
        metadata = self.broker.partition("named") / "partition.metadata"
        wait_until(metadata.exists, f"{metadata} is there")
        topic_id = re.search(r"topic_id: (\S+)", metadata.read_text()).group(1)
        self.broker.stop()
        shutil.rmtree(self.broker.partition("named"))
        source = self.source("named")
        self.adopt(source, "--topic-id", topic_id)
        self.broker.start()
        self.check_continued("named", self.read(source))
        self.assertEqual(metadata.read_text(), f"version: 0\ntopic_id: {topic_id}")

    def test_into_a_broker_that_was_killed(self):
        self.create_topics({"vacant": {"retention.ms": -1}, "of-clients": {}})
        kcat.produce(self.broker, "of-clients", [b"a:b"])
        kcat.consume(self.broker, "vacant")
        self.broker.kill()
        source = self.source("vacant")
        self.assertIn("the broker was not stopped cleanly", self.adopt(source).text)
        self.broker.start()
        self.check_continued("vacant", self.read(source))
        self.assertEqual(len(self.check_served("of-clients")), 1)
        self.broker.stop()
        self.check_judged(self.broker.partition("vacant"))

    def test_the_cleaner_goes_on_with_a_compacted_log(self):
        source = self.source("compacted")
        self.run_ok("compact", source)
        self.run_ok("append", source, "--key-separator", ":", input="".join(f"key {i}:newer\n" for i in range(3)))
        kept = self.read(source)
        self.assertEqual(len(kept), 13)
        self.create_topics({"compacted": {"cleanup.policy": "compact", "segment.ms": 1000,
                                          "min.cleanable.dirty.ratio": 0.01}})
        self.broker.stop()
        self.assertIn("the log was compacted", self.adopt(source).text)
        checkpoint = self.broker.data / "cleaner-offset-checkpoint"

        def first_dirty():
            return int(re.search(r"^compacted 0 (\d+)$", checkpoint.read_text(), re.MULTILINE).group(1))

        adopted_at = first_dirty()
        self.assertEqual(adopted_at, 100)
        self.broker.start()
        self.produce("compacted", {"p": {}}, [["p", "send", [record(3_600_000 + 2000 * i, b"key 9", b"%d" % i)]]
                                              for i in range(3)])
        wait_until(lambda: first_dirty() > adopted_at, "the cleaner has gone on")
        latest = {one[2]: one[3] for one in kcat.consume(self.broker, "compacted")}
        expected = {**{one[2]: one[3] for one in kept}, b"key 9": b"2"}
        self.assertEqual(latest, expected)
        # What varve had left of the three keys that were written again is cleaned by now.
        wait_until(lambda: len(kcat.consume(self.broker, "compacted")) < len(kept) + 3, "the cleaned file is served")
        self.broker.stop()
        self.check_judged(self.broker.partition("compacted"))

    def test_what_is_cut_mended_or_retained_below_a_log_directory_is_served(self):
        settings = {"segment.ms": 5000, "retention.ms": -1}
        topics = ["cut", "mended", "retained"]
        self.create_topics(dict.fromkeys(topics, settings))
        for topic in topics:
            self.produce(topic, {"p": {}}, [["p", "send", [record(1000 * i + j, b"k", b"%d" % i) for j in range(5)]]
                                            for i in range(40)])
        before = {topic: self.check_served(topic) for topic in topics}
        self.broker.stop()
        cut, mended, retained = (self.broker.partition(topic) for topic in topics)
        self.assertGreater(len(list(retained.glob("*.log"))), 3)
        self.run_ok("truncate", cut, "--to", 100)
        last = max(mended.glob("*.log"))
        last.write_bytes(last.read_bytes() + b"the beginning of a batch")
        self.run_ok("repair", mended, "--force")
        bases = sorted(int(path.stem) for path in retained.glob("*.log"))
        summary = self.run_ok("retain", retained, "--before-offset", bases[2] + 1, "--json").json()
        self.assertEqual(summary["broker_log_start_offset"], bases[2])
        self.assertEqual(self.read(retained)[0][0], bases[2] + 1)
        self.broker.start()
        self.assertEqual(kcat.consume(self.broker, "retained"), before["retained"][bases[2]:])
        self.check_continued("cut", before["cut"][:100])
        self.check_continued("mended", before["mended"])
        self.broker.stop()
        self.check_judged(cut)


if __name__ == "__main__":
    unittest.main()
