"""Which random lives a test is to judge, by its environment, where they go, and what it tells of them in the end."""

import os
import pathlib
import shutil

from kafka_report import note

MEMORY = pathlib.Path("/dev/shm")
MEMORY_NEEDED_BYTES = 1 << 28


def asked_lives(count):
    """The first seed and how many: VARVE_KAFKA_SEED alone asks for one, VARVE_KAFKA_LIVES for so many, else `count`."""
    first_seed = os.environ.get("VARVE_KAFKA_SEED")
    count = 1 if first_seed is not None else count
    return int(first_seed or 1), int(os.environ.get("VARVE_KAFKA_LIVES", count))


def report(what, lives, differing, exceptions):
    """Prints the counts and reports them. `differing`: the seeds of the lives with unexplained differences."""
    print(f"{lives} {what}, {len(differing)} of them with unexplained differences; {exceptions.summary()}")
    note(what, lives=lives, differing=differing, exceptions=exceptions.counts())


def directory_for_lives():
    """Where temporary directories go: into memory where there is room, as every small file is synced."""
    has_room = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > MEMORY_NEEDED_BYTES
    return MEMORY if has_room else None
