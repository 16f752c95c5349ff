"""Limits: the largest batch, the longest name, and the defaults themselves."""

import unittest

from varve_command import VarveTest, varve

DEFAULT_MESSAGE_BYTES = 1_000_000


class BatchLimitTest(VarveTest):
    def batches(self, partition):
        return self.run_ok("dump", partition, "--json", "--batches-only").json()["batches"]

    def test_a_batch_of_a_million_bytes_is_taken_and_one_byte_more_is_not(self):
        line_bytes = 900_000
        overhead_bytes = self.batches(self.append("one-0", ["x" * line_bytes]))[0]["bytes"] - line_bytes
        longest = "x" * (DEFAULT_MESSAGE_BYTES - overhead_bytes)
        partition = self.append("t-0", [longest])
        self.assertEqual([batch["bytes"] for batch in self.batches(partition)], [DEFAULT_MESSAGE_BYTES])
        result = varve("append", partition, input=f"first\n{longest}x\n")
        self.check_refused(result, 1, "standard input line 2", DEFAULT_MESSAGE_BYTES, DEFAULT_MESSAGE_BYTES + 1)
        self.assertEqual([batch["bytes"] for batch in self.batches(partition)][:1], [DEFAULT_MESSAGE_BYTES])

    def test_a_batch_closes_at_a_million_bytes_where_messages_may_be_larger(self):
        partition = self.append("t-0", ["x" * 9_000] * 500, "--max-message-bytes", "2MiB")
        for batch in self.batches(partition)[:-1]:
            self.assertLessEqual(batch["bytes"], DEFAULT_MESSAGE_BYTES)
            self.assertGreater(batch["bytes"], DEFAULT_MESSAGE_BYTES - 9_100)

    def test_batch_bytes_above_the_largest_message_give_way_to_it(self):
        limits = ["--batch-bytes", 100_000, "--max-message-bytes", 1000]
        partition = self.append("t-0", ["x" * 100] * 50, *limits)
        batches = self.batches(partition)
        self.assertEqual(sum(batch["count"] for batch in batches), 50)
        for batch in batches[:-1]:
            self.assertLessEqual(batch["bytes"], 1000)
            self.assertGreater(batch["bytes"], 800)
        self.check_refused(varve("append", partition, *limits, input="x" * 1000), 1, "standard input line 1", 1000)


class NewNameTest(VarveTest):
    def test_what_kafka_allows_is_made(self):
        for name in ["a" * 249 + "-0", "...-0", "a.b_c-d-0", "t-2147483647", "t--1"]:
            with self.subTest(name=name):
                partition = self.append(name, ["x"])
                self.assertEqual(self.run_ok("read", partition).text, "x\n")

    def test_what_kafka_does_not_allow_is_not_made(self):
        for name in ["a" * 250 + "-0", ".-0", "..-0", "t-2147483648", "t-4294967296", "t-18446744073709551616"]:
            with self.subTest(name=name):
                self.check_refused(varve("append", self.directory / name, input="x\n"), 2, name, "expected")
                self.assertEqual(list(self.directory.iterdir()), [])


if __name__ == "__main__":
    unittest.main()
