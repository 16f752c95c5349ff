"""A plot of measurements as SVG: a bar for each subject up to its median, with a line from the least to the most."""

import html
import math

WIDTH, LABEL_WIDTH, VALUE_WIDTH, ROW = 1040, 400, 150, 24
PLOT = WIDTH - LABEL_WIDTH - VALUE_WIDTH
COLOURS = {"varve": "#1c5fb0", "limit": "#8a8a8a", "peer": "#c98a2b"}
LOGARITHMIC_FROM = 30  # times the least median: beyond, the shorter bars would be nothing


def shown(number):
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"


def scale(measurements):
    """A function from a value to a place in the plot, and what to call the axis."""
    there = [value for one in measurements for value in (one["least"], one["median"], one["most"]) if value > 0]
    most = max(there, default=1)
    least = min((one["median"] for one in measurements if one["median"] > 0), default=1)
    if max(one["median"] for one in measurements) <= LOGARITHMIC_FROM * least:
        return (lambda value: PLOT * value / most), "linear"
    low = math.floor(math.log10(min(there)))
    span = math.log10(most) - low
    return (lambda value: PLOT * max(math.log10(value) - low, 0) / span if value > 0 else 0), "logarithmic"


def draw(measurements):
    """The best on top. All are of one figure."""
    better = measurements[0]["better"]
    ordered = sorted(measurements, key=lambda one: one["median"], reverse=better == "more")
    place, axis = scale(ordered)
    height = ROW * (len(ordered) + 1)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" role="img" '
             f'font-family="sans-serif" font-size="13">']
    for row, one in enumerate(ordered):
        parts.append(bar(one, place, ROW * row))
    caption = f"{ordered[0]['figure']}, {ordered[0]['unit']}, {better} is better; {axis}"
    parts.append(f'<text x="{LABEL_WIDTH}" y="{height - 7}" fill="#555">{html.escape(caption)}</text></svg>')
    return "".join(parts)


def bar(one, place, top):
    middle = top + ROW / 2
    end = LABEL_WIDTH + place(one["median"])
    least, most = (LABEL_WIDTH + place(one[key]) for key in ("least", "most"))
    value = f"{shown(one['median'])} {one['unit']}"
    return (f'<text x="{LABEL_WIDTH - 8}" y="{middle + 4}" text-anchor="end">{html.escape(one["subject"])}</text>'
            f'<rect x="{LABEL_WIDTH}" y="{top + 4}" width="{max(end - LABEL_WIDTH, 1):.1f}" height="{ROW - 8}" '
            f'fill="{COLOURS[one["of"]]}"/>'
            f'<line x1="{least:.1f}" x2="{most:.1f}" y1="{middle}" y2="{middle}" stroke="#222"/>'
            f'<text x="{max(end, most) + 6:.1f}" y="{middle + 4}">{html.escape(value)}</text>')
