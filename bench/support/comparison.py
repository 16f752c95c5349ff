"""Two builds of the driver, turn by turn: which figures of the second one are slower than the first one's."""

import dataclasses

import spread
from served_program import ServedProgram, ServedProgramError

OURS = "varve"          # how the names of subjects begin that a build can make slower
FALSE_ALARMS = 0.05     # of a whole comparison in which nothing is slower, before what looks slower is measured again


@dataclasses.dataclass(frozen=True)
class Verdict:
    """A figure of a subject: how much worse B is, 1 where it is equal, above where it is worse."""
    name: str
    ratio: float
    least: float
    most: float
    slower: bool

    def __str__(self):
        return f"{self.name}: {self.ratio:.3f} x ({self.least:.3f} to {self.most:.3f})"


@dataclasses.dataclass(frozen=True)
class Figure:
    """A row of values of A and of B to be compared."""
    subject: str
    index: int
    name: str
    more_is_better: bool


def figures_of(work):
    """Those of a work that varve's subjects have."""
    return [Figure(subject["name"], index, f"{work['work']}, {subject['name']}, {figure['name']}",
                   figure["better"] == "more")
            for subject in work["subjects"] if subject["name"].startswith(OURS)
            for index, figure in enumerate(work["figures"])]


def judge(figure, rounds_of_a, rounds_of_b, confidence, tolerance):
    """A verdict by the rounds of both; None where there are no values."""
    base = [one[figure.subject][figure.index] for one in rounds_of_a]
    other = [one[figure.subject][figure.index] for one in rounds_of_b]
    if None in base or None in other:
        return None
    if figure.more_is_better:
        base, other = other, base
    least, most = spread.ratio_interval(base, other, confidence)
    worse = spread.ratio(spread.median(other), spread.median(base))
    return Verdict(figure.name, worse, least, most, least > 1 + tolerance)


def take_turns(a, b, work, rounds):
    """The rounds of both, after one that warms up; who is first changes from turn to turn."""
    a.round(work)
    b.round(work)
    rounds_of_a, rounds_of_b = [], []
    for turn in range(rounds):
        both = [(a, rounds_of_a), (b, rounds_of_b)]
        for program, kept in both if turn % 2 == 0 else reversed(both):
            kept.append(program.round(work))
    return rounds_of_a, rounds_of_b


def common_works(a, b):
    """Those that both builds know in the same form, so that builds of before and after a change of the driver compare."""
    known = {work["work"]: work for work in b.introduction["works"]}
    works = [work for work in a.introduction["works"] if known.get(work["work"]) == work]
    left_out = sorted({work["work"] for work in a.introduction["works"]} ^ {work["work"] for work in works})
    if left_out:
        print(f"not compared, as the builds differ in what they measure: {', '.join(left_out)}")
    if not works:
        raise ServedProgramError("the two builds have no work in common")
    return works


def compare(command_a, command_b, rounds, tolerance):
    """Prints a line for each figure; answers the verdicts of those that are slower when they are measured again."""
    with ServedProgram(command_a) as a, ServedProgram(command_b) as b:
        works = common_works(a, b)
        count = sum(len(figures_of(work)) for work in works)
        confidence = 1 - FALSE_ALARMS / max(count, 1)
        slower = []
        for work in works:
            slower += compare_work(a, b, work, rounds, confidence, tolerance)
        return slower


def compare_work(a, b, work, rounds, confidence, tolerance):
    suspected = [verdict for verdict in verdicts_of(a, b, work, rounds, confidence, tolerance) if verdict.slower]
    if not suspected:
        return []
    print(f"{work['work']} looks slower; measuring again with {2 * rounds} rounds")
    names = {verdict.name for verdict in suspected}
    return [verdict for verdict in verdicts_of(a, b, work, 2 * rounds, confidence, tolerance)
            if verdict.slower and verdict.name in names]


def verdicts_of(a, b, work, rounds, confidence, tolerance):
    rounds_of_a, rounds_of_b = take_turns(a, b, work["work"], rounds)
    verdicts = [judge(figure, rounds_of_a, rounds_of_b, confidence, tolerance) for figure in figures_of(work)]
    verdicts = [verdict for verdict in verdicts if verdict is not None]
    for verdict in verdicts:
        print(f"{'SLOWER' if verdict.slower else '      '} {verdict}", flush=True)
    return verdicts
