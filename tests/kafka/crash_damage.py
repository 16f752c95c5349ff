"""What a crash may do to the files of a life: to bytes that were not flushed, to indexes, and to snapshots."""


# Base offset, leader epoch and magic: no checksum covers them, and what they say counts, for Kafka as for varve.
UNCHECKED_BYTES = {*range(8), *range(12, 17)}


def segment_files(partition, suffix):
    """The files of a kind, by base offset."""
    return sorted(path for path in partition.iterdir() if path.name.endswith(suffix) and path.stem.isdigit())


def unflushed_segments(life):
    """Base offsets of the segments that a recovery reads: the one that has the recovery point, and those after it."""
    bases = [int(path.stem) for path in segment_files(life.partition, ".log")]
    first = max((base for base in bases if base <= life.recovery_point), default=0)
    return [base for base in bases if base >= first]


def damage(life, dice, batches):
    """Does to a crashed life's files what a crash may do to what was not flushed. `batches`: as dumped before."""
    # A recovery point in a hole says more than it knows, namely that there are no batches.
    ends = [batch["last_offset"] + 1 for batch in batches]
    life.lower_recovery_point(max((end for end in ends if end <= life.recovery_point), default=0))
    kinds = [*OF_WHAT_WAS_WRITTEN, _remove_indexes, _remove_snapshots]
    spoil(life, dice, batches, kinds)


def spoil(life, dice, batches, kinds):
    for kind in dice.sample(kinds, dice.choice([1, 1, 2])):
        life.damage.append(kind(life, dice, batches))


def _last_log(life):
    return segment_files(life.partition, ".log")[-1]


def _cut_tail(life, dice, batches):
    log = _last_log(life)
    lowest = max((b["position"] + b["bytes"] for b in batches if b["segment"] == int(log.stem)
                  and b["last_offset"] < life.recovery_point), default=0)
    size = log.stat().st_size
    cut = max(min(dice.randint(1, 200), size - lowest), 0)
    with open(log, "r+b") as file:
        file.truncate(size - cut)
    return f"{cut} bytes cut off {log.name}"


def _add_garbage(life, dice, _):
    log = _last_log(life)
    count = dice.randint(1, 300)
    with open(log, "ab") as file:
        file.write(dice.randbytes(count))
    return f"{count} bytes of garbage after {log.name}"


def _add_zeros(life, dice, _):
    log = _last_log(life)
    count = dice.randint(1, 5000)
    with open(log, "ab") as file:
        file.write(bytes(count))
    return f"{count} zeros after {log.name}"


def _flip_byte(life, dice, batches):
    unflushed = [b for b in batches if b["base_offset"] >= life.recovery_point and b["position"] + b["bytes"] <=
                 (life.partition / f"{b['segment']:020}.log").stat().st_size]
    if not unflushed:
        return "no byte flipped, all was flushed"
    batch = dice.choice(unflushed)
    position = batch["position"] + dice.choice([i for i in range(batch["bytes"]) if i not in UNCHECKED_BYTES])
    path = life.partition / f"{batch['segment']:020}.log"
    with open(path, "r+b") as file:
        file.seek(position)
        old = file.read(1)[0]
        file.seek(position)
        file.write(bytes([old ^ (1 << dice.randrange(8))]))
    return f"byte {position} of {path.name} flipped, {position - batch['position']} into its batch"


def _remove_indexes(life, dice, _):
    gone = []
    for base in unflushed_segments(life):
        for suffix in [".index", ".timeindex", ".txnindex"]:
            path = life.partition / f"{base:020}{suffix}"
            if dice.random() < 0.5 and path.exists():
                path.unlink()
                gone.append(path.name)
    return f"removed {gone}"


def _remove_snapshots(life, dice, _):
    gone = [path for path in segment_files(life.partition, ".snapshot") if dice.random() < 0.6]
    for path in gone:
        path.unlink()
    return f"removed {[path.name for path in gone]}"


def _spoil_indexes(life, dice, _):
    spoilt = []
    for base in unflushed_segments(life):
        for suffix in [".index", ".timeindex"]:
            path = life.partition / f"{base:020}{suffix}"
            if dice.random() < 0.5 and path.exists() and path.stat().st_size:
                with open(path, "r+b") as file:
                    file.write(dice.randbytes(min(path.stat().st_size, dice.randint(1, 64))))
                spoilt.append(path.name)
    return f"garbage in {spoilt}"


# Of files that stay where they are.
OF_WHAT_WAS_WRITTEN = [_cut_tail, _add_garbage, _add_zeros, _flip_byte, _spoil_indexes]
