"""Whether the unit tests notice a mutant: they are run against it, the nearest to its source first, until one fails."""

import json
import os
import pathlib
import resource
import subprocess
import tempfile
import time

from canary import CanaryError

# Of memory, which a mutant may use without end. What files in memory reserve is far more, and no limit is put on that.
MEMORY_BYTES = 6 << 30
LOOK_S = 0.5  # between two looks at what a program uses
# Directories of tests, from those of the lowest layer to those that come to it through all others.
LAYERS = ("base", "record", "index", "io", "segment", "state", "log", "faults", "crash", "model", "store", "cli", "fuzz")


def unit_programs(build_directory):
    """The GoogleTest programs with unit tests, as paths below tests/ of the build."""
    listed = subprocess.run(["ctest", "--test-dir", build_directory, "--show-only=json-v1", "--label-regex", "^unit$"],
                            stdout=subprocess.PIPE, text=True, check=True)
    tests = pathlib.Path(build_directory).resolve() / "tests"
    programs = {pathlib.Path(test["command"][0]).resolve() for test in json.loads(listed.stdout)["tests"]
                if test.get("command")}
    return sorted(str(program.relative_to(tests)) for program in programs if program.is_relative_to(tests))


def nearest_first(programs, source, seconds):
    """Those of the source's layer, then those of the layers above it, then the rest; of equals the quickest."""
    own = LAYERS.index(source.split("/")[1])
    stem = pathlib.PurePath(source).stem

    def distance(program):
        layer, name = program.split("/")[0], pathlib.PurePath(program).name
        place = LAYERS.index(layer) if layer in LAYERS else len(LAYERS)
        return place < own, place, not name.startswith(stem), seconds.get(program, 0), name

    return sorted(programs, key=distance)


def resident_bytes(pid):
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


def run(program, timeout_s):
    """Whether all its tests succeed within that time, in a directory of their own."""
    with tempfile.TemporaryDirectory() as directory:
        until = time.monotonic() + timeout_s
        with subprocess.Popen([program, "--gtest_fail_fast", "--gtest_brief=1"], cwd=directory,
                              env={**os.environ, "TMPDIR": directory}, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL) as running:
            while True:
                try:
                    return running.wait(LOOK_S) == 0
                except subprocess.TimeoutExpired:
                    if time.monotonic() < until and resident_bytes(running.pid) <= MEMORY_BYTES:
                        continue
                running.kill()
                return False


class Judge:
    """Compiles mutants as a build compiles their sources, and runs its programs with them."""

    def __init__(self, root, build, programs):
        self._root = root
        self._build = build
        self._programs = programs
        self._seconds = {}
        self._code = {}  # of the sources as they are

    def sound_programs(self):
        """Runs each program as it is, to know how long it takes; those that fail so."""
        failed = []
        for program in self._programs:
            begin = time.monotonic()
            if not run(self._build.path_of(os.path.basename(program)), timeout_s=600):
                failed.append(program)
            self._seconds[program] = time.monotonic() - begin
        return failed

    def verdict(self, mutant):
        """("invalid", "") where it does not compile, ("equal", "") where the compiler makes the same code of it,
        ("killed", the program that fails) or ("survived", "")."""
        text = (self._root / mutant.path).read_text()
        with tempfile.TemporaryDirectory() as directory:
            try:
                if mutant.path not in self._code:
                    self._code[mutant.path] = self._compiled(mutant.path, text, directory)
                changed_code = self._compiled(mutant.path, mutant.changed(text), directory)
            except CanaryError:
                return "invalid", ""
            if changed_code == self._code[mutant.path]:
                return "equal", ""
            changed_object = os.path.join(directory, "changed.o")
            pathlib.Path(changed_object).write_bytes(changed_code)
            return self._run_all(mutant, changed_object, os.path.join(directory, "program"))

    def _compiled(self, path, text, directory):
        """The object that the compiler makes of the text in place of that source."""
        source = pathlib.Path(directory, "source.cc")  # of one name, as the object holds it
        source.write_text(text)
        compiled = pathlib.Path(directory, "source.o")
        self._build.compile(str(self._root), path, str(source), str(compiled), "-g0", f"-ffile-prefix-map={directory}=.")
        return compiled.read_bytes()

    def _run_all(self, mutant, changed_object, output):
        for program in nearest_first(self._programs, mutant.path, self._seconds):
            self._build.link(os.path.basename(program), [changed_object], output)
            if not run(output, timeout_s=10 + 5 * self._seconds[program]):
                return "killed", program
        return "survived", ""
