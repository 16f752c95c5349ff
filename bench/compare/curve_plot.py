"""A plot of measurements as SVG: a curve for each series, over the numbers in the names of subjects; both axes logarithmic.

A subject of a curve is named SERIES, NUMBER UNIT.
"""

import html
import math
import re

WIDTH, HEIGHT, LEFT, BOTTOM, RIGHT, TOP = 760, 260, 80, 40, 190, 14
COLOURS = ("#8a8a8a", "#1c5fb0", "#c98a2b", "#17692b")
POINT = re.compile(r"(?P<series>.*), (?P<number>\d+) (?P<unit>\w+)$")


def shown(number):
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"


def points_of(measurements):
    """{series: [(number, measurement)]}, in the order of the numbers, and what the numbers count."""
    series, unit = {}, ""
    for one in measurements:
        match = POINT.match(one["subject"])
        if match and one["median"] > 0:
            unit = match["unit"]
            series.setdefault(match["series"], []).append((int(match["number"]), one))
    return {name: sorted(points, key=lambda point: point[0]) for name, points in series.items()}, unit


def logarithmic(values, low, high):
    """A function from a value to a place between low and high."""
    least, most = math.log10(min(values)), math.log10(max(values))
    span = most - least or 1
    return lambda value: low + (high - low) * (math.log10(value) - least) / span


def draw(measurements):
    """All are of one figure. Nothing where no subject is a point."""
    series, unit = points_of(measurements)
    points = [point for of_series in series.values() for point in of_series]
    if not points:
        return ""
    across = logarithmic([number for number, _ in points], LEFT, WIDTH - RIGHT)
    up = logarithmic([one["median"] for _, one in points], HEIGHT - BOTTOM, TOP)
    figure = measurements[0]
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" role="img" '
             f'font-family="sans-serif" font-size="12">']
    for colour, (name, of_series) in zip(COLOURS, series.items()):
        parts.append(curve(name, of_series, across, up, colour))
    for number in sorted({number for number, _ in points}):
        parts.append(f'<text x="{across(number):.1f}" y="{HEIGHT - 22}" text-anchor="middle">{number:,}</text>')
    for value in sorted({one["median"] for _, one in points}, key=float)[::max(len(points) // 3, 1)]:
        parts.append(f'<text x="{LEFT - 10}" y="{up(value) + 4:.1f}" text-anchor="end">{shown(value)}</text>')
    caption = f"{figure['figure']}, {figure['unit']}, over {unit}"
    parts.append(f'<text x="{LEFT}" y="{HEIGHT - 6}" fill="#555">{html.escape(caption)}</text></svg>')
    return "".join(parts)


def curve(name, points, across, up, colour):
    places = [(across(number), up(one["median"])) for number, one in points]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places)
    x, y = places[-1]
    return (f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>{dots}'
            f'<text x="{x + 10:.1f}" y="{y + 4:.1f}" fill="{colour}">{html.escape(name)}</text>')
