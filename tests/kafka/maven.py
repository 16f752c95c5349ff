"""Maven, which fetches jars and keeps them; one at a time, as its repository of jars is not made for several."""

import contextlib
import fcntl
import os
import pathlib
import shutil
import subprocess
import tempfile

TIMEOUT_S = 1500
PACKAGES = {"mvn": "maven", "javac": "default-jdk-headless", "java": "default-jdk-headless"}


class MavenError(Exception):
    """Maven failed, or a program is missing; says what it wrote, or what to install."""


def missing_programs(what_for, programs=tuple(PACKAGES)):
    """What to install, as a sentence, or None."""
    missing = [program for program in programs if shutil.which(program) is None]
    if not missing:
        return None
    packages = sorted({PACKAGES[program] for program in missing})
    return f"{what_for} need {', '.join(missing)}: apt-get install --no-install-recommends {' '.join(packages)}."


@contextlib.contextmanager
def alone():
    """One Maven at a time on this machine, whatever it builds."""
    with open(pathlib.Path(tempfile.gettempdir()) / f"varve-maven-{os.getuid()}.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run(project, *arguments):
    """Runs Maven alone, without the network where it has all jars, and keeps its words for when it fails."""
    command = ["mvn", "--batch-mode", "-Dstyle.color=never", "--file", str(project), *arguments]
    for mode in (["--offline"], []):
        done = subprocess.run(command + mode, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=TIMEOUT_S, check=False, text=True, errors="replace")
        if done.returncode == 0:
            return
        if "offline mode" not in done.stdout:
            break
    raise MavenError(f"{' '.join(command)}:\n{done.stdout}")
