"""The files of a source tree, as the checks see them."""

import functools
import os
import re
import subprocess

INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')
CODE_DIRECTORIES = ("include", "lib", "tests", "examples", "bench")


# What .gitignore names, for a tree that came without git.
MADE_BY_BUILDS = re.compile(r"(build[^/]*|\.cache|\.git|(.*/)?__pycache__)/")


class SourceTree:
    """A checkout: what git tracks and would offer to add; without git, what lies in the directory but for builds."""

    def __init__(self, root):
        self.root = os.path.abspath(root)

    @functools.cached_property
    def files(self):
        """Paths relative to the root, with slashes, sorted."""
        names = self._known_to_git() or self._walked()
        return sorted(name for name in names if os.path.isfile(os.path.join(self.root, name)))

    def _known_to_git(self):
        if not os.path.exists(os.path.join(self.root, ".git")):
            return set()
        listing = subprocess.run(
            ["git", "-c", "safe.directory=*", "-C", self.root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            check=False, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        return {name for name in listing.stdout.split("\0") if name}

    def _walked(self):
        found = set()
        for directory, _, names in os.walk(self.root):
            found |= {os.path.relpath(os.path.join(directory, name), self.root) for name in names}
        return {name for name in found if not MADE_BY_BUILDS.match(name)}

    def read(self, path):
        """The text of a file; bytes that are not UTF-8 are replaced."""
        with open(os.path.join(self.root, path), encoding="utf-8", errors="replace") as file:
            return file.read()

    def is_text(self, path):
        with open(os.path.join(self.root, path), "rb") as file:
            return b"\0" not in file.read(65536)

    def exists(self, path):
        return os.path.exists(os.path.join(self.root, path))

    def code(self, *directories, suffixes=(".h", ".cc")):
        """C++ files below the directories, all code directories by default."""
        prefixes = tuple(directory + "/" for directory in directories or CODE_DIRECTORIES)
        return [path for path in self.files if path.startswith(prefixes) and path.endswith(suffixes)]

    def includes(self, path):
        """(line number, '"' or '<', name) of every include of a file."""
        found = []
        for number, line in enumerate(self.read(path).splitlines(), start=1):
            match = INCLUDE.match(line)
            if match:
                found.append((number, match.group(1), match.group(2)))
        return found
