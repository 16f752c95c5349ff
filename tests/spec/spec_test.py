"""The protocol holds in every state within bounds, and each of its invariants fails where a step is done wrongly."""

import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

from model_checker import PROJECT, Bounds, CheckerError, check, outcome_of

INVARIANTS = ("AcknowledgedIsAPrefix", "ReadableIsAPrefix", "TruncatedNeverReturns", "TruncationIsWhole",
              "DeletionIsWhole", "WrittenSurvivesProcessDeath", "NoAckAfterFailedSync", "DurablePointIsALowerBound")

# The bounds of a run and the number of its states, as README.md has them.
RUNS = {"power_losses": (Bounds(records=3, rolls=1, truncations=1, power_losses=2), 49775),
        "failures": (Bounds(records=2, rolls=1, truncations=1, power_losses=1, deaths=1, failures=1), 79293),
        "deletion": (Bounds(records=3, rolls=2, deletions=1, power_losses=2), 143773)}

# A step that is done wrongly, the invariant that fails then, and the least bounds that show it.
BROKEN = {
    "AckBeforeSync": ("AcknowledgedIsAPrefix", Bounds(records=1, power_losses=1)),
    "AckPublishedEnd": ("AcknowledgedIsAPrefix", Bounds(records=2, power_losses=1)),
    "RollWithoutSync": ("AcknowledgedIsAPrefix", Bounds(records=2, rolls=1, power_losses=1)),
    "ClearQueueAfterSync": ("AcknowledgedIsAPrefix", Bounds(records=3, rolls=1, power_losses=1)),
    "NoDirectorySync": ("AcknowledgedIsAPrefix", Bounds(records=2, rolls=1, power_losses=1)),
    "CutWithoutSync": ("AcknowledgedIsAPrefix", Bounds(records=2, truncations=1, power_losses=1)),
    "BelieveCacheAfterRestart": ("ReadableIsAPrefix", Bounds(records=2, power_losses=1)),
    "LeaveBeyond": ("ReadableIsAPrefix", Bounds(records=3, rolls=1, power_losses=1)),
    "TruncateWithoutDirectorySync": ("TruncatedNeverReturns",
                                     Bounds(records=2, rolls=1, truncations=1, power_losses=1)),
    "TruncateWithoutIntent": ("TruncationIsWhole", Bounds(records=3, rolls=1, truncations=1, power_losses=1)),
    "ClearIntentBeforeDirectorySync": ("TruncationIsWhole",
                                       Bounds(records=3, rolls=1, truncations=1, power_losses=1)),
    "DeleteWithoutIntent": ("DeletionIsWhole", Bounds(records=3, rolls=2, deletions=1, power_losses=1)),
    "CutAtDurablePoint": ("WrittenSurvivesProcessDeath", Bounds(records=1, deaths=1)),
    "RetrySync": ("NoAckAfterFailedSync", Bounds(records=1, failures=1)),
    "TrustCacheAfterFailedSync": ("NoAckAfterFailedSync", Bounds(records=1, failures=1)),
    "SyncWithoutRewriting": ("NoAckAfterFailedSync", Bounds(records=1, failures=1)),
    "StoreEndBeforeSync": ("DurablePointIsALowerBound", Bounds(records=1, deaths=1)),
    "StoreDurableBeforeSync": ("DurablePointIsALowerBound", Bounds(records=1)),
    "RemoveDeletedFirst": ("DurablePointIsALowerBound", Bounds(records=3, rolls=2, deletions=1, power_losses=2)),
    "PointNotLowered": ("DurablePointIsALowerBound", Bounds(records=2, rolls=1, truncations=1)),
}


class HoldsTest(unittest.TestCase):
    def holds(self, name):
        bounds, states = RUNS[name]
        outcome = check(bounds, INVARIANTS)
        self.assertIsNone(outcome.violated, outcome.output)
        self.assertEqual(outcome.states, states, "states; README.md and RUNS tell how many there are")
        print(f"{name}: {outcome.states} states, {bounds}")

    def test_power_losses(self):
        self.holds("power_losses")

    def test_failures(self):
        self.holds("failures")

    def test_deletion(self):
        self.holds("deletion")


class BrokenTest(unittest.TestCase):
    def test_each_broken_step_is_found(self):
        for broken, (invariant, bounds) in BROKEN.items():
            with self.subTest(broken):
                outcome = check(bounds, [invariant], broken, short=True)
                self.assertEqual(outcome.violated, invariant, outcome.output)

    def test_the_bounds_reach_what_matters(self):
        never = "NeverTruncatesAcrossSegmentsAfterTwoCrashes"
        self.assertEqual(check(RUNS["power_losses"][0], [never], short=True).violated, never)


class DocumentTest(unittest.TestCase):
    """What the specification, these tables and README.md say of one another."""

    @classmethod
    def setUpClass(cls):
        cls.spec = (PROJECT / "Varve.tla").read_text(encoding="utf-8")
        cls.readme = (PROJECT / "README.md").read_text(encoding="utf-8")

    def rows(self, title):
        """The cells of a table of README.md that follows a heading."""
        table = self.readme.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]
        lines = [line for line in table.splitlines() if line.startswith("|")]
        return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]

    def test_each_invariant_has_a_broken_step(self):
        self.assertEqual({invariant for invariant, _ in BROKEN.values()}, set(INVARIANTS))
        self.assertEqual({row[0].strip("`") for row in self.rows("Invariants")}, set(INVARIANTS))

    def test_each_broken_step_is_tried(self):
        in_spec = set(re.findall(r'Broken = "(\w+)"', self.spec))
        for members in re.findall(r'Broken \\in \{([^}]*)\}', self.spec):
            in_spec.update(re.findall(r'"(\w+)"', members))
        self.assertEqual(in_spec, set(BROKEN))
        self.assertEqual({row[0].strip("`"): row[2].strip("`") for row in self.rows("Broken steps")},
                         {broken: invariant for broken, (invariant, _) in BROKEN.items()})

    def test_each_run_is_told_of(self):
        told = [[int(cell.replace(",", "")) for cell in row[1:]] for row in self.rows("Bounds")]
        self.assertEqual(told, [[*bounds, states] for bounds, states in RUNS.values()])

    def test_each_action_is_a_function_of_the_library(self):
        actions = re.findall(r"\w+", re.search(r"^Next ==\n(.*?)\n\n", self.spec, re.MULTILINE | re.DOTALL).group(1))
        rows = self.rows("Actions")
        self.assertEqual([row[0].strip("`") for row in rows], actions)
        library = pathlib.Path(PROJECT.parents[1] / "lib" / "log")
        for _, functions, files in rows:
            code = "".join((library / name).read_text(encoding="utf-8") for name in re.findall(r"`([\w.]+)`", files))
            for function in re.findall(r"`([\w:]+)`", functions):
                self.assertIn(function.rsplit("::", 1)[-1] + "(", code, f"{function} in {files}")


class CheckerTest(unittest.TestCase):
    def test_a_machine_without_java_and_maven_is_told_what_to_install(self):
        with tempfile.TemporaryDirectory() as directory:
            resolved = subprocess.run([sys.executable, PROJECT / "model_checker.py"], capture_output=True, text=True,
                                      check=False, env={"PATH": directory, "VARVE_SPEC_BUILD": directory,
                                                        "PYTHONPATH": str(PROJECT.parent / "kafka")})
        self.assertEqual(resolved.returncode, 1)
        self.assertIn("need mvn, java: apt-get install --no-install-recommends default-jdk-headless maven",
                      resolved.stderr)

    def test_a_checker_that_stops_half_way_is_an_error(self):
        for output in ("", "Progress(9): 12 distinct states found", "Error: TLC threw an unexpected exception.\n"
                       "12 distinct states found, 3 states left on queue."):
            with self.subTest(output), self.assertRaises(CheckerError):
                outcome_of(output)


if __name__ == "__main__":
    unittest.main()
