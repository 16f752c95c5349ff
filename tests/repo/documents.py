"""Documents say what is there."""

import os
import re

FENCE = re.compile(r"^\s*(```|~~~)")
LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+)(?:\s+\"[^\"]*\")?\)")
HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*\s*$")
# A name of a file in this tree, written as code. Patterns ("lib/*/x", "a.{h,cc}") and placeholders are not names.
FILE_NAME = re.compile(r"`((?:\.ci|include|lib|tests|examples|bench)/[\w./-]*)`")


def prose_lines(text):
    """(line number, line) outside of fenced blocks."""
    fenced = False
    for number, line in enumerate(text.splitlines(), start=1):
        if FENCE.match(line):
            fenced = not fenced
        elif not fenced:
            yield number, line


def anchors(text):
    """The anchors GitHub gives to the headings of a document."""
    found = set()
    for _, line in prose_lines(text):
        match = HEADING.match(line)
        if match:
            title = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", match.group(1))
            slug = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
            count = 0
            while (slug if count == 0 else f"{slug}-{count}") in found:
                count += 1
            found.add(slug if count == 0 else f"{slug}-{count}")
    return found


def check_links(tree):
    """No link and no file name in a document leads nowhere. Addresses on the net are not visited."""
    problems = []
    for path in tree.files:
        if not path.endswith(".md"):
            continue
        for line, text in prose_lines(tree.read(path)):
            for name in FILE_NAME.findall(text):
                if not tree.exists(name):
                    problems.append(f"{path}:{line}: `{name}` does not exist")
            for target in LINK.findall(re.sub(r"`[^`]*`", "``", text)):
                if not re.match(r"[a-z][a-z0-9+.-]*:", target):
                    problems += [f"{path}:{line}: {problem}" for problem in dead_link(tree, path, target)]
    return problems


def dead_link(tree, path, target):
    file, _, anchor = target.partition("#")
    destination = os.path.normpath(os.path.join(os.path.dirname(path), file)) if file else path
    if destination.startswith("..") or os.path.isabs(destination):
        return [f"{target} leads out of the tree"]
    if not tree.exists(destination):
        return [f"{target} does not exist"]
    if anchor and destination.endswith(".md") and anchor not in anchors(tree.read(destination)):
        return [f"{target}: {destination} has no heading #{anchor}"]
    return []


def check_readme_program(tree):
    """The program in README.md is examples/quickstart.cc, which the tests build and run."""
    for path in ("README.md", "examples/quickstart.cc"):
        if not tree.exists(path):
            return [f"{path} does not exist"]
    blocks = re.findall(r"^```cpp\n(.*?)^```$", tree.read("README.md"), re.MULTILINE | re.DOTALL)
    if tree.read("examples/quickstart.cc") in blocks:
        return []
    return ["README.md: no ```cpp block equals examples/quickstart.cc"]


OPTIONS_HEADER = "include/varve/log_options.h"
STRUCT = re.compile(r"^struct (\w*Options) \{$(.*?)^\};$", re.MULTILINE | re.DOTALL)
MEMBER = re.compile(r"^  (?!\s|//)[\w:<>*\s]+?\b(\w+)(?: = [^;]*)?;", re.MULTILINE)


def check_options(tree):
    """Every option is explained in README.md, or does not exist."""
    structs = STRUCT.findall(tree.read(OPTIONS_HEADER))
    if not structs:
        return [f"{OPTIONS_HEADER}: no struct of options found"]
    readme = tree.read("README.md")
    problems = []
    for struct, body in structs:
        members = MEMBER.findall(body)
        if not members:
            problems.append(f"{OPTIONS_HEADER}: no member of {struct} found")
        problems += [f"README.md: does not explain {struct}::{member}" for member in members if f"`{member}`" not in readme]
    return problems


PROMISES = "What survives what"
NAMED_TEST = re.compile(r"`(\w+)\.(\w+)`")


def check_named_tests(tree):
    """Each row of README.md's table of promises names tests, and all that it names exist."""
    _, _, after = tree.read("README.md").partition(f"\n## {PROMISES}\n")
    rows = [line for line in after.partition("\n## ")[0].splitlines() if line.startswith("|")][2:]
    if not rows:
        return [f"README.md: no table below '{PROMISES}' found"]
    sources = "".join(tree.read(path) for path in tree.code("tests", suffixes=(".cc",)))
    tests = set(re.findall(r"^TEST(?:_F|_P)?\((\w+), (\w+)\)", sources, re.MULTILINE))
    problems = []
    for row in rows:
        what, *_, shown_by = row.strip("| ").split(" | ")
        named = NAMED_TEST.findall(shown_by)
        if not named:
            problems.append(f"README.md: '{what}' names no test")
        problems += [f"README.md: '{what}': no test {suite}.{name}" for suite, name in named if (suite, name) not in tests]
    return problems
