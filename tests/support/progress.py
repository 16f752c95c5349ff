"""How long runs go on where they were stopped: what is done is noted in the build directory, a chunk at a time."""

import hashlib
import json
import signal
import sys


def end_in_order_when_told_to():
    """An interrupt from the terminal and SIGTERM end the program; what is to be done in any case is done."""
    def end(_signal, _frame):
        sys.exit("stopped; what was done is kept, and the next run goes on")

    for told in (signal.SIGINT, signal.SIGTERM):
        signal.signal(told, end)


def digest_of(paths):
    """Of the names and contents of these files, in this order."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.name.encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


class Progress:
    """What was done of each of some things, in a file, with a digest of what did it: others do not go on."""

    def __init__(self, path, done_by, anew=False):
        """Ends the program where others have made the file, unless all is to be done `anew`."""
        self._path = path
        self._done_by = done_by
        self.of = {}  # what is noted of each, by its name
        if anew or not path.exists():
            return
        noted = json.loads(path.read_text())
        if noted.get("done_by") != done_by:
            sys.exit(f"{path} was made by other programs or tests: --anew begins with these")
        self.of = noted["of"]

    def note(self, name, **changes):
        """Changes what is noted of one, and keeps all."""
        self.of.setdefault(name, {}).update(changes)
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps({"done_by": self._done_by, "of": self.of}, indent=1))
        new.replace(self._path)
