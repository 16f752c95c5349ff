"""bench/compare/run: rounds of all that was found interleave, and the report tells their medians and ratios; by programs
that serve made-up rounds."""

import html.parser
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

BENCH = pathlib.Path(os.environ["BENCH"])
TIMEOUT_S = 120
sys.path[:0] = [str(BENCH / "compare"), str(BENCH / "support")]
import bar_plot
import curve_plot
import peer_targets
import peers

SERVER = """\
#!{python}
import json, sys
print(json.dumps({introduction}), flush=True)
rounds = {rounds}
for line in sys.stdin:
    work = line.strip()
    with open({turns!r}, "a") as file:
        file.write({name!r} + " " + work + chr(10))
    print(json.dumps({{"work": work, "round": [{{"subject": subject, "values": rounds[work][subject].pop(0)}}
                                             for subject in rounds[work]]}}), flush=True)
"""
FIGURES = [{"name": "time", "unit": "ns", "better": "less"}, {"name": "max", "unit": "ns", "better": "less"}]
WORK = {"work": "append.one_by_one", "figures": FIGURES, "subjects": [
    {"name": "the limit", "beside": []},
    {"name": "varve", "beside": [{"limit": "the limit", "figure": "time", "target": 1.5},
                                 {"limit": None, "figure": "max", "target": 100}]}]}


class PageOf(html.parser.HTMLParser):
    """What a page links to, and what it says."""

    def __init__(self, text):
        super().__init__()
        self.links, self.text, self.open_tags = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.links += [value for name, value in attrs if name in ("href", "src")]
        if tag != "meta":
            self.open_tags.append(tag)

    def handle_startendtag(self, tag, attrs):
        """A tag that ends itself holds nothing."""

    def handle_endtag(self, tag):
        assert self.open_tags.pop() == tag, f"{tag} ends where another one is open"

    def handle_data(self, data):
        self.text.append(data)


class BenchCompareTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="varve-compare-test-")
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)
        self.turns = self.directory / "turns"

    def server(self, name, introduction, rounds):
        program = self.directory / name
        program.write_text(SERVER.format(python=sys.executable, introduction=introduction, rounds=rounds, name=name,
                                         turns=str(self.turns)))
        program.chmod(0o755)
        return program

    def driver(self, varve):
        introduction = {"subject": "varve", "works": [WORK], "sizes": {"append_records": 7}}
        rounds = {"append.one_by_one": {"the limit": [[99, None], [10, None], [30, None], [20, None]], "varve": varve}}
        return self.server("driver", introduction, rounds)

    def peer(self, name, rounds, works=("append.one_by_one",)):
        return self.server(name, {"subject": name, "version": "<1>", "works": list(works), "process_durability": "write",
                                  "power_durability": "sync"}, {"append.one_by_one": {name: rounds}})

    def compare(self, *options, status=0):
        done = subprocess.run([BENCH / "compare" / "run", "--no-peers", f"--output={self.directory / 'out'}",
                               f"--directory={self.directory}", *options], capture_output=True, text=True,
                              timeout=TIMEOUT_S, check=False)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done

    def results(self):
        return json.loads((self.directory / "out" / "results.json").read_text())

    def test_all_take_turns_and_the_first_one_does_not_count(self):
        driver = self.driver([[1000, 5], [25, 90], [27, 110], [26, 80]])
        other = self.peer("Chronicle Queue", [[1, 1], [80, 1], [60, 3], [70, 2]])
        idle = self.peer("idle", [], works=("another.work",))
        self.compare(f"--driver={driver}", f"--served={other}", f"--served={idle}")
        self.assertEqual(self.turns.read_text().splitlines(),
                         ["driver append.one_by_one", "Chronicle Queue append.one_by_one"] * 4)
        results = self.results()
        medians = {(one["subject"], one["figure"]): (one["median"], one["least"], one["most"])
                   for one in results["measurements"]}
        self.assertEqual(medians, {("the limit", "time"): (20, 10, 30), ("varve", "time"): (26, 25, 27),
                                   ("varve", "max"): (90, 80, 110), ("Chronicle Queue", "time"): (70, 60, 80),
                                   ("Chronicle Queue", "max"): (2, 1, 3)})
        ratios = {(one["subject"], one["figure"]): one["ratios"] for one in results["measurements"]}
        self.assertEqual(ratios["varve", "time"], [{"limit": "the limit", "ratio": 1.3, "target": 1.5, "met": True}])
        self.assertEqual(ratios["varve", "max"], [{"limit": None, "ratio": 90, "target": 100, "met": True}])
        self.assertEqual(ratios["Chronicle Queue", "time"],
                         [{"limit": "the limit", "ratio": 3.5, "target": None, "met": None}])
        self.assertEqual(results["versions"]["Chronicle Queue"]["version"], "<1>")

    def test_the_report_is_one_page_that_needs_no_other(self):
        driver = self.driver([[1, 5], [40, 90], [40, 110], [40, 80]])
        self.compare(f"--driver={driver}", f"--served={self.peer('Chronicle Queue', [[1, 1]] + [[20, 2]] * 3)}")
        page = PageOf((self.directory / "out" / "report.html").read_text())
        self.assertEqual((page.links, page.open_tags), ([], []))
        self.assertGreaterEqual(page.text.count("missed"), 2)  # beside the limit, and beside the peer
        self.assertIn("0.50 x better", page.text)
        self.assertIn("<1>", page.text)
        self.assertIn("time, ns, less is better; linear", page.text)
        self.assertEqual(len(list(self.directory.glob("varve-compare-*"))), 0)

    def test_a_peer_that_fails_is_told_and_the_others_go_on(self):
        driver = self.driver([[1, 5], [40, 90], [40, 110], [40, 80]])
        failing = self.peer("failing", [[1, 1], [1, 1]])
        broken = self.server("broken", {"no": "subject"}, {})
        broken.write_text("#!/bin/sh\nexit 5\n")
        self.compare(f"--driver={driver}", f"--served={failing}", f"--served={broken}")
        results = self.results()
        self.assertEqual(len(results["failures"]), 2)
        self.assertIn("broken: ", results["failures"][0])
        self.assertIn("failing: append.one_by_one: ", results["failures"][1])
        self.assertEqual(next(one["median"] for one in results["measurements"] if one["subject"] == "varve"), 40)

    def test_a_driver_that_fails_ends_it(self):
        self.assertIn("a round of append.one_by_one expected",
                      self.compare(f"--driver={self.driver([[1, 5]])}", status=1).stderr)


class PeersTest(unittest.TestCase):
    def test_what_a_machine_cannot_build_is_skipped_with_the_reason(self):
        with tempfile.TemporaryDirectory() as directory:
            path, os.environ["PATH"] = os.environ["PATH"], directory
            try:
                built, skipped = peers.build(peers.NAMES, pathlib.Path(directory) / "peers")
            finally:
                os.environ["PATH"] = path
        self.assertEqual(built, [])
        self.assertEqual(set(skipped), set(peers.NAMES))
        self.assertEqual((skipped["kafka"], skipped["etcd"], skipped["okaywal"], skipped["lmdb"]),
                         ("mvn, javac not found", "go not found", "cargo not found", "cmake, c++ not found"))

    def test_every_target_is_of_a_peer_and_more_is_better_the_other_way_round(self):
        less = {"better": "less", "median": 10}
        more = {"better": "more", "median": 10}
        self.assertEqual(peer_targets.times_better(less, {"median": 40}), 4)
        self.assertEqual(peer_targets.times_better(more, {"median": 40}), 0.25)


class BarPlotTest(unittest.TestCase):
    def draw(self, *medians):
        return bar_plot.draw([{"subject": f"s{number}", "of": "peer", "figure": "time", "unit": "ns", "better": "less",
                               "least": median, "median": median, "most": median}
                              for number, median in enumerate(medians)])

    def test_the_best_is_on_top_and_far_ones_are_seen(self):
        plot = self.draw(30, 10, 20)
        self.assertLess(plot.index("s1"), plot.index("s2"))
        self.assertLess(plot.index("s2"), plot.index("s0"))
        self.assertIn("linear", plot)
        self.assertIn("logarithmic", self.draw(10, 1000))
        self.assertIn("linear", self.draw(0, 0))


class CurvePlotTest(unittest.TestCase):
    def draw(self, *points):
        return curve_plot.draw([{"subject": subject, "figure": "open", "unit": "ms", "median": median}
                                for subject, median in points])

    def test_points_of_a_series_are_in_the_order_of_their_numbers(self):
        plot = self.draw(("varve, 100 MiB", 1000), ("varve, 1 MiB", 10), ("varve, 10 MiB", 100), ("touch, 1 MiB", 10))
        left, right = curve_plot.LEFT, curve_plot.WIDTH - curve_plot.RIGHT
        low, high = curve_plot.HEIGHT - curve_plot.BOTTOM, curve_plot.TOP
        middle = f"{(left + right) / 2:.1f},{(low + high) / 2:.1f}"
        self.assertIn(f'points="{left:.1f},{low:.1f} {middle} {right:.1f},{high:.1f}"', plot)
        self.assertIn("open, ms, over MiB", plot)
        self.assertEqual(plot.count("<polyline"), 2)

    def test_what_is_no_point_is_left_out(self):
        self.assertEqual(self.draw(("varve", 3), ("varve, 1 MiB", 0)), "")
        self.assertEqual(self.draw(("varve, 1 MiB", 3)).count("<circle"), 1)


if __name__ == "__main__":
    unittest.main()
