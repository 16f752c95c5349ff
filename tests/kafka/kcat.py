"""kcat, a client of Kafka that shares no code with it: what it is asked for here, and what it answers."""

import base64
import json
import re
import shutil
import subprocess

TIMEOUT_S = 120
# What ends a record in kcat's output; the records of these tests do not have it in them.
END = b"\x01\x02\n"
FORMAT = "%o %T %K %S %k%s%h\\x01\\x02\\n"
CONSUME = ["-e", "-q", "-p", "0", "-X", "check.crcs=true", "-X", "fetch.wait.max.ms=10"]


class KcatFailed(Exception):
    """kcat is not there, or ended with an error."""


def kcat(broker, *arguments, input=b""):
    """The standard output of kcat with these arguments."""
    if shutil.which("kcat") is None:
        raise KcatFailed("The tests with a broker need kcat: apt-get install kcat. To build without them: "
                         "cmake -DVARVE_KAFKA_TESTS=OFF")
    command = ["kcat", "-b", broker.address, *map(str, arguments)]
    done = subprocess.run(command, input=input, capture_output=True, timeout=TIMEOUT_S, check=False)
    if done.returncode != 0:
        raise KcatFailed(f"{command}: {done.stderr.decode(errors='replace')}\n{broker.log()}")
    return done.stdout


def consume(broker, topic, start="beginning", committed=True):
    """Every record from `start` on, an offset or what kcat's option -o takes, in the form of records_of()."""
    isolation = "read_committed" if committed else "read_uncommitted"
    return _records(kcat(broker, "-C", "-t", topic, "-o", start, *CONSUME, "-X", f"isolation.level={isolation}", "-f",
                         FORMAT))


def consume_as_group(broker, topic, group, count):
    """That many records as a member of a consumer group, which commits where it has come to; the same form."""
    options = ["-q", "-c", count, "-X", "auto.offset.reset=earliest", "-f", FORMAT]
    return _records(kcat(broker, "-G", group, *options, topic))


def produce(broker, topic, lines, *options):
    """Appends a record for each line, a key and a value with a ':' between; an empty part is null."""
    kcat(broker, "-P", "-t", topic, "-p", 0, "-K", ":", "-Z", *options, input=b"".join(line + b"\n" for line in lines))


def offset_for_time(broker, topic, time_ms):
    """The offset of the first record that is not older, or None."""
    answer = kcat(broker, "-Q", "-t", f"{topic}:0:{time_ms}", "-X", "isolation.level=read_uncommitted").decode()
    offset = int(re.search(r"offset (-?\d+)", answer).group(1))
    return None if offset < 0 else offset


def records_of(json_lines):
    """What `varve read --format jsonl` printed, as (offset, timestamp, key, value, headers as kcat writes them)."""
    return [_record(json.loads(line)) for line in json_lines.splitlines()]


def _record(line):
    # Of a header's value kcat prints what stands before its first zero.
    headers = b",".join(name.encode() + b"=" + (b"NULL" if value is None else _content(value).partition(b"\0")[0])
                        for name, value in line.get("headers", []))
    return line["offset"], line["timestamp"], _content(line.get("key")), _content(line.get("value")), headers


def _content(value):
    if isinstance(value, dict):
        return base64.b64decode(value["base64"])
    return value if value is None else value.encode()


def _records(output):
    """The records that kcat printed by FORMAT."""
    found = []
    for record in output.split(END)[:-1]:
        offset, timestamp, key_bytes, value_bytes, content = record.split(b" ", 4)
        key_bytes, value_bytes = int(key_bytes), int(value_bytes)
        key_end = max(key_bytes, 0)
        value_end = key_end + max(value_bytes, 0)
        found.append((int(offset), int(timestamp), content[:key_end] if key_bytes >= 0 else None,
                      content[key_end:value_end] if value_bytes >= 0 else None, content[value_end:]))
    return found
