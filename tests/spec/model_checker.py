"""TLC, the model checker of TLA+: a process of Java for each run, on Varve.tla with bounds, a broken step, invariants.

As a program it has Maven fetch TLC, as the ctest fixture spec.model_checker does. All is written below
$VARVE_SPEC_BUILD only.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
from typing import NamedTuple

import maven

PROJECT = pathlib.Path(__file__).resolve().parent
MODULES = ("Disk.tla", "Varve.tla")
TIMEOUT_S = 3600


class CheckerError(Exception):
    """TLC could not be had, or did not come to an end."""


class Bounds(NamedTuple):
    """How often each thing may happen in a run of the model."""
    records: int
    rolls: int = 0
    truncations: int = 0
    deletions: int = 0
    power_losses: int = 0
    deaths: int = 0
    failures: int = 0


class Outcome(NamedTuple):
    violated: str | None  # an invariant
    states: int           # distinct ones that were found
    output: str


def build_directory():
    directory = pathlib.Path(os.environ["VARVE_SPEC_BUILD"])
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def class_path():
    """The jar of TLC, which Maven fetches the first time."""
    missing = maven.missing_programs("The tests of the protocol's specification", ("mvn", "java"))
    if missing:
        raise CheckerError(f"{missing} To build without these tests: cmake -DVARVE_SPEC_TESTS=OFF")
    project = PROJECT / "pom.xml"
    path_file = build_directory() / "classpath.txt"
    with maven.alone():
        if not path_file.exists() or path_file.stat().st_mtime < project.stat().st_mtime:
            resolved = path_file.with_suffix(".new")
            maven.run(project, "dependency:build-classpath", f"-Dmdep.outputFile={resolved}")
            resolved.replace(path_file)
    return path_file.read_text(encoding="utf-8").strip()


def configuration(bounds, broken, invariants):
    numbers = (("MaxRecords", bounds.records), ("MaxRolls", bounds.rolls), ("MaxTruncations", bounds.truncations),
               ("MaxDeletions", bounds.deletions), ("MaxPowerLosses", bounds.power_losses),
               ("MaxDeaths", bounds.deaths), ("MaxFailures", bounds.failures))
    return "\n".join(["SPECIFICATION Spec", "CHECK_DEADLOCK FALSE", "CONSTANTS", "None = None", f'Broken = "{broken}"',
                      *(f"{name} = {number}" for name, number in numbers), f"INVARIANTS {' '.join(invariants)}", ""])


def check(bounds, invariants, broken="", max_heap="512m", short=False):
    """Looks at every state within the bounds, or up to the first that violates an invariant.

    `short`: it will be over in seconds, so that time spent on compiling the checker itself would be lost.
    """
    path = class_path()
    directory = pathlib.Path(tempfile.mkdtemp(prefix="tlc-", dir=build_directory()))
    try:
        for module in MODULES:
            shutil.copy(PROJECT / module, directory)
        (directory / "Varve.cfg").write_text(configuration(bounds, broken, invariants), encoding="utf-8")
        command = ["java", f"-Xmx{max_heap}", "-XX:+UseSerialGC", *(["-XX:TieredStopAtLevel=1"] if short else []),
                   f"-Djava.io.tmpdir={directory}", "-cp", path, "tlc2.TLC", "-nowarning", "-workers", "1",
                   "-metadir", str(directory / "states"), "Varve"]
        done = subprocess.run(command, cwd=directory, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=TIMEOUT_S, check=False, text=True, errors="replace")
    finally:
        shutil.rmtree(directory)
    return outcome_of(done.stdout)


def outcome_of(output):
    """What TLC's words say; CheckerError unless it came to an end or to a violated invariant."""
    violated = re.search(r"^Error: Invariant (\w+) is violated", output, re.MULTILINE)
    states = re.findall(r"([\d,]+) distinct states found", output)
    finished = "Model checking completed. No error has been found." in output
    if not states or not (violated or finished):
        raise CheckerError(output)
    return Outcome(violated.group(1) if violated else None, int(states[-1].replace(",", "")), output)


def main():
    try:
        class_path()
    except (CheckerError, maven.MavenError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
