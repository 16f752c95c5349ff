"""A canary is caught by failing tests only: never by a text that is gone, a crash, or tests that fail anyway."""

import os
import tempfile
import textwrap
import unittest

import catch
from canary import CanaryError, parse_canary

CANARY = """\
Durable is what was never synced.

caught by: flusher_test *.Syncs*:*.Waits
--- lib/flusher.cc
@@
   Lock();
-  return file->SyncData();
+  return absl::OkStatus();
"""
SOURCE = "void Sync() {\n  Lock();\n  return file->SyncData();\n}\n"

# In place of a test program: {tests} are (suite, name, failed); then it ends with {status}.
PROGRAM = """\
#!/usr/bin/env python3
import json, sys
report = next(word.split(":", 1)[1] for word in sys.argv if word.startswith("--gtest_output="))
suites = [{{"name": suite, "testsuite": [{{"name": name, "status": "RUN", "failures": [1] if failed else []}}]}}
          for suite, name, failed in {tests}]
if {writes_report}:
    with open(report, "w") as file:
        json.dump({{"testsuites": suites}}, file)
sys.exit({status})
"""


class FitTest(unittest.TestCase):
    def changed(self, canary, source):
        return parse_canary(canary).changed_files(lambda path: source)

    def test_the_change_is_made(self):
        self.assertEqual(self.changed(CANARY, SOURCE),
                         {"lib/flusher.cc": "void Sync() {\n  Lock();\n  return absl::OkStatus();\n}\n"})

    def test_several_changes_of_a_file_are_made_one_after_another(self):
        canary = CANARY + "@@\n-void Sync() {\n+void Sync() {\n+\n"
        self.assertEqual(self.changed(canary, SOURCE)["lib/flusher.cc"],
                         "void Sync() {\n\n  Lock();\n  return absl::OkStatus();\n}\n")

    def test_a_text_that_is_gone_is_an_error_that_names_file_and_text(self):
        with self.assertRaisesRegex(CanaryError, r"lib/flusher.cc: this text .* found 0 times(.|\n)*SyncData"):
            self.changed(CANARY, SOURCE.replace("SyncData", "Sync"))

    def test_a_text_that_is_there_twice_is_an_error(self):
        with self.assertRaisesRegex(CanaryError, "found 2 times"):
            self.changed(CANARY, SOURCE + SOURCE)

    def test_what_is_no_canary_is_an_error(self):
        for canary, problem in ((CANARY.replace("---", "+++"), "names the file"),
                                (CANARY.replace("caught by", "noticed by"), "caught by"),
                                (CANARY.replace(" *.Syncs*:*.Waits", ""), "a program and a filter"),
                                ("\n" + CANARY.split("\n", 1)[1], "a sentence"),
                                (CANARY.split("@@")[0], "a change"),
                                (CANARY.replace("+  return absl::OkStatus", "+  return file->SyncData"), "alters it"),
                                (CANARY + "diff\n", "a line that begins with")):
            with self.subTest(problem), self.assertRaisesRegex(CanaryError, problem):
                parse_canary(canary)


class StandInBuild:
    """Programs that end as they are told to: sound ones, and those with the change."""

    def __init__(self, directory, sound, broken):
        self._directory = directory
        self._broken = broken
        self._write("sound", sound)

    def compile(self, root, path, changed, output):
        with open(changed, encoding="utf-8") as file:
            assert "OkStatus" in file.read()
        with open(output, "w", encoding="utf-8"):
            pass

    def link(self, program, objects, output):
        assert all(os.path.exists(name) for name in objects)
        self._write(output, self._broken)

    def path_of(self, program):
        return os.path.join(self._directory, "sound")

    def _write(self, path, text):
        path = os.path.join(self._directory, path)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, 0o755)


def program(syncs=False, waits=False, status=None, writes_report=True):
    tests = [("Mapped/FlusherTest", "Syncs/1", syncs), ("FlusherTest", "Waits", waits)]
    return PROGRAM.format(tests=tests, writes_report=writes_report,
                          status=int(syncs or waits) if status is None else status)


class CatchTest(unittest.TestCase):
    def catch(self, sound, broken, canary=CANARY):
        with tempfile.TemporaryDirectory() as directory:
            for path, text in (("lib/flusher.cc", SOURCE), ("a.diff", canary)):
                os.makedirs(os.path.dirname(os.path.join(directory, path)), exist_ok=True)
                with open(os.path.join(directory, path), "w", encoding="utf-8") as file:
                    file.write(text)
            build = StandInBuild(directory, sound, broken)
            return catch.catch(os.path.join(directory, "a.diff"), directory, build)

    def test_caught_where_a_test_of_each_pattern_fails(self):
        self.assertEqual(self.catch(program(), program(syncs=True, waits=True)), [])

    def test_not_caught_where_a_pattern_has_none(self):
        self.assertEqual(self.catch(program(), program(syncs=True)),
                         ["flusher_test: *.Waits: succeeds though the library is broken"])

    def test_a_test_that_fails_anyway_shows_nothing(self):
        self.assertEqual(self.catch(program(waits=True), program(syncs=True, waits=True)),
                         ["flusher_test: FlusherTest.Waits: fails though the library is not broken"])

    def test_a_test_that_is_not_there_catches_nothing(self):
        problems = self.catch(program(), program(syncs=True), CANARY.replace("*.Waits", "*.Sleeps"))
        self.assertEqual(problems, ["flusher_test: *.Sleeps: no such test"])

    def test_a_crash_is_not_a_catch(self):
        for broken in (program(syncs=True, waits=True, status=139), program(writes_report=False, status=1)):
            with self.assertRaisesRegex(CanaryError, "tests that run to their end expected"):
                self.catch(program(), broken)


class BuildTest(unittest.TestCase):
    def test_a_program_is_linked_with_the_objects_before_the_library(self):
        with tempfile.TemporaryDirectory() as directory:
            ninja = os.path.join(directory, "ninja")
            with open(ninja, "w", encoding="utf-8") as file:
                file.write(textwrap.dedent("""\
                    #!/bin/sh
                    echo "g++ -c a.cc -o a.o"
                    echo ": && ./linker a.o -o tests/a_test libvarve.a && cmake -D x=y -P tests.cmake || (rm x)"
                    """))
            linker = os.path.join(directory, "linker")
            with open(linker, "w", encoding="utf-8") as file:
                file.write('#!/bin/sh\necho "$@" > linked\n')
            for path in (ninja, linker):
                os.chmod(path, 0o755)
            with open(os.path.join(directory, "compile_commands.json"), "w", encoding="utf-8") as file:
                file.write("[]")
            build = catch.Build(directory, ninja)
            build.link("a_test", ["changed.o"], "elsewhere/a_test")
            with open(os.path.join(directory, "linked"), encoding="utf-8") as file:
                self.assertEqual(file.read(), "a.o changed.o -o elsewhere/a_test libvarve.a\n")
            self.assertEqual(build.path_of("a_test"), os.path.join(directory, "tests/a_test"))
            with self.assertRaisesRegex(CanaryError, "a command that links it expected"):
                build.path_of("b_test")
            with self.assertRaisesRegex(CanaryError, "a source that the build compiles expected"):
                build.compile(directory, "lib/a.cc", "changed.cc", "changed.o")


if __name__ == "__main__":
    unittest.main()
