"""results.json, and report.html: tables and plots in one file that needs nothing else."""

import datetime
import html
import json

import bar_plot
import curve_plot
import peer_targets

CURVES = "growth."  # how the names of works begin whose subjects are points

STYLE = """
body { font: 15px/1.45 sans-serif; max-width: 76em; margin: 2em auto; padding: 0 1em; color: #222 }
table { border-collapse: collapse; margin: .6em 0 1.6em } td, th { padding: .15em .8em .15em 0; text-align: left }
th { border-bottom: 1px solid #888 } td.number { text-align: right; font-variant-numeric: tabular-nums }
.met { color: #17692b } .missed { color: #a11212; font-weight: bold } .varve { font-weight: bold }
code, pre { background: #f3f3f3; padding: .1em .3em }
"""


def write(results, directory):
    (directory / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    (directory / "report.html").write_text(page(results), encoding="utf-8")


def shown(number):
    """Three digits that count."""
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"


def cell(text, kind=""):
    return f'<td class="{kind}">{html.escape(str(text))}</td>' if kind else f"<td>{html.escape(str(text))}</td>"


def table(headings, rows):
    head = "".join(f"<th>{html.escape(heading)}</th>" for heading in headings)
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def verdict(met):
    return cell("") if met is None else cell("met" if met else "missed", "met" if met else "missed")


def page(results):
    works = list(dict.fromkeys(one["work"] for one in results["measurements"]))
    parts = [f"<h1>varve beside the machine and beside its peers</h1>{conditions(results)}",
             f"<h2>What is asked</h2>{asked_of_limits(results)}{asked_of_peers(results)}"]
    for work in works:
        parts.append(section(work, [one for one in results["measurements"] if one["work"] == work]))
    return (f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>varve beside its limits</title>'
            f"<style>{STYLE}</style></head><body>{''.join(parts)}</body></html>\n")


def conditions(results):
    """Machine, versions, command: what the figures hold for."""
    date = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    machine = "; ".join(f"{name} {value}" for name, value in results["machine"].items())
    sizes = ", ".join(f"{name} {value:,}" for name, value in results["sizes"].items())
    rows = [cell(name) + cell(one["version"]) + cell(one["process_durability"]) + cell(one["power_durability"])
            for name, one in sorted(results["versions"].items())]
    text = [f"<p>{date}. {html.escape(machine)}.</p><pre>{html.escape(results['command'])}</pre>",
            f"<p>Medians of {results['rounds']} interleaved rounds, with the least and the most. "
            f"Only ratios of one run tell anything. Sizes: {html.escape(sizes)}.</p>"]
    if rows:
        text.append(table(["peer", "version", "survives the death of the process by", "survives power loss by"], rows))
    text += [f"<p>Skipped: {html.escape(name)}: {html.escape(why)}</p>" for name, why in results["skipped"].items()]
    text += [f"<p>Failed: {html.escape(failure)}</p>" for failure in results["failures"]]
    return "".join(text)


def asked_of_limits(results):
    rows = []
    for one in results["measurements"]:
        for ratio in one["ratios"]:
            if ratio["target"] is None:
                continue
            bound = "at most" if one["better"] == "less" else "at least"
            rows.append(cell(one["work"]) + cell(f"{one['subject']}, {one['figure']}", "varve") +
                        cell(f"{shown(one['median'])} {one['unit']}", "number") +
                        cell(ratio["limit"] or "by itself") + cell(shown(ratio["ratio"]), "number") +
                        cell(f"{bound} {shown(ratio['target'])}", "number") + verdict(ratio["met"]))
    return table(["work", "subject", "median", "beside", "ratio", "asked", ""], rows)


def asked_of_peers(results):
    rows = [cell(target.work) + cell(f"{target.subject}, {target.figure}", "varve") + cell(target.peer) +
            cell(f"{times:.2f} x better", "number") + cell(f"at least {target.times}", "number") + verdict(met)
            for target, times, met in peer_targets.judged(results["measurements"])]
    return table(["work", "subject", "beside", "it is", "asked", ""], rows) if rows else ""


def plots(work, measurements):
    """Of works that are curves one of each figure, of others a bar for each subject's first figure."""
    by_figure = {}
    for one in measurements:
        by_figure.setdefault(one["figure"], []).append(one)
    if work.startswith(CURVES):
        return "".join(curve_plot.draw(of_figure) for of_figure in by_figure.values())
    return bar_plot.draw(next(iter(by_figure.values())))


def section(work, measurements):
    """The plots of a work, and all its figures in a table."""
    rows = []
    for one in measurements:
        ratios = "; ".join(f"{shown(ratio['ratio'])} x {ratio['limit']}" for ratio in one["ratios"] if ratio["limit"])
        rows.append(cell(one["subject"], "varve" if one["of"] == "varve" else "") + cell(one["figure"]) +
                    cell(shown(one["median"]), "number") + cell(one["unit"]) +
                    cell(f"{shown(one['least'])} to {shown(one['most'])}", "number") + cell(ratios))
    return (f"<h2>{html.escape(work)}</h2>{plots(work, measurements)}"
            f"{table(['subject', 'figure', 'median', 'unit', 'least to most', 'ratio'], rows)}")
