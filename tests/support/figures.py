"""The figures of durability: what is asked of each, and what results say was reached.

A figure has parts, each counted on its own: by the tests of each run, by a long run that keeps its own results, or by both.
"""

import dataclasses
import math
import re

import results
import short_runs

REACHED, SHARE, UNMEASURED, FAILED = "reached", "in part", "not measured", "FAILED"
SOME, ALL = 0, 1.0  # asked may be a share of what there is, too: a number up to 1, of what entries have in `of`
TOLD = 3            # failures that a line tells


@dataclasses.dataclass(frozen=True)
class Part:
    """What is counted: entries of results whose `what` matches, and how many are asked."""
    words: str
    what: str = ".*"
    in_test_run: float | None = None  # None: it is not counted there
    long: float | None = None         # None: there is no long run
    kept_as: str = ""                 # the results of the long run
    command: str = ""                 # what makes them; none: nothing does yet


BY_FILE_SYSTEMS = {"kept_as": "file_systems", "command": "tests/file_systems/long BUILD"}
BY_FAULTS = {"kept_as": "faults", "command": "tests/faults/every_call BUILD"}
BY_COVERAGE = {"kept_as": "coverage", "command": "tests/coverage"}
STATES = Part("crash states", "crash states", 100_000, 1_000_000, "crash", "tests/crash/long BUILD")
BITS = Part("flipped bits", long=524_288, kept_as="every_bit", command="tests/faults/long BUILD")

FIGURES = {
    "R1": [STATES],
    "R2": [Part("power cuts", r"power cut on \w+", 300, 10_000, **BY_FILE_SYSTEMS),
           Part("shutdowns", r"shutdown on \w+", 300, 10_000, **BY_FILE_SYSTEMS)],
    "R3": [Part("kills", "kill", 1000, 10_000, **BY_FILE_SYSTEMS)],
    "R4": [Part("calls that fail", short_runs.CALLS, SOME, ALL, **BY_FAULTS)],
    "R5": [Part("syncs that fail and lose pages", short_runs.LOST_PAGES, SOME, ALL, **BY_FAULTS)],
    "R6": [BITS],
    "R7": [STATES, BITS],
    "R8": [Part("directories", r"lives (of|carried out by) \w+", 200, 10_000, "kafka", "tests/kafka/long BUILD")],
    "R9": [Part("executions", long=10**9, kept_as="fuzz", command="tests/fuzz/long BUILD")],
    "R10": [Part("rounds under the thread sanitizer", long=ALL, kept_as="threads", command="tests/threads")],
    "R11": [Part("full disks", r"full disk on \w+", 1000, 1000, **BY_FILE_SYSTEMS)],
    "R12": [Part("bounds of recovery", long=ALL, kept_as="recovery", command="bench/recovery BUILD")],
    "R13": [Part("branches of the core", "branches of the core", long=0.95, **BY_COVERAGE),
            Part("branches of recovery", "branches of recovery", long=ALL, **BY_COVERAGE),
            Part("mutants noticed", "mutants noticed", long=0.9, kept_as="mutants", command="tests/mutants/long BUILD")],
}


@dataclasses.dataclass(frozen=True)
class Told:
    """What there is to say of a figure, or of a piece of it."""
    state: str
    text: str


class Evidence:
    """All results that are kept, each file read once, and which of their entries belong to a figure."""

    def __init__(self):
        self._files = {}
        self._claimed = set()

    def matching(self, name, what):
        """The results NAME.json and those of their entries that match, if there are any."""
        if name not in self._files:
            self._files[name] = results.read(name)
        file = self._files[name]
        return file, [one for one in file["reached"] if re.fullmatch(what, one["what"])] if file is not None else []

    def claim(self, name, entries):
        """These belong to a figure."""
        self._claimed.update((name, one["what"]) for one in entries)

    def unclaimed(self, name):
        """The results NAME.json and those of their entries that belong to no figure."""
        file, entries = self.matching(name, ".*")
        return file, [one for one in entries if (name, one["what"]) not in self._claimed]


def failures_of(entries):
    failures = [f"{one['what']}: {failure}" for one in entries for failure in one["failures"]]
    more = f" and {len(failures) - TOLD} more" if len(failures) > TOLD else ""
    return f"FAILED: {'; '.join(failures[:TOLD])}{more}" if failures else "0 failures"


def seeds_of(entries):
    seeded = [one for one in entries if "first_seed" in one and "next_seed" in one]
    if not seeded:
        return ""
    return f", seeds {min(one['first_seed'] for one in seeded)} to {max(one['next_seed'] for one in seeded) - 1}"


def percent(share):
    return f"{100 * share:.3g} %"


def tell_counted(asked, file, entries):
    """What entries of a file say was counted, of so many that were asked."""
    count = sum(one["count"] for one in entries)
    there_are = sum(one.get("of", one["count"]) for one in entries) if asked <= ALL else asked
    wanted = math.ceil(asked * there_are) if asked <= ALL else asked
    told = [percent(count / there_are)] if count < there_are else []
    told += [f"{percent(asked)} asked"] if SOME < asked < ALL else []
    share = f" ({', '.join(told)})" if told else ""
    commit, *changed = file["commit"].split(" ", 1)
    failed = any(one["failures"] for one in entries)
    return Told(FAILED if failed else SHARE if count < wanted else REACHED,
                f"{count:,} of {there_are:,}{share}, {failures_of(entries)}"
                f" ({' '.join([file['date'], commit[:12], *changed])}: {file['command']}{seeds_of(entries)})")


def tell_run(what, asked, name, command, evidence):
    """What was reached of it in the tests of a run, or in long runs."""
    try:
        file, entries = evidence.matching(name, what)
    except results.ResultsError as error:
        return Told(FAILED, str(error))
    evidence.claim(name, entries)
    if entries:
        return tell_counted(asked, file, entries)
    makes = f"{command} makes it" if command else f"nothing makes {name}.json yet"
    wanted = f"{asked:,}" if asked > ALL else percent(asked) if asked > SOME else "some"
    return Told(UNMEASURED, f"{wanted} asked, not measured; {makes}")


def made_by(command):
    """The command, if it is there."""
    return command if command and (results.ROOT / command.split()[0]).exists() else ""


def tell_part(part, evidence):
    """Told of its runs, where each text begins with what is counted."""
    told = []
    if part.in_test_run is not None:
        one = tell_run(part.what, part.in_test_run, short_runs.KEPT_AS, short_runs.COMMAND, evidence)
        told.append(Told(one.state, f"{part.words} in a test run: {one.text}"))
    if part.long is not None:
        one = tell_run(part.what, part.long, part.kept_as, made_by(part.command), evidence)
        told.append(Told(one.state, f"{part.words} in long runs: {one.text}"))
    return told


def tell_figure(parts, evidence):
    told = [one for part in parts for one in tell_part(part, evidence)]
    states = {one.state for one in told}
    state = FAILED if FAILED in states else states.pop() if len(states) == 1 else SHARE
    return Told(state, " | ".join(one.text for one in told))


def tell_besides(evidence):
    """(name, Told) of what was counted that belongs to no figure."""
    told = []
    for name in sorted(path.stem for path in results.directory().glob("*.json")):
        try:
            file, entries = evidence.unclaimed(name)
            for entry in entries:
                one = tell_counted(ALL, file, [entry])
                told.append((name, Told(one.state, f"{entry['what']}: {one.text}")))
        except results.ResultsError as error:
            told.append((name, Told(FAILED, str(error))))
    return told


def tell_all():
    """(name, Told) of each figure, and of what was counted besides."""
    evidence = Evidence()
    figures = [(name, tell_figure(parts, evidence)) for name, parts in FIGURES.items()]
    return figures + tell_besides(evidence)
