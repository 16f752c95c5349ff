"""What the tests of each run count: they say so in the build directory, for tests/report to keep.

As a program it prints what a run of all tests has counted of crashes, which tests/run shows at its end:

    python3 short_runs.py BUILD
"""

import collections
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree

import results

COMMAND, KEPT_AS = "tests/report --run BUILD", "test_run"
CALLS, LOST_PAGES = "calls that fail", "syncs that fail and lose pages"
# Tests that count, as ctest names them, and what each counts. ctest knows these expressions, too, but none like \w.
COUNTING = [(r"crash_states_test\..*", "crash states"),
            (r"file_systems_test\.PowerCutTest\..*/([a-z0-9_]+)", r"power cut on \1"),
            (r"file_systems_test\.ShutdownTest\..*/([a-z0-9_]+)", r"shutdown on \1"),
            (r"file_systems_test\.DiskFullTest\..*/([a-z0-9_]+)", r"full disk on \1"),
            (r"file_systems_test\.KillLoopTest\..*", "kill"),
            (r"file_systems_test\..*", "other endings"),
            (r"faults_test", CALLS),
            (r"kafka\.varve_lives", "lives of varve"),
            (r"kafka\.kafka_lives", "lives of Kafka"),
            (r"canary\..*", "canaries caught")]


def crash_reports(build):
    return sorted((build / "tests/crash/report/crash_states_test").glob("*.json"))


def file_system_reports(build):
    return sorted((build / "tests/file_systems/report").glob("*.json"))


def kind_of_ending(report):
    """What a test of tests/file_systems counts."""
    return report["kind"] + ("" if report["file_system"] == "any" else f" on {report['file_system']}")


def crash_states(build):
    shapes = [json.loads(path.read_text()) for path in crash_reports(build)]
    if not shapes:
        return []
    failures = [f"{one['shape']}, seed {one['next_seed']}" for one in shapes if one["failed"]]
    return [results.one("crash states", sum(one["states"] for one in shapes), failures, shapes=len(shapes),
                        first_seed=min(one["first_seed"] for one in shapes),
                        next_seed=max(one["next_seed"] for one in shapes))]


def endings(build):
    reports = [json.loads(path.read_text()) for path in file_system_reports(build)]
    return [results.one(kind_of_ending(one), one["endings"],
                        [f"in the lives from seed {one['first_seed']} on"] if one["failed"] else [],
                        first_seed=one["first_seed"], next_seed=one["next_seed"]) for one in reports]


def lives(build):
    path = build / "tests/kafka/report.jsonl"
    noted = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [results.one(one["what"], one["lives"], [f"life {seed} differs" for seed in one["differing"]], first_seed=1,
                        next_seed=one["lives"] + 1) for one in noted if "lives" in one]


def faults(report):
    """From the lines that faults_test writes, one for each workload and kind of fault."""
    lines = [json.loads(line) for line in report.read_text().splitlines()] if report.exists() else []
    counted = []
    for what, chosen in ((CALLS, lines), (LOST_PAGES, [one for one in lines if "pages dropped" in one["kind"]])):
        if chosen:
            counted.append(results.one(what, sum(one["runs"] for one in chosen), of=sum(one["of"] for one in chosen)))
    return counted


class CTest:
    """What became of the tests of a run, by the file in JUnit's form that ctest writes."""

    def __init__(self, junit):
        cases = xml.etree.ElementTree.parse(junit).getroot().iter("testcase") if junit.exists() else ()
        self._outcomes = {case.get("name"): self._outcome(case) for case in cases}

    @staticmethod
    def _outcome(case):
        skipped = case.find("skipped")
        if case.get("status") == "run":
            return "passed"
        if skipped is not None and skipped.get("message", "").startswith("SKIP_"):
            return "skipped"
        return "failed" if case.get("status") == "fail" else "could not be run"

    def is_empty(self):
        return not self._outcomes

    def failures(self):
        """(what the test counts, the test and its outcome) of those that did not pass and were not skipped."""
        return [(what_is_counted_by(name), f"{name} {outcome}")
                for name, outcome in self._outcomes.items() if outcome not in ("passed", "skipped")]

    def canaries(self):
        outcomes = [outcome for name, outcome in self._outcomes.items() if name.startswith("canary.")]
        if not outcomes:
            return []
        return [results.one("canaries caught", outcomes.count("passed"), of=len(outcomes))]


def what_is_counted_by(test):
    for pattern, what in COUNTING:
        match = re.fullmatch(pattern, test)
        if match:
            return match.expand(what)
    return test  # a fixture


def with_failures(entries, failures):
    """The entries, and failures of tests added to those that they count, or as entries of nothing else."""
    entries = {one["what"]: one for one in entries}
    by_what = collections.defaultdict(list)
    for what, failure in failures:
        by_what[what].append(failure)
    for what, failed in by_what.items():
        entry = entries.setdefault(what, results.one(what, 0))
        entry["failures"] = entry["failures"] or failed
    return list(entries.values())


def run(build):
    """Runs the tests that count, and keeps what they did as the results of a test run."""
    for path in crash_reports(build) + file_system_reports(build) + [build / "tests/kafka/report.jsonl"]:
        path.unlink(missing_ok=True)
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        junit, fault_report = pathlib.Path(directory, "junit.xml"), pathlib.Path(directory, "faults.jsonl")
        subprocess.run(["ctest", "--test-dir", build, "--tests-regex",
                        f"^({'|'.join(pattern for pattern, _ in COUNTING)})$", "--parallel",
                        str(len(os.sched_getaffinity(0))), "--output-on-failure", "--output-junit", junit],
                       env={**os.environ, "VARVE_FAULTS_REPORT": str(fault_report)}, check=False)
        ran = CTest(junit)
        if ran.is_empty():
            sys.exit(f"{build}: a directory with built tests expected")
        entries = crash_states(build) + endings(build) + lives(build) + faults(fault_report) + ran.canaries()
    results.write(KEPT_AS, COMMAND, with_failures(entries, ran.failures()), time.monotonic() - begin)


def main():
    build = pathlib.Path(sys.argv[1])
    for one in crash_states(build) + endings(build):
        print(f"  {one['count']:,} times: {one['what']}")


if __name__ == "__main__":
    main()
