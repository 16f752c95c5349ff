"""Interleaved rounds of the driver and the peers, a work at a time."""

import contextlib
import os
import pathlib
import platform
import subprocess

import spread
from served_program import ServedProgram, ServedProgramError


def measure(driver, peers, rounds, directory):
    """All results, in the form of results.json."""
    pathlib.Path(directory, "varve").mkdir()
    with ServedProgram([*driver, "--serve", f"--directory={directory}/varve"]) as varve:
        sizes = varve.introduction["sizes"]
        measurements, failures = [], []
        introductions = introduce(peers, sizes, directory, failures)
        for work in varve.introduction["works"]:
            print(work["work"], flush=True)
            able = [peer for peer in peers if work["work"] in introductions.get(peer.name, {"works": []})["works"]]
            kept, of = measure_work(varve, able, work, sizes, rounds, directory, failures)
            measurements += told(work, kept, of)
    versions = {one["subject"]: {key: one.get(key, "") for key in ("version", "process_durability", "power_durability")}
                for one in introductions.values()}
    return {"machine": machine(directory), "sizes": sizes, "rounds": rounds, "versions": versions, "failures": failures,
            "measurements": measurements}


def introduce(peers, sizes, directory, failures):
    """What each peer says of itself, by its name."""
    introductions = {}
    for peer in peers:
        try:
            with start(peer, sizes, directory) as program:
                introductions[peer.name] = program.introduction
        except ServedProgramError as error:
            failures.append(f"{peer.name}: {error}")
    return introductions


def measure_work(varve, peers, work, sizes, rounds, directory, failures):
    """Lets all of them take turns; answers {subject: rounds} and {subject: "varve", "limit" or "peer"}.

    Peers run as long as their work, so that what they hold of memory is nobody else's loss.
    """
    kept, of = {}, {}
    for subject in work["subjects"]:
        of[subject["name"]] = "varve" if subject["name"].startswith("varve") else "limit"
    with contextlib.ExitStack() as running:
        programs = [("varve", varve)]
        programs += [(peer.name, running.enter_context(start(peer, sizes, directory))) for peer in peers]
        for turn in range(-1, rounds):  # the first one warms up
            for name, program in list(programs):
                os.sync()  # nobody pays for what another has left to be written
                try:
                    values = program.round(work["work"])
                except ServedProgramError as error:
                    if program is varve:
                        raise
                    failures.append(f"{name}: {work['work']}: {error}")
                    programs.remove((name, program))
                    continue
                for subject, of_round in values.items():
                    of.setdefault(subject, "peer")
                    if turn >= 0:
                        kept.setdefault(subject, []).append(of_round)
    return kept, of


def start(peer, sizes, directory):
    own = pathlib.Path(directory, peer.name)
    own.mkdir(exist_ok=True)
    return ServedProgram([*peer.command, own, *(f"{name}={value}" for name, value in sizes.items())])


def told(work, kept, of):
    """A measurement for each subject and figure, with the ratios that are of interest."""
    measurements = []
    beside_of = {subject["name"]: subject["beside"] for subject in work["subjects"]}
    main_limit = next((beside["limit"] for name, besides in beside_of.items() if of[name] == "varve"
                       for beside in besides if beside["limit"]), None)
    for subject, rounds in kept.items():
        default = [{"limit": main_limit, "figure": None, "target": None}] if main_limit else []
        besides = beside_of.get(subject, default)
        for index, figure in enumerate(work["figures"]):
            values = [one[index] for one in rounds]
            middle = spread.median(values)
            if middle is None:
                continue
            there = [value for value in values if value is not None]
            measurements.append({
                "work": work["work"], "subject": subject, "of": of[subject], "figure": figure["name"],
                "unit": figure["unit"], "better": figure["better"], "rounds": values, "median": middle,
                "least": min(there), "most": max(there),
                "ratios": [ratio for beside in besides if (ratio := ratio_to(beside, kept, index, figure, middle))]})
    return measurements


def ratio_to(beside, kept, index, figure, middle):
    """The ratio to a limit, with what is asked of it; none where the limit has no such figure."""
    asked = beside["target"] if beside["figure"] == figure["name"] else None
    if beside["limit"] is None:
        if asked is None:
            return None
        ratio = middle
    else:
        limit = spread.median([one[index] for one in kept.get(beside["limit"], [])])
        if limit is None:
            return None
        ratio = spread.ratio(middle, limit)
    met = None if asked is None else ratio <= asked if figure["better"] == "less" else ratio >= asked
    return {"limit": beside["limit"], "ratio": ratio, "target": asked, "met": met}


def first_line(path, prefix):
    with open(path, encoding="utf-8") as file:
        return next((line.split(":", 1)[1].strip() for line in file if line.startswith(prefix)), "unknown")


def machine(directory):
    """What the figures depend on."""
    file_system = subprocess.run(["stat", "--file-system", "--format=%T", directory], stdout=subprocess.PIPE, text=True,
                                 check=False).stdout.strip()
    return {"processor": first_line("/proc/cpuinfo", "model name"), "cores": os.cpu_count(),
            "memory": first_line("/proc/meminfo", "MemTotal"), "kernel": platform.release(), "file system": file_system}
