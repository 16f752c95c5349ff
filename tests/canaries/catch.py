#!/usr/bin/env python3
"""Breaks the library as a canary says, and wants the tests that it names to fail.

    catch.py CANARY BUILD [--ninja NINJA]

CANARY is a file as canary.py describes it, BUILD a directory in which the tests are built. The same tests must succeed
with the library as it is. Exits with 1 where a test that should fail does not, or the canary fits the source no more.
"""

import argparse
import fnmatch
import glob
import json
import os
import subprocess
import sys
import tempfile

from canary import CanaryError, parse_canary
from changed_library import Build

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# Of one program with a filter. What waits for ever when it is broken fails by a deadline of its own before.
TIMEOUT_S = 300


def run_tests(program, patterns, directory):
    """{name of a test: True if it failed} of those that match, without what they print."""
    report = os.path.join(directory, "report.json")
    command = [program, "--gtest_filter=" + ":".join(patterns), f"--gtest_output=json:{report}"]
    try:
        run = subprocess.run(command, cwd=directory, text=True, errors="replace", timeout=TIMEOUT_S,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    except subprocess.TimeoutExpired as expired:
        raise CanaryError(f"{os.path.basename(program)}: an end within {TIMEOUT_S} s expected") from expired
    # Whoever dies writes no report: nobody could tell a caught break from a harness that is broken itself.
    if run.returncode not in (0, 1) or not os.path.exists(report):
        raise CanaryError(f"{os.path.basename(program)}: tests that run to their end expected, found exit status "
                          f"{run.returncode}:\n{run.stdout[-4000:]}")
    with open(report, encoding="utf-8") as file:
        suites = json.load(file)["testsuites"]
    os.remove(report)
    return {f"{suite['name']}.{test['name']}": bool(test.get("failures"))
            for suite in suites for test in suite["testsuite"] if test["status"] == "RUN"}


def uncaught(pattern, results):
    """What is wrong with what a pattern's tests did; empty where one of them failed."""
    matching = {name: failed for name, failed in results.items() if fnmatch.fnmatchcase(name, pattern)}
    if any(matching.values()):
        return ""
    return f"{pattern}: succeeds though the library is broken" if matching else f"{pattern}: no such test"


def catch(path, root, build):
    """Everything that is wrong, a line each."""
    with open(path, encoding="utf-8") as file:
        canary = parse_canary(file.read())
    problems = []
    with tempfile.TemporaryDirectory() as directory:
        objects = [changed_object(source, text, root, build, directory)
                   for source, text in canary.changed_files(lambda source: read_file(root, source)).items()]
        for catcher in canary.catchers:
            sound = run_tests(build.path_of(catcher.program), catcher.patterns, directory)
            problems += [f"{catcher.program}: {name}: fails though the library is not broken"
                         for name, failed in sound.items() if failed]
            broken_program = os.path.join(directory, catcher.program)
            build.link(catcher.program, objects, broken_program)
            broken = run_tests(broken_program, catcher.patterns, directory)
            problems += [f"{catcher.program}: {problem}"
                         for problem in (uncaught(pattern, broken) for pattern in catcher.patterns) if problem]
    return problems


def read_file(root, path):
    with open(os.path.join(root, path), encoding="utf-8") as file:
        return file.read()


def changed_object(source, text, root, build, directory):
    changed = os.path.join(directory, source.replace("/", "-"))
    with open(changed, "w", encoding="utf-8") as file:
        file.write(text)
    build.compile(root, source, changed, changed + ".o")
    return changed + ".o"


def canaries():
    """The paths of all canaries."""
    return sorted(glob.glob(os.path.join(os.path.dirname(os.path.abspath(__file__)), "*.diff")))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("canary")
    parser.add_argument("build")
    parser.add_argument("--ninja", default="ninja")
    arguments = parser.parse_args()
    try:
        problems = catch(arguments.canary, ROOT, Build(arguments.build, arguments.ninja))
    except CanaryError as error:
        problems = [str(error)]
    for problem in problems:
        print(problem)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
