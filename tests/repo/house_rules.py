"""Rules of the house that a reader would otherwise have to watch for."""

import os
import re
import subprocess

TOP_LEVEL = {"CMakeLists.txt", "include", "lib", "bench", "tests", "examples", "LICENSE", "README.md"}
LONGEST_FILE_LINES = 600
DRAWERS = {"common", "defs", "helper", "helpers", "misc", "types", "util", "utils", "utilities"}
# Where people and their machines keep checkouts: no such place is the same elsewhere.
MACHINE_ROOTS = ("home", "root", "Users", "work", "workspace", "builds", "mnt")
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")


def check_top_level(tree):
    """The first thing a visitor sees stays short."""
    entries = {path.split("/")[0] for path in tree.files}
    return [f"{entry}: not an entry the top level may have"
            for entry in sorted(entries) if entry not in TOP_LEVEL and not entry.startswith(".")]


def check_file_lengths(tree):
    """No file of the library is longer than one can keep in mind."""
    problems = []
    for path in tree.code("include", "lib"):
        lines = tree.read(path).count("\n")
        if lines > LONGEST_FILE_LINES:
            problems.append(f"{path}: {lines} lines, at most {LONGEST_FILE_LINES} are allowed")
    return problems


def check_file_names(tree):
    """A file is named after the thing in it, not after a drawer."""
    problems = []
    for path in tree.code():
        stem = os.path.splitext(os.path.basename(path))[0]
        if DRAWERS & set(stem.split("_")):
            problems.append(f"{path}: a drawer, not a name")
        if not re.fullmatch(r"[a-z0-9_]+", stem):
            problems.append(f"{path}: names are lower case with underscores")
    return problems


def include_guard(path):
    """VARVE_LOG_H_ for include/varve/log.h, VARVE_LIB_LOG_READER_H_ for lib/log/reader.h."""
    name = path[len("include/varve/"):] if path.startswith("include/varve/") else path
    return "VARVE_" + re.sub(r"[^A-Za-z0-9]", "_", name).upper() + "_"


def check_include_guards(tree):
    """Guards follow from paths, so that no two headers can have the same one."""
    problems = []
    for path in tree.code(suffixes=(".h",)):
        guard = include_guard(path)
        directives = [line.strip() for line in tree.read(path).splitlines() if line.lstrip().startswith("#")]
        if directives[:2] != [f"#ifndef {guard}", f"#define {guard}"] or directives[-1] != f"#endif  // {guard}":
            problems.append(f"{path}: must be guarded by {guard}, with the name after #endif")
    return problems


def check_machine_paths(tree):
    """No file names a place on the machine where it was written."""
    patterns = [r"(?:%s)/[\w.]" % "|".join(MACHINE_ROOTS)]
    if tree.root.count("/") > 1:
        patterns.append(re.escape(tree.root[1:]) + r"(?![\w-])")
    place = re.compile(r"(?<![\w.*${}<>/-])/(?:%s)" % "|".join(patterns))
    problems = []
    for path in tree.files:
        if not tree.is_text(path):
            continue
        for number, line in enumerate(tree.read(path).splitlines(), start=1):
            match = place.search(line)
            if match:
                problems.append(f"{path}:{number}: {match.group(0)}… is a path of one machine")
    return problems


def check_nothing_unfinished(tree):
    """What is left to do is said in an issue, not in the code."""
    problems = []
    for path in tree.files:
        if not tree.is_text(path) or path.startswith("tests/golden/"):
            continue
        for number, line in enumerate(tree.read(path).splitlines(), start=1):
            match = UNFINISHED.search(line)
            if match:
                problems.append(f"{path}:{number}: {match.group(0)}")
    return problems


def check_format(tree, clang_format):
    """clang-format would change nothing."""
    paths = tree.code()
    run = subprocess.run([clang_format, "--dry-run", "-Werror", "--style=file", *paths], cwd=tree.root, text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if run.returncode == 0:
        return []
    unformatted = sorted({line.split(":")[0] for line in run.stdout.splitlines() if "error:" in line})
    return [f"{path}: clang-format would change it" for path in unformatted] or [run.stdout]
