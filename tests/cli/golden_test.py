"""Directories written by Apache Kafka: what the command says of them is what Kafka said of them."""

import hashlib
import unittest

from manifest_forms import MEMBERS, comparable, epoch_answer, time_answer
from varve_command import GOLDEN, VarveTest, files_of, find_answers, golden_cases, manifest_of

# Questions that varve answers otherwise than Kafka on purpose: {(case, time): why}. In none of these directories does a
# lookup by time find nothing in the first segment that Kafka looks at, so there are none; a case that has one must be named
# here, and a name without a difference is an error.
DEPARTURES = {}


def interval_of(manifest):
    return manifest["config"].get("index.interval.bytes", 4096)


class DumpTest(VarveTest):
    def test_dump_as_opened_equals_the_manifest(self):
        for case in golden_cases():
            manifest = manifest_of(case)
            partition = GOLDEN / case / manifest["dir"]
            before = files_of(partition)
            dump = self.run_ok("dump", partition, "--as-opened", "--json", "--index-interval-bytes",
                               interval_of(manifest)).json()
            for member in MEMBERS:
                with self.subTest(case=case, member=member):
                    self.assertEqual(comparable(member, dump[member]), comparable(member, manifest[member]))
            self.assertEqual(list(dump), MEMBERS, case)
            self.assertEqual(files_of(partition), before, f"{case}: dump changed a file")

    def test_members_have_the_order_of_the_manifest(self):
        for case in ["transactions", "nulls-headers"]:
            manifest = manifest_of(case)
            dump = self.run_ok("dump", GOLDEN / case / manifest["dir"], "--as-opened", "--json").json()
            for member in ["segments", "batches", "aborted_txns", "producers", "snapshots"]:
                for ours, theirs in zip(dump[member], manifest[member]):
                    self.assertEqual(list(ours), list(theirs), f"{case} {member}")
            self.assertEqual(list(dump["log"]), list(manifest["log"]), case)

    def test_dump_of_clean_files_as_they_are_equals_the_manifest(self):
        for case in golden_cases():
            manifest = manifest_of(case)
            if not manifest["open"]["clean"]:
                continue
            dump = self.run_ok("dump", GOLDEN / case / manifest["dir"], "--json").json()
            for member in MEMBERS:
                if member == "snapshots":  # opening drops some; as the files are, they are there
                    continue
                with self.subTest(case=case, member=member):
                    self.assertEqual(comparable(member, dump[member]), comparable(member, manifest[member]))
            found = comparable("snapshots", dump["snapshots"])
            for snapshot in comparable("snapshots", manifest["snapshots"]):
                self.assertIn(snapshot, found, case)
            files = [name for name in files_of(GOLDEN / case / manifest["dir"]) if name.endswith(".snapshot")]
            self.assertEqual(len(found), len(files), case)

    def test_batches_only_leaves_out_the_records_and_nothing_else(self):
        manifest = manifest_of("plain")
        dump = self.run_ok("dump", GOLDEN / "plain" / manifest["dir"], "--json", "--batches-only").json()
        self.assertEqual([member for member in MEMBERS if member != "records"], list(dump))
        self.assertEqual(dump["batches"], manifest["batches"])

    def test_full_gives_long_values_whole(self):
        partition = GOLDEN / "nulls-headers" / manifest_of("nulls-headers")["dir"]
        dump = self.run_ok("dump", partition, "--json", "--full").json()
        self.assertFalse([record for record in dump["records"] if "sha256" in str(record)])
        self.assertGreater(len(dump["records"][-1][3]), 20000)

    def test_single_files_are_dumped(self):
        manifest = manifest_of("transactions")
        partition = GOLDEN / "transactions" / manifest["dir"]
        base = manifest["segments"][1]["base"]
        name = f"{base:020}"
        of_segment = {
            "index": [entry for entry in manifest["index"] if entry[0] == base],
            "time_index": [entry for entry in manifest["time_index"] if entry[0] == base],
            "aborted_txns": [entry for entry in manifest["aborted_txns"] if entry["segment"] == base],
            "batches": [batch for batch in manifest["batches"] if batch["segment"] == base],
        }
        for suffix, member in [("index", "index"), ("timeindex", "time_index"), ("txnindex", "aborted_txns"),
                               ("log", "batches")]:
            with self.subTest(suffix=suffix):
                dump = self.run_ok("dump", partition / f"{name}.{suffix}", "--json").json()
                self.assertEqual(dump[member], of_segment[member])
        snapshot = self.run_ok("dump", partition / f"{name}.snapshot", "--json").json()["snapshots"]
        self.assertEqual(comparable("snapshots", snapshot),
                         comparable("snapshots", [s for s in manifest["snapshots"] if s["offset"] == base]))
        epochs = self.run_ok("dump", partition / "leader-epoch-checkpoint", "--json").json()
        self.assertEqual(epochs["leader_epochs"], manifest["leader_epochs"])
        checkpoint = self.run_ok("dump", partition.parent / "recovery-point-offset-checkpoint", "--json").json()
        self.assertEqual(checkpoint, {"checkpoint": [["transactions", 0, 240]]})

    def test_text_has_every_batch(self):
        manifest = manifest_of("codecs")
        text = self.run_ok("dump", GOLDEN / "codecs" / manifest["dir"]).text
        for batch in manifest["batches"]:
            self.assertIn(f"{batch['position']}: {batch['bytes']} bytes, offsets {batch['base_offset']} to "
                          f"{batch['last_offset']}, {batch['count']} records, {batch['codec']}", text)


class FindTest(VarveTest):
    def ask(self, case, option, questions, partition=None):
        return find_answers(partition or GOLDEN / case / manifest_of(case)["dir"], option, questions)

    def test_offsets(self):
        for case in golden_cases():
            manifest = manifest_of(case)
            for partition in self.places_to_ask(case, manifest):
                self.check_offsets(case, partition, manifest)

    def places_to_ask(self, case, manifest):
        """The directory as Kafka left it and, where that stopped uncleanly, a repaired copy."""
        yield GOLDEN / case / manifest["dir"]
        if not manifest["open"]["clean"]:
            repaired = self.copy_case(case)
            self.run_ok("repair", repaired, "--index-interval-bytes", interval_of(manifest))
            # Beside Kafka's files, whose clean marker is gone, it would be recovered by each opening.
            yield repaired.rename(self.directory / repaired.name)

    def check_offsets(self, case, partition, manifest):
        expected = manifest["offset_queries"]
        # Opening makes indexes anew after an unclean stop, but nothing tells it the interval that Kafka used.
        rebuilt = partition.is_relative_to(GOLDEN) and not manifest["open"]["clean"]
        for answer, query in zip(self.ask(case, "--offset", [q["offset"] for q in expected], partition), expected):
            with self.subTest(case=case, offset=query["offset"]):
                if answer["result"] == "batch":
                    self.assertGreaterEqual(answer.pop("batches_scanned"), 1)
                    if rebuilt:
                        self.assertLessEqual(answer["index"][0], answer["offset"])
                        answer["index"] = query["index"]
                self.assertEqual(answer, query)

    def test_times(self):
        departures = set()
        for case in golden_cases():
            expected = manifest_of(case)["time_queries"]
            answers = self.ask(case, "--time", [query[0] for query in expected])
            for answer, query in zip(answers, expected):
                time = query[0]
                with self.subTest(case=case, time=time):
                    if (case, time) in DEPARTURES:
                        self.assertNotEqual(answer, time_answer(query))
                        departures.add((case, time))
                    else:
                        self.assertEqual(answer, time_answer(query))
        self.assertEqual(departures, set(DEPARTURES))

    def test_epochs(self):
        for case in golden_cases():
            expected = manifest_of(case)["epoch_queries"]
            answers = self.ask(case, "--epoch", [query[0] for query in expected])
            for answer, query in zip(answers, expected):
                with self.subTest(case=case, epoch=query[0]):
                    self.assertEqual(answer, epoch_answer(query))

    def test_answers_keep_the_order_of_the_options(self):
        partition = GOLDEN / "plain" / manifest_of("plain")["dir"]
        answers = self.run_ok("find", "--offset", 7, "--time", "latest", "--epoch", 0, "--offset", 3, "--time", "earliest",
                              partition, "--time", "max", "--json").json_lines()
        self.assertEqual([next(iter(answer.items())) for answer in answers],
                         [("offset", 7), ("time", -1), ("epoch", 0), ("offset", 3), ("time", -2), ("time", -3)])


class RepairTest(VarveTest):
    def described(self, partition):
        return {name: (len(content), hashlib.sha256(content).hexdigest())
                for name, content in files_of(partition).items() if not name.startswith("varve.")}

    def test_unclean_directories_end_as_kafka_leaves_them(self):
        unclean = [case for case in golden_cases() if not manifest_of(case)["open"]["clean"]]
        self.assertGreaterEqual(len(unclean), 5)
        for case in unclean:
            with self.subTest(case=case):
                manifest = manifest_of(case)
                partition = self.copy_case(case)
                self.run_ok("repair", partition, "--on-damage", "truncate", "--index-interval-bytes",
                            interval_of(manifest))
                after = {entry["name"]: (entry["bytes"], entry["sha256"]) for entry in manifest["files_after"]}
                self.check_equal_files(self.described(partition), after)
                self.assertFalse((partition.parent / ".kafka_cleanshutdown").exists())

    def check_equal_files(self, ours, kafkas):
        self.assertEqual(set(ours), set(kafkas))
        for name, description in kafkas.items():
            if name.endswith((".log", ".index", ".timeindex")):
                self.assertEqual(ours[name], description, name)

    def test_clean_directories_stay_as_they_are(self):
        for case in golden_cases():
            if not manifest_of(case)["open"]["clean"]:
                continue
            with self.subTest(case=case):
                partition = self.copy_case(case)
                before = files_of(partition), files_of(partition.parent)
                result = self.run_ok("repair", partition)
                self.assertIn("clean and sound", result.text)
                self.assertEqual((files_of(partition), files_of(partition.parent)), before)

    def test_forced_repair_of_all_rebuilds_what_one_writing_would_have_left(self):
        for case in golden_cases():
            manifest = manifest_of(case)
            if not manifest["open"]["clean"]:
                continue
            with self.subTest(case=case):
                partition = self.copy_case(case)
                before = files_of(partition)
                self.run_ok("repair", partition, "--force", "--all", "--index-interval-bytes", interval_of(manifest))
                after = files_of(partition)
                changed = {name for name in before if name.endswith((".log", ".index", ".timeindex"))
                           and before[name] != after.get(name)}
                if case == "reopened":  # entries of a log that was closed in between are fewer; the rebuilt ones are not
                    self.assertTrue(changed)
                    self.assertFalse([name for name in changed if name.endswith(".log")])
                else:
                    self.assertEqual(changed, set())
                self.assertFalse((partition.parent / ".kafka_cleanshutdown").exists())

    def test_a_dry_run_says_the_same_and_changes_nothing(self):
        for case in ["crash", "torn-tail", "bad-crc-last", "plain"]:
            with self.subTest(case=case):
                partition = self.copy_case(case)
                before = files_of(partition), files_of(partition.parent)
                trial = self.run_ok("repair", partition, "--dry-run", "--json").json()["report"]
                self.assertEqual((files_of(partition), files_of(partition.parent)), before)
                done = self.run_ok("repair", partition, "--json").json()["report"]
                for member in ["log_end_offset", "segments_recovered", "bytes_cut", "bytes_saved_aside", "damage"]:
                    self.assertEqual(trial[member], done[member], member)


class VerifyTest(VarveTest):
    def test_counts_are_kafkas(self):
        for case in golden_cases():
            manifest = manifest_of(case)
            if not manifest["open"]["clean"]:
                continue
            with self.subTest(case=case):
                report = self.run_ok("verify", GOLDEN / case / manifest["dir"], "--json").json()
                self.assertTrue(report["ok"])
                self.assertEqual(report["batches"], manifest["log"]["batches"])
                self.assertEqual(report["records"], manifest["log"]["records"])
                self.assertEqual(report["bytes"], sum(batch["bytes"] for batch in manifest["batches"]))

    def test_a_data_directory_is_all_its_partitions(self):
        lines = self.run_ok("verify", GOLDEN / "plain", GOLDEN / "codecs", "--json").json_lines()
        self.assertEqual([line["dir"].rsplit("/", 1)[1] for line in lines], ["plain-0", "codecs-0"])


if __name__ == "__main__":
    unittest.main()
