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

STARTED_S = time.monotonic()


def note(what, **counts):
    """Adds what this test has found, and in how many seconds, if there is a file to add it to."""
    if "VARVE_KAFKA_REPORT" in os.environ:
        seconds = round(time.monotonic() - STARTED_S)
        with open(os.environ["VARVE_KAFKA_REPORT"], "a") as file:
            print(json.dumps({"what": what, **counts, "seconds": seconds}), file=file)


def begin():
    """Forgets what tests of an earlier run have noted."""
    if "VARVE_KAFKA_REPORT" in os.environ:
        pathlib.Path(os.environ["VARVE_KAFKA_REPORT"]).unlink(missing_ok=True)


def summary(lines):
    """The sentences that say what was noted in these lines."""
    noted = [json.loads(line) for line in lines]
    exceptions = collections.Counter()
    for one in noted:
        exceptions.update(one.get("exceptions", {}))
    parts = [f"{one['lives']} {one['what']} ({one['seconds']} s)" if "lives" in one else
             f"{one['what']} ({one['seconds']} s)" for one in noted]
    explained = ", ".join(f"{count} {name}" for name, count in sorted(exceptions.items()) if count)
    return [f"Kafka: {', '.join(parts)}", f"  {sum(len(one.get('differing', [])) for one in noted)} lives with unexplained "
            f"differences; by named exceptions: {explained or 'none'}"]


if __name__ == "__main__":
    print("\n".join(summary(pathlib.Path(sys.argv[1]).read_text().splitlines())))
