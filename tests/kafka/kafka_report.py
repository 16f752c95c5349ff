"""What the tests with Kafka found, a line of JSON from each in the file that VARVE_KAFKA_REPORT names.

As a program it prints the sum of such a file, which a run of all tests shows at its end:

    python3 kafka_report.py REPORT
"""

import collections
import json
import os
import pathlib
import sys
import time

# What these tests may add to a run of all tests, which runs as many at once as there are cores. On a machine that has
# much else to do they take longer, so that this is a warning and no failure.
LIMIT_S = 480

_noted_s = time.monotonic()  # when something was noted last, or this process began


def note(what, **counts):
    """Adds what this test has found, and in how many seconds since the one before, if there is a file to add it to."""
    global _noted_s
    began_s, _noted_s = _noted_s, time.monotonic()
    if "VARVE_KAFKA_REPORT" in os.environ:
        with open(os.environ["VARVE_KAFKA_REPORT"], "a") as file:
            print(json.dumps({"what": what, **counts, "seconds": round(_noted_s - began_s), "at_s": round(time.time()),
                              "process": os.getpid()}), file=file)


def begin():
    """Forgets what tests of an earlier run have noted."""
    if "VARVE_KAFKA_REPORT" in os.environ:
        pathlib.Path(os.environ["VARVE_KAFKA_REPORT"]).unlink(missing_ok=True)


def summary(lines, cores):
    """The sentences that say what was noted in these lines, by tests of which as many ran at once as there are cores."""
    noted = [json.loads(line) for line in lines]
    exceptions = collections.Counter()
    for one in noted:
        exceptions.update(one.get("exceptions", {}))
    parts = [f"{one['lives']} {one['what']} ({one['seconds']} s)" if "lives" in one else
             f"{one['what']} ({one['seconds']} s)" for one in noted]
    explained = ", ".join(f"{count} {name}" for name, count in sorted(exceptions.items()) if count)
    differing = sum(len(one.get("differing", [])) for one in noted)
    of_processes = collections.Counter()  # a test of ctest is one, and notes several things one after the other
    for one in noted:
        of_processes[one["process"]] += one["seconds"]
    run_s, longest_s = of_processes.total(), max(of_processes.values())
    least_s = max(-(-run_s // cores), longest_s)
    span_s = max(one["at_s"] for one in noted) - min(one["at_s"] - one["seconds"] for one in noted)
    sentences = [f"Kafka: {', '.join(parts)}",
                 f"  {differing} lives with unexplained differences; by named exceptions: {explained or 'none'}",
                 f"  {run_s} s in all, {longest_s} s the longest test, at least {least_s} s on {cores} cores; the last "
                 f"ended {span_s} s after the first began"]
    if least_s > LIMIT_S:
        more_s = least_s - LIMIT_S
        sentences.append(f"  WARNING: {least_s} s is {more_s} s MORE than the {LIMIT_S} s which these tests may take")
    return sentences


if __name__ == "__main__":
    print("\n".join(summary(pathlib.Path(sys.argv[1]).read_text().splitlines(), len(os.sched_getaffinity(0)))))
