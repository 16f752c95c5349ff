"""What tests of results have in common: a directory in the place of tests/results."""

import json
import os
import pathlib
import tempfile
import unittest
from unittest import mock


class ResultsCase(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="varve-results-")
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)
        self.results = self.directory / "results"
        self.results.mkdir()
        changed = mock.patch.dict(os.environ, VARVE_TEST_RESULTS=str(self.results))
        changed.start()
        self.addCleanup(changed.stop)

    def kept(self, name):
        return json.loads((self.results / f"{name}.json").read_text())
