"""Canaries: breaks of the library, and the tests that must catch each of them.

A canary is a file NAME.diff: a paragraph that says what it breaks, a line `caught by: PROGRAM FILTER` for each test
program that must notice (FILTER as --gtest_filter takes it, without exclusions; each of its patterns must have a test
that fails), and the change in the manner of a unified diff, without line numbers:

    --- lib/log/flusher.cc
    @@
     a line that stays
    -a line that goes
    +a line that comes

The text before a change must be in the file exactly once.
"""

import dataclasses


class CanaryError(Exception):
    """The canary says nothing about the tests: it does not fit the source, or cannot be built or run."""


@dataclasses.dataclass(frozen=True)
class Change:
    """`before` becomes `after` in the file at `path`, relative to the root of the repository."""
    path: str
    before: str
    after: str

    def apply(self, text):
        found = text.count(self.before)
        if found != 1:
            raise CanaryError(f"{self.path}: this text expected once, found {found} times; write the canary anew for "
                              f"what the source is now:\n{self.before}")
        return text.replace(self.before, self.after)


@dataclasses.dataclass(frozen=True)
class Catcher:
    """A test program, and which of its tests must fail: each pattern matches one at least."""
    program: str
    patterns: tuple


@dataclasses.dataclass(frozen=True)
class Canary:
    about: str
    catchers: tuple
    changes: tuple

    def changed_files(self, read):
        """The text of each file that changes, by its path; read(path) gives what it is now."""
        texts = {}
        for change in self.changes:
            texts[change.path] = change.apply(texts.get(change.path) or read(change.path))
        return texts


def parse_canary(text):
    head, separator, diff = text.partition("\n--- ")
    if not separator:
        raise CanaryError("a line that begins with '--- ' and names the file expected")
    prose = [line for line in head.splitlines() if not line.startswith("caught by:")]
    catchers = [parse_catcher(line) for line in head.splitlines() if line.startswith("caught by:")]
    if not "".join(prose).strip():
        raise CanaryError("a sentence that says what is broken expected")
    if not catchers:
        raise CanaryError("a line 'caught by: PROGRAM FILTER' expected")
    return Canary("\n".join(prose).strip(), tuple(catchers), tuple(parse_changes("--- " + diff)))


def parse_catcher(line):
    words = line.split()[2:]
    if len(words) != 2:
        raise CanaryError(f"{line}: a program and a filter expected")
    return Catcher(words[0], tuple(words[1].split(":")))


def parse_changes(diff):
    changes = []
    path, before, after = None, [], []

    def finish():
        if not before and not after:
            return
        if not path or not before or before == after:
            raise CanaryError(f"{path}: a change expected that has a text to look for and alters it")
        changes.append(Change(path, "".join(before), "".join(after)))
        before.clear()
        after.clear()

    for line in diff.splitlines():
        mark, rest = line[:1], line[1:] + "\n"
        if line.startswith("--- "):
            finish()
            path = line[4:]
        elif mark == "@":
            finish()
        elif mark in ("", " "):
            before.append(rest)
            after.append(rest)
        elif mark == "-":
            before.append(rest)
        elif mark == "+":
            after.append(rest)
        else:
            raise CanaryError(f"{line}: a line that begins with ' ', '-', '+', '@@' or '---' expected")
    finish()
    if not changes:
        raise CanaryError("a change expected")
    return changes
