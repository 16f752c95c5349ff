"""Tests of `varve adopt` and `varve export`: what goes where, what is told, and what is refused."""

import json
import os
import pwd
import shutil
import time
import unittest

import log_files
from varve_command import VarveTest, files_of, varve

TOPIC_ID = "4L6g3nShT-eMCtK--X86sw"
OTHER_ID = "AAAAAAAAAAAAAAAAAAAAAQ"
META_PROPERTIES = "#\n#Sun Nov 22 22:22:22 UTC 2026\ncluster.id=abc\nversion=1\nnode.id=7\n"
SEGMENT = "0" * 20
MOVE = ("--move", "--replication-factor", 1)


def tree_of(directory):
    """Content of every file below a directory, by its path there."""
    return {str(path.relative_to(directory)): path.read_bytes() for path in sorted(directory.rglob("*"))
            if path.is_file()}


class HandOverTestCase(VarveTest):
    def setUp(self):
        super().setUp()
        self.broker = self.directory / "kafka-logs"
        self.broker.mkdir()
        (self.broker / "meta.properties").write_text(META_PROPERTIES)
        (self.broker / ".lock").touch()
        (self.broker / ".kafka_cleanshutdown").write_text('{"version":0,"brokerEpoch":9}')
        (self.broker / "recovery-point-offset-checkpoint").write_text("0\n1\nothers 0 99\n")
        (self.broker / "replication-offset-checkpoint").touch()

    def make_empty(self, name="orders-0", epochs="0\n1\n0 0\n"):
        """What a broker leaves of a partition that it led and nobody wrote to."""
        partition = self.broker / name
        partition.mkdir()
        for suffix in ("log", "index", "timeindex"):
            (partition / f"{SEGMENT}.{suffix}").touch()
        (partition / "leader-epoch-checkpoint").write_text(epochs)
        (partition / "partition.metadata").write_text(f"version: 0\ntopic_id: {TOPIC_ID}")
        return partition

    def make_source(self, name="orders-0", *options):
        return self.append(name, range(100), "--batch-records", 10, "--segment-bytes", 400, *options)

    def adopt(self, partition, *options):
        return varve("adopt", partition, "--into", self.broker, *options)

    def values(self, partition):
        return self.run_ok("read", partition).text.splitlines()


class AdoptTest(HandOverTestCase):
    def test_the_broker_has_the_records_and_is_told_what_to_do(self):
        source = self.make_source()
        target = self.make_empty()
        before = tree_of(source)
        result = self.adopt(source)
        self.assertEqual(result.status, 0, result.errors)
        self.assertEqual(result.errors, "")
        for part in (f"{source}: adopted into {target}\n", f"cluster abc, node 7; topic id {TOPIC_ID}, of the empty",
                     "offsets 0 to 100,", "not taken along: varve.live, varve.lock, varve.state",
                     f"{source} stays as it is", "retention.ms, 7 days by default",
                     "its retention.bytes, if any, hold", "next: start the broker\n",
                     "  orders:0:0 is what this answers: kafka-get-offsets.sh --bootstrap-server HOST:9092 "
                     "--topic-partitions orders:0 --time earliest\n", "  orders:0:100 is what this answers: "):
            self.assertIn(part, result.text)
        self.assertEqual(tree_of(source), before)
        kafkas = {name: content for name, content in files_of(source).items()
                  if not name.startswith("varve.") and not name.endswith(".snapshot") and name != "partition.metadata"}
        adopted = files_of(target)
        self.assertEqual([name for name in adopted if name.endswith(".snapshot")], [f"{100:020}.snapshot"])
        adopted.pop(f"{100:020}.snapshot")
        for suffix in ("log", "index", "timeindex"):
            self.assertEqual(adopted.pop(f"{100:020}.{suffix}"), b"")
        self.assertEqual(adopted.pop("partition.metadata").decode(), f"version: 0\ntopic_id: {TOPIC_ID}")
        self.assertEqual(adopted, kafkas)
        self.assertEqual({path.name for path in self.broker.iterdir()},
                         {".kafka_cleanshutdown", ".lock", "meta.properties", "orders-0",
                          "recovery-point-offset-checkpoint", "replication-offset-checkpoint"})
        self.assertEqual((self.broker / "recovery-point-offset-checkpoint").read_text(),
                         "0\n2\norders 0 100\nothers 0 99\n")
        self.assertEqual((self.broker / "replication-offset-checkpoint").read_text(), "0\n1\norders 0 100\n")
        self.assertEqual(self.values(target), [str(number) for number in range(100)])
        self.assertTrue(self.run_ok("verify", target, "--json").json()["ok"])

    def test_summary_as_json(self):
        source = self.make_source("orders-0", "--leader-epoch", 4)
        target = self.make_empty(epochs="0\n1\n2 0\n")
        summary = self.run_ok("adopt", source, "--into", self.broker, "--json").json()
        self.assertGreater(summary.pop("bytes"), 0)
        self.assertGreater(summary.pop("segments"), 1)
        self.assertGreater(summary.pop("oldest_timestamp_ms"), 1_700_000_000_000)
        self.assertEqual(summary, {
            "dir": str(source), "into": str(target), "dry_run": False, "topic": "orders", "partition": 0,
            "topic_id": TOPIC_ID, "cluster_id": "abc", "node_id": "7", "log_start_offset": 0, "log_end_offset": 100,
            "last_stable_offset": 100, "compacted": False, "producers": 0, "max_leader_epoch": 2,
            "batches_restamped": 10, "replaced_empty": True, "stopped_cleanly": True, "source_removed": False,
            "left_behind": ["varve.live", "varve.lock", "varve.state"],
            "check_commands": ["kafka-get-offsets.sh --bootstrap-server HOST:9092 --topic-partitions orders:0 "
                               f"--time {time}" for time in ("earliest", "latest")]})
        dump = self.run_ok("dump", target, "--json").json()
        self.assertEqual({batch["leader_epoch"] for batch in dump["batches"]}, {2})
        self.assertEqual(dump["leader_epochs"], [[2, 0]])

    def test_a_dry_run_says_the_same_and_changes_nothing(self):
        source = self.make_source("orders-0", "--leader-epoch", 4)
        self.make_empty()
        before = tree_of(self.directory)
        trial = self.run_ok("adopt", source, "--into", self.broker, "--dry-run", "--json").json()
        self.assertIn("would be adopted into", self.run_ok("adopt", source, "--into", self.broker, "--dry-run").text)
        self.assertEqual(tree_of(self.directory), before)
        summary = self.run_ok("adopt", source, "--into", self.broker, "--json").json()
        self.assertEqual({**trial, "dry_run": False}, summary)

    def test_move_removes_the_source(self):
        source = self.make_source()
        target = self.make_empty()
        self.assertIn(f"{source} was removed", self.run_ok("adopt", source, "--into", self.broker, *MOVE).text)
        self.assertFalse(source.exists())
        self.assertEqual(len(self.values(target)), 100)

    def test_another_name_and_links_on_the_way(self):
        source = self.make_source()
        target = self.make_empty("late.orders-3")
        (self.directory / "link").symlink_to(source)
        (self.directory / "broker").symlink_to(self.broker)
        result = varve("adopt", "link/.", "--into", "broker/", "--as", "late.orders-3", cwd=self.directory)
        self.assertEqual(result.status, 0, result.errors)
        self.assertIn("  late.orders:3:100 is what", result.text)
        self.assertEqual(len(self.values(target)), 100)

    def test_the_name_is_the_one_that_was_given(self):
        """A link's is what its maker wanted the partition to be called; where the path gives none, the directory's."""
        source = self.make_source()
        for name in ("given-1", "given-2", "given"):
            (self.directory / name).symlink_to(source)
        for directory, cwd, into in [("given-1", self.directory, "given-1"), ("given-2/./", self.directory, "given-2"),
                                     (".", source, "orders-0"), ("../orders-0/..//orders-0", source, "orders-0")]:
            with self.subTest(directory=directory):
                result = varve("adopt", directory, "--into", self.broker, "--topic-id", TOPIC_ID, "--dry-run", "--json",
                               cwd=cwd)
                self.assertEqual(result.status, 0, result.errors)
                self.assertEqual(result.json()["into"], str(self.broker / into))
        result = varve("adopt", "given/", "--into", self.broker, "--topic-id", TOPIC_ID, cwd=self.directory)
        self.check_refused(result, 2, "expected a name TOPIC-N, found given; --as gives another")

    def test_a_link_is_followed_when_the_source_goes(self):
        source = self.make_source()
        (self.directory / "given-1").symlink_to(source)
        self.run_ok("adopt", self.directory / "given-1", "--into", self.broker, "--topic-id", TOPIC_ID, *MOVE)
        self.assertFalse(source.exists())
        self.assertEqual(len(self.values(self.broker / "given-1")), 100)

    def test_what_the_cluster_will_trip_over_is_told(self):
        source = self.directory / "orders-0"
        log_files.write_log(source, [log_files.batch(0, [b"v"]), log_files.data(1, ["x", "y"], producer_id=7)])
        self.run_ok("repair", source)
        self.make_empty()
        (self.broker / ".kafka_cleanshutdown").unlink()
        text = self.run_ok("adopt", source, "--into", self.broker).text
        self.assertIn("kafka-transactions.sh abort --topic orders --partition 0 --start-offset 1 has", text)
        self.assertIn("1 producers of open transactions go along, so that these can be aborted", text)
        self.assertIn("was not stopped cleanly", text)


class AdoptRefusalTest(HandOverTestCase):
    def setUp(self):
        super().setUp()
        self.source = self.make_source()

    def check_refuses(self, status, *parts, options=(), source=None):
        """A real run and a dry one are refused alike, and leave everything as it was."""
        before = tree_of(self.directory)
        for mode in ((), ("--dry-run",)):
            self.check_refused(self.adopt(source or self.source, *options, *mode), status, *parts)
            self.assertEqual(tree_of(self.directory), before)

    def test_a_running_broker(self):
        holder_of = self.make_empty()
        lock = self.hold_as_broker(holder_of)
        self.check_refuses(3, "the log directory is in use: stop the broker first", lock)

    def test_a_partition_that_is_open(self):
        self.make_empty()
        self.hold_as_writer(self.source)
        self.check_refused(self.adopt(self.source), 3, "open for writing elsewhere")
        self.check_refused(self.adopt(self.source, "--dry-run"), 3, "open for writing elsewhere")

    def test_a_partition_that_was_not_closed(self):
        self.make_empty()
        (self.source / "varve.state").unlink()
        self.check_refuses(1, "expected the mark of a clean stop", "varve repair")
        self.run_ok("repair", self.source)
        self.assertEqual(self.adopt(self.source).status, 0)

    def test_a_segment_on_its_way_in(self):
        self.make_empty()
        base = sorted(self.source.glob("*.log"))[1].stem
        for suffix in ("log", "index", "timeindex"):
            (self.source / f"{base}.{suffix}").rename(self.source / f"{base}.{suffix}.swap")
        self.check_refuses(1, f"{base}.index.swap", "varve repair --force", options=MOVE)
        self.run_ok("repair", self.source, "--force")
        self.assertEqual(self.adopt(self.source, *MOVE).status, 0)
        self.assertEqual(len(self.values(self.broker / "orders-0")), 100)

    def test_damage(self):
        self.make_empty()
        log = self.source / f"{SEGMENT}.log"
        content = bytearray(log.read_bytes())
        content[100] ^= 1
        log.write_bytes(content)
        self.check_refuses(1, "found 1 damaged ranges", "varve verify")

    def test_no_log_directory_of_a_broker(self):
        self.make_empty()
        (self.broker / "meta.properties").unlink()
        self.check_refuses(2, self.broker, "meta.properties")

    def test_a_partition_that_the_broker_has_not_made(self):
        self.check_refuses(1, "create the topic in Kafka", "stop the broker")
        # In another of the log directories than the broker's own, a second one would keep it from starting.
        self.assertNotIn("name the topic's id", self.adopt(self.source).errors)

    def test_another_id(self):
        self.make_empty()
        self.check_refuses(2, TOPIC_ID, OTHER_ID, options=("--topic-id", OTHER_ID))

    def test_records_at_the_target(self):
        target = self.make_empty()
        self.assertEqual(self.adopt(self.source).status, 0)
        self.check_refuses(2, target, "nothing is overwritten")

    def test_a_follower(self):
        self.make_empty(epochs="")
        self.check_refuses(1, "replication factor 1")

    def test_a_partition_in_a_log_directory(self):
        partition = self.make_empty("orders-1")
        self.check_refuses(2, "export it first", source=partition)

    def test_moving_what_does_not_go_along(self):
        self.make_empty()
        (self.source / "notes.txt").write_text("precious")
        self.check_refuses(1, "notes.txt would be lost", options=MOVE)

    def test_moving_what_other_replicas_would_cut_away(self):
        self.make_empty()
        for given, told in ((["--move"], "--move: expected --replication-factor 1 with it"),
                            (["--move", "--replication-factor", 3], "one replica, found --replication-factor 3"),
                            (["--replication-factor", 3], "one replica, found --replication-factor 3")):
            self.check_refuses(2, told, "kafka-topics.sh --describe", options=given)
        for mode in ("--dry-run", "--json"):
            told = self.adopt(self.source, mode).text
            self.assertEqual("kafka-topics.sh --describe --topic orders must tell of ReplicationFactor: 1" in told,
                             mode == "--dry-run")
            shutil.rmtree(self.broker / "orders-0")
            self.make_empty()
        self.assertNotIn("ReplicationFactor", self.adopt(self.source, *MOVE).text)

    def test_moving_what_the_broker_would_delete_at_once(self):
        self.make_empty()
        day_ms = 24 * 60 * 60 * 1000
        for index, (age_days, given, may_go) in enumerate([
                (8, [], False), (8, ["--retention-ms", 9 * day_ms], True), (8, ["--retention-ms", -1], True),
                (6, [], True), (6, ["--retention-ms", 5 * day_ms], False)]):
            with self.subTest(age_days=age_days, given=given):
                now_ms = int(time.time() * 1000)
                name = f"aged-{index}"
                self.make_empty(name)
                source = self.append(name, [json.dumps({"value": "v", "timestamp": now_ms - age_days * day_ms})],
                                     "--format", "jsonl")
                if may_go:
                    self.assertEqual(self.adopt(source, *MOVE, *given).status, 0)
                    self.assertFalse(source.exists())
                else:
                    self.check_refuses(1, "retention.ms", "kafka-configs.sh", "--retention-ms", source=source,
                                       options=[*MOVE, *given])
                    self.assertEqual(self.adopt(source).status, 0)

    def test_a_compacted_log(self):
        source = self.append("keyed-0", [f"{i % 3}:{i}" for i in range(100)], "--key-separator", ":", "--segment-bytes",
                             400, "--batch-records", 10)
        self.run_ok("compact", source)
        self.make_empty("keyed-0")
        self.assertIn("where the topic's cleanup.policy is compact", self.adopt(source, "--dry-run").text)

    def test_a_checkpoint_of_the_broker_that_cannot_be_parsed(self):
        self.make_empty()
        (self.broker / "cleaner-offset-checkpoint").write_text("nonsense")
        self.check_refuses(1, self.broker / "cleaner-offset-checkpoint", "the broker's own file")
        self.assertNotIn("varve verify", self.adopt(self.source).errors)

    def test_wrong_use(self):
        self.make_empty()
        self.check_refused(varve("adopt", self.source, "--into", ""), 2, "expected the path of a directory")
        self.check_refused(varve("adopt", "", "--into", self.broker), 3, "no such directory")
        self.check_refuses(2, "TOPIC-N", options=("--as", "orders"))
        self.check_refuses(2, "22 characters", options=("--topic-id", "orders"))
        self.check_refused(varve("adopt", self.source), 2, "--into")
        self.check_refused(self.adopt(self.directory / "none-0"), 3, "no such directory")
        self.check_refused(self.adopt(self.broker), 2, "not a partition")

    def test_a_directory_that_may_not_be_written(self):
        self.make_empty()
        self.broker.chmod(0o555)
        for path in [self.source, *self.source.iterdir()]:
            path.chmod(0o777)
        result = self.unprivileged("adopt", self.source, "--into", self.broker)
        self.broker.chmod(0o755)
        self.check_refused(result, 3, "what to do: run the command as a user who may use the file")


class BrokersUserTest(HandOverTestCase):
    """What another user than the broker's makes in its directory, the broker cannot open: it would stop."""

    def setUp(self):
        super().setUp()
        self.source = self.make_source()
        self.make_empty()
        (self.broker / ".lock").unlink()
        if os.getuid() == 0:  # who may give files to others, and run as them
            for path in [self.broker, *self.broker.rglob("*"), self.source, *self.source.iterdir()]:
                os.chown(path, 65534, 65534)

    def make_checkpoint_anothers(self):
        """The names of the user whose a checkpoint is now, and of the one who runs the command."""
        checkpoint = self.broker / "recovery-point-offset-checkpoint"
        if os.getuid() != 0:
            checkpoint.unlink()
            checkpoint.symlink_to("/etc/passwd")
        return [pwd.getpwuid(user).pw_name for user in (checkpoint.stat().st_uid, os.getuid())]

    def test_another_users_directory_is_left_alone(self):
        owner, caller = self.make_checkpoint_anothers()
        self.assertNotEqual(owner, caller)
        if caller == "root":
            os.chown(self.broker / "meta.properties", 0, 0)  # as where root has formatted the directory
        for command in (["adopt", self.source, "--into", self.broker], ["append", self.broker / "orders-0"],
                        ["export", self.broker / "orders-0", "--to", self.directory / "copy"]):
            before = tree_of(self.broker)
            result = varve(*command, input="x\n")
            self.check_refused(result, 3, f"-checkpoint: expected to be run as {owner}", f"found {caller}",
                               f"sudo -u {owner}", "what to do: run the command as a user")
            self.assertEqual(tree_of(self.broker), before)
            if command[0] == "adopt":
                self.assertEqual(varve(*command, "--dry-run").errors, result.errors)

    def test_a_partition_of_another_user_is_copied(self):
        """Its owner's modes let the broker's user read it, and no more."""
        self.make_source_callers()
        before = tree_of(self.source)
        for mode in (("--dry-run",), ()):
            result = self.unprivileged("adopt", self.source, "--into", self.broker, *mode)
            self.assertEqual(result.status, 0, result.errors)
        self.assertEqual(tree_of(self.source), before)
        self.assertEqual(len(self.values(self.broker / "orders-0")), 100)

    @unittest.skipIf(os.getuid() != 0, "needs root: it acts as another user")
    def test_what_its_user_may_not_take_away_is_not_moved(self):
        """Nor does a dry run say that it would be."""
        self.make_source_callers()
        parent = self.directory / "host"
        parent.mkdir()
        source = self.source.rename(parent / self.source.name)
        for path, mode in ((parent, 0o777), (source, 0o777), (source / "varve.lock", 0o666)):
            before = tree_of(self.broker), tree_of(source)
            for dry_run in (("--dry-run",), ()):
                with self.subTest(path=path.name, dry_run=dry_run):
                    result = self.unprivileged("adopt", source, "--into", self.broker, *MOVE, *dry_run)
                    self.check_refused(result, 3, f"adopt: {path}: Permission denied", "what to do: run the command as")
                    self.assertEqual((tree_of(self.broker), tree_of(source)), before)
            path.chmod(mode)
        result = self.unprivileged("adopt", source, "--into", self.broker, *MOVE)
        self.assertEqual(result.status, 0, result.errors)
        self.assertFalse(source.exists())

    @unittest.skipIf(os.getuid() != 0, "needs root: it acts as another user")
    def test_a_dry_run_asks_for_the_log_directory(self):
        (self.broker / ".lock").touch(0o644)
        for path, mode in ((self.broker / ".lock", 0o644), (self.broker, 0o555)):
            with self.subTest(path=path.name):
                path.chmod(mode)
                result = self.unprivileged("adopt", self.source, "--into", self.broker, "--dry-run")
                self.check_refused(result, 3, f"adopt: {path}: Permission denied")
                (self.broker / ".lock").chmod(0o666)
        self.broker.chmod(0o755)
        self.assertEqual(self.unprivileged("adopt", self.source, "--into", self.broker, "--dry-run").status, 0)

    @unittest.skipIf(os.getuid() != 0, "needs root: it acts as another user")
    def test_what_its_user_may_not_read_is_not_copied(self):
        self.make_source_callers()
        (self.source / f"{SEGMENT}.log").chmod(0o600)
        for dry_run in ((), ("--dry-run",)):
            result = self.unprivileged("adopt", self.source, "--into", self.broker, *dry_run)
            self.check_refused(result, 3, f"{SEGMENT}.log: open: Permission denied")

    def make_source_callers(self):
        """Of the user who runs the tests, as the partition of a host is which is not the broker."""
        for path in [self.source, *self.source.iterdir()]:
            os.chown(path, os.getuid(), os.getgid())
            path.chmod(0o755 if path.is_dir() else 0o644)

    def test_the_brokers_user_may(self):
        result = self.unprivileged("adopt", self.source, "--into", self.broker)
        self.assertEqual(result.status, 0, result.errors)
        self.assertEqual({path.stat().st_uid for path in self.broker.rglob("*")}, {self.broker.stat().st_uid})


class ExportTest(HandOverTestCase):
    def make_brokers(self):
        target = self.make_empty()
        self.run_ok("adopt", self.make_source(), "--into", self.broker, *MOVE)
        return target

    def test_there_and_back(self):
        partition = self.make_brokers()
        before = tree_of(self.broker)
        target = self.directory / "orders-0"
        text = self.run_ok("export", partition, "--to", target).text
        self.assertIn(f"{partition}: exported to {target}; offsets 0 to 100,", text)
        self.assertIn(f"topic id {TOPIC_ID}", text)
        self.assertEqual(tree_of(self.broker), before)
        self.run_ok("append", target, input="more\n")
        shutil.rmtree(partition)
        self.make_empty()
        self.run_ok("adopt", target, "--into", self.broker)
        self.assertEqual(self.values(partition), [*map(str, range(100)), "more"])

    def test_summary_as_json_and_dry_run(self):
        partition = self.make_brokers()
        target = self.directory / "copy"
        before = tree_of(self.directory)
        trial = self.run_ok("export", partition, "--to", target, "--dry-run", "--json").json()
        self.assertEqual(tree_of(self.directory), before)
        summary = self.run_ok("export", partition, "--to", target, "--json").json()
        for members in (trial, summary):
            self.assertTrue(members.pop("report")["clean"])
        self.assertEqual({**trial, "dry_run": False}, summary)
        self.assertGreater(summary.pop("bytes"), 0)
        self.assertGreater(summary.pop("segments"), 1)
        self.assertEqual(summary, {"dir": str(partition), "to": str(target), "dry_run": False, "topic_id": TOPIC_ID,
                                   "log_start_offset": 0, "log_end_offset": 100, "stopped_cleanly": True,
                                   "left_behind": []})

    def test_what_kafka_wrote(self):
        """The copy is what an opening with the broker's marks would serve, in its own right."""
        for case in ("plain", "crash-recovery-point", "log-start-advanced", "transactions", "compacted", "torn-tail"):
            with self.subTest(case=case):
                partition = self.copy_case(case)
                before = tree_of(partition.parent)
                target = self.directory / f"{case}-copy"
                self.run_ok("export", partition, "--to", target)
                after = tree_of(partition.parent)
                after.pop(".lock", None)
                before.pop(".lock", None)
                self.assertEqual(after, before)
                self.assertEqual(self.run_ok("read", target, "--format", "jsonl").text,
                                 self.run_ok("read", partition, "--format", "jsonl").text)
                self.assertTrue(self.run_ok("verify", target, "--json").json()["ok"])
                self.assertEqual(self.run_ok("stat", target, "--json").json()["log_start_offset"],
                                 self.run_ok("stat", partition, "--json").json()["log_start_offset"])

    def test_an_unclean_stop_is_told(self):
        partition = self.make_brokers()
        (self.broker / ".kafka_cleanshutdown").unlink()
        with open(partition / f"{SEGMENT}.log", "ab") as log:
            log.write(b"torn")
        text = self.run_ok("export", partition, "--to", self.directory / "copy").text
        self.assertIn("the broker was not stopped cleanly", text)

    def check_refuses(self, status, *parts, partition, target):
        before = tree_of(self.directory)
        for mode in ((), ("--dry-run",)):
            self.check_refused(varve("export", partition, "--to", target, *mode), status, *parts)
            self.assertEqual(tree_of(self.directory), before)

    def test_refusals(self):
        partition = self.make_brokers()
        taken = self.append("taken-0", ["x"])
        free = self.directory / "free-0"
        self.check_refuses(2, taken, "a name that is free", partition=partition, target=taken)
        self.check_refuses(2, "outside of Kafka's log directories", partition=partition, target=self.broker / "x-0")
        self.check_refuses(2, "in a log directory of Kafka", partition=taken, target=free)
        self.check_refuses(3, "no such directory", partition=self.broker / "none-0", target=free)
        self.check_refuses(3, free / "x-0", partition=partition, target=free / "x-0" / "y-0")
        lock = self.hold_as_broker(partition)
        self.check_refuses(3, "stop the broker first", lock, partition=partition, target=free)

    def test_damage_goes_along_and_is_told(self):
        partition = self.make_brokers()
        log = partition / f"{SEGMENT}.log"
        content = bytearray(log.read_bytes())
        content[100] ^= 1
        log.write_bytes(content)
        (partition / f"{SEGMENT}.index").unlink()
        (self.broker / ".kafka_cleanshutdown").unlink()
        result = varve("export", partition, "--to", self.directory / "copy")
        self.check_refused(result, 1, "1 damaged ranges went along as they are")
        self.assertIn("exported to", result.text)


if __name__ == "__main__":
    unittest.main()
