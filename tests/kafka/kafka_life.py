"""Lives of a partition that Kafka's classes carry out: the directory they leave, the marks beside it, copies of it."""

import os
import re
import shutil

from kafka_judge import KafkaRefused

STEPS = 60
DEFAULT_INDEX_INTERVAL_BYTES = 4096
RECOVERY_POINTS = "recovery-point-offset-checkpoint"
LOG_STARTS = "log-start-offset-checkpoint"
LEADER_EPOCHS = "leader-epoch-checkpoint"


def checkpointed(partition, name):
    """The offset that a checkpoint beside a partition has for it, or None."""
    path = partition.parent / name
    topic, _, number = partition.name.rpartition("-")
    lines = path.read_text().splitlines()[2:] if path.exists() else []
    return next((int(line.split()[2]) for line in lines if line.split()[:2] == [topic, number]), None)


def marks_of(partition):
    """What a broker would read beside a partition before it opens it, as members of a request."""
    return {"clean": (partition.parent / ".kafka_cleanshutdown").exists(),
            "recovery_point": checkpointed(partition, RECOVERY_POINTS) or 0,
            "log_start_offset": checkpointed(partition, LOG_STARTS)}


def make_old(partition):
    """Gives the files an early date, which Kafka takes for the largest timestamp of a segment that has none."""
    for path in partition.iterdir():
        os.utime(path, (0, 0))


def leader_epochs_of(partition):
    """[epoch, start offset] of each that the checkpoint among the files has."""
    lines = (partition / LEADER_EPOCHS).read_text().splitlines()[2:]
    return [[int(number) for number in line.split()] for line in lines]


def epochs_checkpoint(epochs):
    """The checkpoint that has these."""
    return "".join([f"0\n{len(epochs)}\n", *(f"{epoch} {start}\n" for epoch, start in epochs)])


def drop_leader_epochs(partition, end):
    """Takes those that start at `end` or above out of the checkpoint."""
    kept = [[epoch, start] for epoch, start in leader_epochs_of(partition) if start < end]
    (partition / LEADER_EPOCHS).write_text(epochs_checkpoint(kept))


class KafkaLife:
    """One generated life, in a directory of its own."""

    def __init__(self, judge, directory, seed):
        self.judge = judge
        self.directory = directory
        self.seed = seed
        self.partition = directory / "as-left" / "life-0"
        answer = self._ask({"do": "live", "dir": str(self.partition), "seed": seed, "steps": STEPS})
        self.config = answer["config"]
        self.clean = answer["clean"]
        self.first_ms = answer["first_ms"]
        self.clock_ms = answer["clock_ms"]
        self.operations = answer["operations"]
        self.damage = []

    def _ask(self, request):
        answer = self.judge.ask(request)
        if not answer["ok"]:
            raise KafkaRefused(f"{request['do']} of life {self.seed}: {answer['error']}\n{self.judge.log_tail()}")
        return answer

    @property
    def compacts(self):
        return "compact" in self.config["cleanup.policy"]

    @property
    def was_truncated(self):
        """Whether it lost what had been appended, by the operations as they are told."""
        end = 0
        for told in self.operations:
            appended, truncated = re.search(r"up to (\d+)$", told), re.fullmatch(r"truncated to (\d+)", told)
            if truncated is not None and int(truncated[1]) < end:
                return True
            end = int(appended[1]) if appended is not None else end
        return False

    @property
    def index_interval_bytes(self):
        return int(self.config.get("index.interval.bytes", DEFAULT_INDEX_INTERVAL_BYTES))

    @property
    def recovery_point(self):
        return checkpointed(self.partition, RECOVERY_POINTS) or 0

    def lower_recovery_point(self, offset):
        topic, _, number = self.partition.name.rpartition("-")
        (self.partition.parent / RECOVERY_POINTS).write_text(f"0\n1\n{topic} {number} {offset}\n")

    @property
    def bases_without_index(self):
        return sorted(int(path.stem) for path in self.partition.glob("*.log") if not path.with_suffix(".index").exists())

    def lay_empty_indexes(self):
        for base in self.bases_without_index:
            (self.partition / f"{base:020}.index").touch()

    def copy(self, name, of=None):
        """A copy of the data directory as Kafka left it, or of another partition's; returns its partition."""
        target = self.directory / name
        shutil.copytree((of or self.partition).parent, target)
        return target / self.partition.name

    def inspect(self, partition, questions=None, otherwise=None):
        """What Kafka finds in a partition, which it opens by the marks, changes by opening, and closes cleanly."""
        make_old(partition)
        # Whether a producer has been idle for too long is a matter of the day: none has, on the first.
        about = {**marks_of(partition), "config": self.config, "clock_ms": self.first_ms}
        return self.judge.inspect(partition, **{**about, **(otherwise or {})}, **(questions or {}))

    def request(self, do, partition, **more):
        """Has Kafka go on with a partition by the marks beside it, which it writes again."""
        make_old(partition)
        return self._ask({"do": do, "dir": str(partition), "config": self.config, "clock_ms": self.clock_ms, **more})

    def __str__(self):
        """For whoever looks into a difference."""
        return (f"life {self.seed}, {'closed cleanly' if self.clean else 'crashed'}, {self.config}, recovery point "
                f"{self.recovery_point}; damage: {'; '.join(self.damage) or 'none'}; operations: " +
                "; ".join(self.operations))
