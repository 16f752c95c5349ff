"""Kafka's own tool that prints and checks the files of a partition, of any version."""

import re
import subprocess

from agreement import Difference
from kafka_judge import java_command

TIMEOUT_S = 120
RECORD = re.compile(r"^\| offset: (\d+) \w+: (-?\d+) keySize: (-?\d+) valueSize: (-?\d+) ", re.MULTILINE)
COMPLAINT = re.compile(r"^(.+) in :?(\S+)\n((?:  .+\n)+)\n?", re.MULTILINE)


class DumpToolFailed(Exception):
    pass


class DumpTool:
    """kafka-dump-log.sh of one version: `main_class` moved when it was rewritten in Java."""

    def __init__(self, version, main_class="kafka.tools.DumpLogSegments"):
        self._version = version
        self._main_class = main_class

    def dump(self, partition):
        """Decodes every file and checks the indexes against the logs: records, "true" for each valid batch, complaints.

        A record is (offset, timestamp, bytes of the key or -1, bytes of the value or -1), a complaint a Difference
        whose place is the name of a file.
        """
        out, complaints = self._run(partition, [".log", ".index", ".timeindex"], "--deep-iteration")
        records = [tuple(map(int, found)) for found in RECORD.findall(out)]
        return records, re.findall(r" isvalid: (\w+)", out), complaints

    def sane_indexes(self, partition):
        """The names of the indexes that pass the tool's check of sanity, and complaints."""
        out, complaints = self._run(partition, [".index", ".timeindex"], "--index-sanity-check")
        return sorted(re.findall(r"(\d+\.\w+) (?:passed sanity check|is empty)", out)), complaints

    def _run(self, partition, suffixes, *options):
        files = sorted(str(path) for path in partition.iterdir() if path.suffix in suffixes)
        command = java_command(self._main_class, *options, "--files", ",".join(files), version=self._version)
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        if done.returncode != 0 or COMPLAINT.sub("", done.stderr).strip():
            raise DumpToolFailed(f"{command}: exit {done.returncode}, {done.stderr}")
        return done.stdout, [Difference("complaint", file.rpartition("/")[2], f"{what}: {line.strip()}", None)
                             for what, file, lines in COMPLAINT.findall(done.stderr) for line in lines.splitlines()]
