"""What rounds tell of two subjects that took turns, and how sure that is."""

import random
import statistics

RESAMPLINGS = 2000


def median(values):
    """Of those that are there; None of none."""
    there = [value for value in values if value is not None]
    return statistics.median(there) if there else None


def ratio(numerator, denominator):
    if denominator == 0:
        return 1.0 if numerator == 0 else float("inf")
    return numerator / denominator


def ratio_interval(base_rounds, other_rounds, confidence, seed=1):
    """The least and the most that the ratio of the medians, other to base, may be, by the spread of the rounds themselves.

    Bootstrap: rounds are drawn again and again with replacement, those of one turn together, as what else the machine did
    meanwhile slowed both.
    """
    turns = list(zip(base_rounds, other_rounds, strict=True))
    draw = random.Random(seed)
    ratios = sorted(_ratio_of_medians(draw.choices(turns, k=len(turns))) for _ in range(RESAMPLINGS))
    left_out = int((1 - confidence) / 2 * RESAMPLINGS)
    return ratios[left_out], ratios[-1 - left_out]


def _ratio_of_medians(turns):
    return ratio(statistics.median(other for _, other in turns), statistics.median(base for base, _ in turns))
