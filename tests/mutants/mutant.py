"""Mutants: the library with one line changed by a rule, in an order that a seed decides.

The rules are those of universalmutator for C++; what they make of string literals and of lines that only word an error
is left out.
"""

import contextlib
import io
import random
import re
import subprocess
import sys
from typing import NamedTuple

RULES_PACKAGE = "universalmutator==1.14.1"
RULES = ["universal.rules", "c_like.rules", "cpp.rules"]
# What starts or ends nothing that runs: comments, includes, names of namespaces, access specifiers, lone brackets.
NOT_CODE = re.compile(r"^\s*(//|#|namespace\b|using\b|(public|private|protected):|[\s{}();]*(//.*)?$)")
WORDED = re.compile(r"\b(Error|InternalError|fmt::format|absl::StrCat|static_assert)\(")
# Brackets of templates, and names with digits in them: whatever a rule makes of these does not compile.
BRACKET = re.compile(r"\w[<>]=?|[<>][^\s=]")
NAME_WITH_DIGIT = re.compile(r"\b[A-Za-z_]\w*\d\w*")
# Added behind a statement: hardly ever in a loop, or never reached.
LEFT = re.compile(r"\b(break|continue);\s*$")


class Mutant(NamedTuple):
    path: str    # of the source below the root
    line: int    # from 1
    before: str  # the line as it is, with its end
    after: str   # what stands there instead, one line or two

    def __str__(self):
        return f"{self.path}:{self.line}: {self.before.strip()}  ->  {' '.join(self.after.split()) or 'nothing'}"

    def changed(self, text):
        lines = text.splitlines(keepends=True)
        if lines[self.line - 1] != self.before:
            raise ValueError(f"{self.path}:{self.line}: expected {self.before!r}, found {lines[self.line - 1]!r}")
        return "".join([*lines[:self.line - 1], self.after, *lines[self.line:]])


def fetch_rules(directory):
    """Has pip put the rules into a directory that Python then imports them from."""
    if not (directory / "universalmutator").exists():
        pip = subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check",
                              "--root-user-action=ignore", "--target", directory, RULES_PACKAGE], check=False)
        if pip.returncode != 0:
            sys.exit(f"{RULES_PACKAGE} could not be had: pip for Python 3 (package python3-pip) and the network expected")
    sys.path.insert(0, str(directory))


def rewritten_by_rules(line):
    """What the rules make of a line, each form once."""
    from universalmutator.mutator import mutants_regexp  # known only once it was fetched
    # Alone, as the rules take what opens a block comment in another language for one here.
    with contextlib.redirect_stdout(io.StringIO()):
        found = mutants_regexp([line], RULES, ignorePatterns=[], ignoreStringOnly=True)
    return list(dict.fromkeys(after for _, after, *_ in found))


def may_compile(before, after):
    """False of most changes that no compiler takes, or that change nothing."""
    if LEFT.search(after) and not LEFT.search(before):
        return False
    return all(pattern.findall(before) == pattern.findall(after) or after.lstrip().startswith("/*")
               for pattern in (BRACKET, NAME_WITH_DIGIT))


def mutants_in_order(sources, seed, rewritten=rewritten_by_rules):
    """Mutants of the sources, {path: text}, one of each line that the rules change, always in the order of the seed."""
    lines = [(path, number, line) for path, text in sorted(sources.items())
             for number, line in enumerate(text.splitlines(keepends=True), start=1)
             if not NOT_CODE.match(line) and not WORDED.search(line)]
    chance = random.Random(seed)
    chance.shuffle(lines)
    for path, number, line in lines:
        choices = [after for after in rewritten(line) if may_compile(line, after)]
        if choices:
            yield Mutant(path, number, line, chance.choice(choices))
