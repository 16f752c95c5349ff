"""How a long run of lives goes: in chunks of both kinds side by side, noted in a file from which it goes on."""

import asyncio
import collections
import hashlib
import itertools
import json


def digest_of(paths):
    """Of the contents of these files, in this order."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


class Progress:
    """How many lives of each kind are judged, by whom, and what was found, in a file."""

    def __init__(self, path, judged_by, kinds):
        self._path = path
        self._judged_by = judged_by
        self.kinds = {kind: {"judged": 0, "differing": [], "failed": [], "exceptions": {}} for kind in kinds}

    def resume(self):
        """Goes on with what is in the file, if there is one: False if others have judged that."""
        if not self._path.exists():
            return True
        noted = json.loads(self._path.read_text())
        self.kinds.update(noted["kinds"])
        return noted["judged_by"] == self._judged_by

    def add(self, kind, report):
        """Notes what was found in the lives that follow the ones judged: what a test reported of them, and whether it
        `failed`, which it may do for other reasons than lives that differ."""
        of_kind = self.kinds[kind]
        if report["failed"]:
            of_kind["failed"].append(f"{of_kind['judged'] + 1} to {of_kind['judged'] + report['lives']}")
        of_kind["judged"] += report["lives"]
        of_kind["differing"] += report["differing"]
        counts = collections.Counter(of_kind["exceptions"])
        counts.update(report["exceptions"])
        of_kind["exceptions"] = counts
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps({"judged_by": self._judged_by, "kinds": self.kinds}, indent=1))
        new.replace(self._path)

    def passed(self):
        return not any(of_kind["differing"] or of_kind["failed"] for of_kind in self.kinds.values())

    def not_whole(self, lives):
        """A sentence of each kind of which fewer than so many lives are judged."""
        return [f"NOT WHOLE: {of_kind['judged']} of {lives} lives carried out by {kind} are judged"
                for kind, of_kind in self.kinds.items() if of_kind["judged"] < lives]

    def summary(self):
        lines = []
        for kind, of_kind in self.kinds.items():
            lines.append(f"{of_kind['judged']} lives carried out by {kind}: {len(of_kind['differing'])} with unexplained "
                         f"differences {of_kind['differing'] or ''}".rstrip())
            lines += [f"  the test of lives {lives} failed" for lives in of_kind["failed"]]
            lines += [f"  {count} {name}" for name, count in sorted(of_kind["exceptions"].items())]
        return lines


def chunks_left(progress, lives, chunk):
    """(kind, first seed, count) of what is to be judged, one of each kind in turn."""
    of_kinds = [[(kind, first, min(chunk, lives + 1 - first)) for first in range(of_kind["judged"] + 1, lives + 1, chunk)]
                for kind, of_kind in progress.kinds.items()]
    return [one for turn in itertools.zip_longest(*of_kinds) for one in turn if one is not None]


async def judge_all(progress, chunks, judge_chunk, jobs):
    """Has all chunks judged, so many at once, and notes the reports of each kind in the order of seeds.

    `judge_chunk` is a coroutine function of a chunk's kind, first seed and count. The first error ends all.
    """
    free = asyncio.Semaphore(jobs)

    async def judge(*chunk):
        async with free:
            return await judge_chunk(*chunk)

    async def note(kind, tasks):
        for task in tasks:
            progress.add(kind, await task)
            of_kind = progress.kinds[kind]
            print(f"{kind}: {of_kind['judged']} lives, {len(of_kind['differing'])} differ", flush=True)

    tasks = collections.defaultdict(list)
    try:
        for kind, *chunk in chunks:
            tasks[kind].append(asyncio.create_task(judge(kind, *chunk)))
        await asyncio.gather(*(note(kind, of_kind) for kind, of_kind in tasks.items()))
    finally:
        begun = list(itertools.chain(*tasks.values()))
        for task in begun:
            if not task.cancelling():  # or else what it does to end would be cut short
                task.cancel()  # does nothing to one that has ended
        await asyncio.gather(*begun, return_exceptions=True)
