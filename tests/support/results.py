"""What long runs of tests reached: files of one layout below tests/results, which tests/report reads.

A file is of one command, and holds of its last run, and of those that it went on with:

    date     when it ended, UTC
    commit   of the sources; " with changes" where files were changed that it does not hold
    command  that makes it again
    kernel   the release of Linux it ran on
    seconds  that it took, of all the runs that it went on with; of runs at the same time the sum
    reached  a list: `what` was counted, its `count`, and `failures`, a text of each, none where all is well; where it is
             known, `of` how many there are; where seeds made it, `first_seed` and `next_seed`; and whatever else this
             command has to tell of it

VARVE_TEST_RESULTS names another directory than tests/results.
"""

import datetime
import functools
import json
import os
import pathlib
import subprocess

NUMBERS = ("of", "first_seed", "next_seed")  # that an entry may have
ROOT = pathlib.Path(__file__).resolve().parents[2]


class ResultsError(Exception):
    """A file of results that is not as it should be; says which and why."""


def directory():
    return pathlib.Path(os.environ.get("VARVE_TEST_RESULTS", ROOT / "tests/results"))


def commit(root=ROOT):
    """The commit of the sources, and whether they are changed; results are no sources."""
    def git(*arguments):
        run = subprocess.run(["git", "-C", root, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                             check=False)
        return run.stdout.strip() if run.returncode == 0 else ""

    head = git("rev-parse", "HEAD")
    if not head:
        return "unknown"
    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!tests/results")
    return f"{head} with changes" if changed else head


@functools.cache
def commit_of_this_run():
    return commit()


def one(what, count, failures=(), **more):
    """An entry of `reached`."""
    return {"what": what, "count": count, "failures": list(failures), **more}


def write(name, command, reached, seconds):
    """Replaces the results NAME.json by the entries, as `one` makes them, of which something was reached, if any."""
    reached = [entry for entry in reached if entry["count"] or entry["failures"]]
    if not reached:
        return
    now = datetime.datetime.now(datetime.timezone.utc)
    path = directory() / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(json.dumps({"date": now.strftime("%Y-%m-%d %H:%M"), "commit": commit_of_this_run(), "command": command,
                               "kernel": os.uname().release, "seconds": round(seconds), "reached": reached},
                              indent=1) + "\n")
    new.replace(path)


def read(name):
    """The results NAME.json; None where there are none."""
    path = directory() / f"{name}.json"
    try:
        results = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ResultsError(f"{path}: results of tests in JSON expected, found: {error}") from error
    for key, kind in (("date", str), ("commit", str), ("command", str), ("reached", list)):
        if not isinstance(results, dict) or not isinstance(results.get(key), kind):
            raise ResultsError(f"{path}: results of tests with '{key}' expected, which is missing or no {kind.__name__}")
    for entry in results["reached"]:
        if not (isinstance(entry, dict) and isinstance(entry.get("what"), str) and isinstance(entry.get("count"), int)
                and isinstance(entry.get("failures"), list)):
            raise ResultsError(f"{path}: in 'reached' entries with 'what', 'count' and 'failures' expected, found {entry}")
        for key in NUMBERS:
            if not isinstance(entry.get(key, 0), int):
                raise ResultsError(f"{path}: in 'reached' a number '{key}' expected, found {entry}")
    return results
