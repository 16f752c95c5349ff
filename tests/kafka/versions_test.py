"""What holds of Kafka 4.1 holds of other versions: the tests with a broker, with theirs."""

import unittest

import broker_test
from agreement import NamedException
from broker_case import WITH_A_BROKER
from dump_tool import DumpTool


def _first_of_a_segment(difference, _):
    base, _, suffix = difference.place.partition(".")
    return (difference.what, suffix, difference.kafka) == (
        "complaint", "log", f"Non-consecutive offsets: -1 is followed by {int(base)}")


FIRST_OFFSET = NamedException(
    "first-offset", "the dump tool of Kafka 4.3 calls the first offset of a segment, unless it is 0, not consecutive, "
    "in segments that Kafka wrote too", _first_of_a_segment)


# Of what 4.1 wrote, that in which versions could differ; each writes directories of its own.
GOLDEN_CASES = ["codecs", "compacted", "leader-epochs", "transactions"]


class Kafka38Test(broker_test.BrokerTest):
    VERSION = "3.8.1"
    GOLDEN_CASES = GOLDEN_CASES
    DUMP_TOOL = DumpTool(VERSION)
    INDEXES_EVERY_BATCH = False


class Kafka43Test(broker_test.BrokerTest):
    VERSION = "4.3.1"
    GOLDEN_CASES = GOLDEN_CASES
    DUMP_TOOL = DumpTool(VERSION, "org.apache.kafka.tools.DumpLogSegments")
    EXCEPTIONS = (*WITH_A_BROKER, FIRST_OFFSET)


if __name__ == "__main__":
    unittest.main()
