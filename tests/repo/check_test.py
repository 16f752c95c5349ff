"""Every check finds what it is there to find, and nothing in a good tree."""

import json
import os
import subprocess
import tempfile
import unittest

import build_coverage
import documents
import house_rules
import layers
import standard_includes
from source_tree import SourceTree


class MiniatureTreeTest(unittest.TestCase):
    """Writes small trees into a temporary directory."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.root = os.path.join(directory.name, "miniature", "tree")

    def tree(self, files):
        for path, text in files.items():
            full = os.path.join(self.root, path)
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, "w", encoding="utf-8") as file:
                file.write(text)
        return SourceTree(self.root)

    def assert_problems(self, problems, *expected):
        """As many problems as expected, and each contains its text."""
        self.assertEqual(len(problems), len(expected), problems)
        for problem, text in zip(problems, expected):
            self.assertIn(text, problem)


class SourceTreeTest(MiniatureTreeTest):
    def test_without_git_every_file_counts(self):
        self.assertEqual(self.tree({"lib/log/log.cc": "", "README.md": ""}).files, ["README.md", "lib/log/log.cc"])

    def test_without_git_what_builds_make_does_not_count(self):
        tree = self.tree({"lib/log/build.cc": "", "build/gcc/a.cc": "", "build-x/b.cc": "", "tests/repo/__pycache__/c": ""})
        self.assertEqual(tree.files, ["lib/log/build.cc"])

    def test_a_broken_git_directory_counts_as_none(self):
        self.assertIn("lib/log/log.cc", self.tree({".git": "gitdir: nowhere\n", "lib/log/log.cc": ""}).files)

    def test_with_git_ignored_files_do_not_count(self):
        self.tree({".gitignore": "/build*/\n", "build-x/made.cc": "", "lib/log/log.cc": ""})
        subprocess.run(["git", "init", "--quiet", self.root], check=True)
        self.assertEqual(SourceTree(self.root).files, [".gitignore", "lib/log/log.cc"])

    def test_includes_of_both_kinds_are_found_with_their_lines(self):
        tree = self.tree({"lib/log/log.cc": '// a\n#include "varve/log.h"\n  #  include <span>\n// #include <no>\n'})
        self.assertEqual(tree.includes("lib/log/log.cc"), [(2, '"', "varve/log.h"), (3, "<", "span")])


class LayersTest(MiniatureTreeTest):
    def test_a_tree_that_keeps_to_the_table_passes(self):
        self.assert_problems(layers.check_layers(self.tree({
            "include/varve/log.h": '#include "varve/errors.h"\n#include "varve/record.h"\n',
            "include/varve/testing/manual_clock.h": '#include "varve/clock.h"\n',
            "lib/log/log.cc": '#include "varve/log.h"\n#include "segment/segment_files.h"\n#include "base/status.h"\n',
            "lib/state/checkpoint_file.cc": '#include "io/whole_file.h"\n',
            "lib/cli/main.cc": '#include "varve/log.h"\n#include "cli/append.h"\n',
            "examples/quickstart.cc": '#include "varve/log.h"\n#include <cstdio>\n',
        })))

    def test_a_lower_layer_may_not_include_an_upper_one(self):
        self.assert_problems(
            layers.check_layers(self.tree({"lib/record/codec.cc": '#include "log/appender.h"\n'})),
            "lib/record/codec.cc:1: log/appender.h: layer record may not include layer log")

    def test_nor_its_public_header(self):
        self.assert_problems(layers.check_layers(self.tree({"lib/index/x.cc": '#include "varve/record.h"\n'})),
                             "layer index may not include layer record")

    def test_angle_brackets_do_not_hide_an_include(self):
        self.assert_problems(layers.check_layers(self.tree({"lib/index/x.cc": "#include <record/codec.h>\n"})),
                             "layer index may not include layer record")

    def test_one_allowed_header_does_not_open_its_layer(self):
        self.assert_problems(layers.check_layers(self.tree({"lib/state/x.cc": '#include "io/posix_file.h"\n'})),
                             "layer state may not include layer io")

    def test_public_headers_follow_the_table_too(self):
        self.assert_problems(
            layers.check_layers(self.tree({"include/varve/record.h": '#include "varve/log.h"\n'})),
            "include/varve/record.h:1: varve/log.h: layer record may not include layer log")

    def test_a_public_header_may_not_include_a_private_one(self):
        self.assert_problems(layers.check_layers(self.tree({"include/varve/log.h": '#include "log/appender.h"\n'})),
                             "a public header may not include a private one")

    def test_programs_may_include_public_headers_only(self):
        self.assert_problems(
            layers.check_layers(self.tree({"bench/a.cc": '#include "base/bytes.h"\n',
                                           "examples/b.cc": '#include "log/appender.h"\n',
                                           "lib/cli/c.cc": '#include "io/posix_file.h"\n'})),
            "bench may include public headers only", "examples may include public headers only",
            "cli may include public headers only")

    def test_an_unknown_layer_is_refused(self):
        self.assert_problems(layers.check_layers(self.tree({"lib/attic/x.cc": ""})), "belongs to no layer")

    def test_a_public_header_without_a_layer_is_refused(self):
        self.assert_problems(
            layers.check_layers(self.tree({"include/varve/odd.h": "", "lib/log/x.cc": '#include "varve/odd.h"\n'})),
            "include/varve/odd.h: belongs to no layer", "lib/log/x.cc:1: varve/odd.h belongs to no layer")


class PublicIncludesTest(MiniatureTreeTest):
    def test_the_standard_library_and_status_pass(self):
        self.assert_problems(layers.check_public_includes(self.tree({
            "include/varve/log.h": '#include <span>\n#include "absl/status/statusor.h"\n#include "varve/record.h"\n',
            "lib/log/log.cc": '#include "absl/strings/cord.h"\n'})))

    def test_everything_else_is_refused(self):
        self.assert_problems(
            layers.check_public_includes(self.tree({
                "include/varve/log.h": '#include "absl/strings/string_view.h"\n#include "fmt/format.h"\n'
                                       "#include <fmt/core.h>\n#include <unistd.h>\n#include <sys/uio.h>\n"})),
            "absl/strings/string_view.h", "fmt/format.h", "fmt/core.h", "unistd.h", "sys/uio.h")


class StandardIncludesTest(MiniatureTreeTest):
    def check(self, files):
        return standard_includes.check_standard_includes(self.tree(files))

    def test_what_is_included_or_reached_passes(self):
        self.assert_problems(self.check({
            "include/varve/a.h": "#include <string>\nstd::string a;\n", "lib/log/b.h": '#include "varve/a.h"\n',
            "lib/log/b.cc": '#include "log/b.h"\nstd::string b;  // not a std::map\nstd::string_view c;\n'}))

    def test_what_nothing_brings_fails(self):
        self.assert_problems(
            self.check({"lib/log/a.cc": "#include <string>\nstd::vector<absl::StatusOr<std::string>> a;\n",
                        "include/varve/b.h": "int64_t b = std::max(1, 2);\n"}),
            "b.h: names std::max and includes nothing that brings <algorithm>", "brings <cstdint>",
            "a.cc: names absl::StatusOr", "brings <vector>")


class SystemCallsTest(MiniatureTreeTest):
    def test_io_testing_and_programs_may_reach_the_system(self):
        self.assert_problems(layers.check_system_calls(self.tree({
            "lib/io/posix_file.cc": "#include <unistd.h>\n", "lib/testing/memory.cc": "#include <sys/mman.h>\n",
            "lib/cli/main.cc": "#include <unistd.h>\n", "lib/log/log.cc": "#include <span>\n"})))

    def test_nobody_else_may(self):
        self.assert_problems(
            layers.check_system_calls(self.tree({
                "include/varve/log.h": "#include <fcntl.h>\n",
                "lib/log/log.cc": "#include <sys/mman.h>\n#include <iostream>\n#include <thread>\n"})),
            "include/varve/log.h:1: <fcntl.h>", "<sys/mman.h>", "<iostream>", "<thread>")


class BuildTest(MiniatureTreeTest):
    def check(self, files, compiled):
        tree = self.tree(files)
        with tempfile.TemporaryDirectory() as build:
            with open(os.path.join(build, "compile_commands.json"), "w", encoding="utf-8") as file:
                json.dump([{"directory": self.root, "file": path, "command": ""} for path in compiled], file)
            return build_coverage.check_build(tree, build)

    def test_a_tree_that_is_built_passes(self):
        self.assert_problems(self.check({
            "include/varve/log.h": "", "lib/log/log.cc": '#include "varve/log.h"\n#include "log/reader.h"\n',
            "lib/log/reader.h": "", "examples/beside.h": "", "examples/a.cc": '#include "beside.h"\n',
            "tests/consumers/CMakeLists.txt": "add_executable(c consumer.cc)\n", "tests/consumers/consumer.cc": "",
            "tests/repo/CMakeLists.txt": "python -m check_test\n", "tests/repo/check_test.py": "",
        }, ["lib/log/log.cc", "examples/a.cc"]))

    def test_a_source_outside_the_build_is_found(self):
        self.assert_problems(self.check({"lib/log/log.cc": "", "tests/log/log_test.cc": ""}, ["lib/log/log.cc"]),
                             "tests/log/log_test.cc: compiled by nothing")

    def test_a_header_that_nobody_includes_is_found(self):
        self.assert_problems(self.check({"lib/log/old.h": ""}, []), "lib/log/old.h: included by nothing")

    def test_a_consumer_and_a_script_that_nobody_runs_are_found(self):
        self.assert_problems(
            self.check({"tests/consumers/consumer.cc": "", "tests/CMakeLists.txt": "", "tests/cli/cli_test.py": ""}, []),
            "tests/consumers/consumer.cc: named by no", "tests/cli/cli_test.py: named by no")


class LinksTest(MiniatureTreeTest):
    def test_links_that_lead_somewhere_pass(self):
        self.assert_problems(documents.check_links(self.tree({
            "README.md": "# Top\n## The `varve` command: how?\n## Same\n## Same\n[a](lib/README.md) [b](#the-varve-command-how) "
                         "[c](#same-1) [d](lib/README.md#walks) [e](https://example.org/x) `lib/README.md` `lib/{a,b}.h`\n"
                         "```\n[not a link](nowhere)\n# Not a heading\n```\n`[nor this](nowhere)`\n",
            "lib/README.md": "# Walks\n[up](../README.md#top)\n"})))

    def test_dead_links_are_found(self):
        self.assert_problems(
            documents.check_links(self.tree({
                "README.md": "# Top\n[a](missing.md)\n[b](#bottom)\n[c](lib/README.md#gone)\n[d](../elsewhere.md)\n"
                             "[text [with] brackets](gone.png)\n```\n# Bottom\n```\n",
                "lib/README.md": "# Here\n"})),
            "README.md:2: missing.md does not exist", "has no heading #bottom", "has no heading #gone",
            "leads out of the tree", "gone.png does not exist")

    def test_names_of_files_that_are_gone_are_found(self):
        self.assert_problems(documents.check_links(self.tree({"lib/README.md": "in `lib/log/gone.cc`\n"})),
                             "lib/README.md:1: `lib/log/gone.cc` does not exist")


class ReadmeProgramTest(MiniatureTreeTest):
    PROGRAM = "int main() {}\n"

    def check(self, readme):
        return documents.check_readme_program(self.tree({"README.md": readme, "examples/quickstart.cc": self.PROGRAM}))

    def test_the_same_program_passes(self):
        self.assert_problems(self.check(f"# varve\n```cpp\nint x;\n```\n```cpp\n{self.PROGRAM}```\n"))

    def test_another_program_fails(self):
        self.assert_problems(self.check("```cpp\nint main() { return 0; }\n```\n"), "no ```cpp block equals")

    def test_no_program_fails(self):
        self.assert_problems(self.check("# varve\n"), "no ```cpp block equals")

    def test_a_missing_file_fails(self):
        self.assert_problems(documents.check_readme_program(self.tree({"README.md": ""})), "quickstart.cc does not exist")


class NamedTestsTest(MiniatureTreeTest):
    TABLE = "# varve\n\n## What survives what\n\n| what | promise | shown by |\n|---|---|---|\n"

    def check(self, rows):
        return documents.check_named_tests(self.tree({"README.md": f"{self.TABLE}{rows}\n## More\n| x | `A.B` |\n",
                                                      "tests/log/a_test.cc": "TEST_P(PowerTest, IsCut) {\n}\n"}))

    def test_names_of_tests_pass(self):
        self.assert_problems(self.check("| the power | kept | `PowerTest.IsCut` |\n"))

    def test_a_test_that_is_not_there_is_found(self):
        self.assert_problems(self.check("| the power | kept | `PowerTest.IsCut`, `PowerTest.IsBack` |\n"),
                             "'the power': no test PowerTest.IsBack")

    def test_a_promise_without_a_test_is_found(self):
        self.assert_problems(self.check("| the power | kept | us |\n"), "'the power' names no test")

    def test_a_table_that_is_gone_is_found(self):
        self.assert_problems(self.check(""), "no table below 'What survives what'")


class OptionsTest(MiniatureTreeTest):
    HEADER = ("struct LogOptions {\n  // A door.\n  Clock* clock = Clock::Default();\n  bool create = true;  // a file\n"
              "  std::optional<Codec> codec;\n  int64_t a_ms = int64_t{7} * 24;\n};\n")

    def check(self, header, readme):
        return documents.check_options(self.tree({documents.OPTIONS_HEADER: header, "README.md": readme}))

    def test_explained_options_pass(self):
        self.assert_problems(self.check(self.HEADER, "`clock`, `create`, `codec`, `a_ms`\n"))

    def test_an_option_that_is_not_explained_fails(self):
        self.assert_problems(self.check(self.HEADER, "`clock` and create\n"), "LogOptions::create", "::codec", "::a_ms")

    def test_a_header_that_is_not_understood_fails(self):
        self.assert_problems(self.check("class LogOptions;\n", ""), "no struct of options found")
        self.assert_problems(self.check("struct LogOptions {\n};\n", ""), "no member of LogOptions found")


class TopLevelTest(MiniatureTreeTest):
    def test_known_entries_and_dot_files_pass(self):
        self.assert_problems(house_rules.check_top_level(self.tree({"LICENSE": "", ".ci/run": "", "lib/log/log.cc": ""})))

    def test_another_entry_fails(self):
        self.assert_problems(house_rules.check_top_level(self.tree({"docs/x.md": "", "NOTES": ""})), "NOTES", "docs")


class FileLengthsTest(MiniatureTreeTest):
    def test_the_limit_itself_passes(self):
        self.assert_problems(house_rules.check_file_lengths(
            self.tree({"lib/log/log.cc": "\n" * house_rules.LONGEST_FILE_LINES, "tests/log/t.cc": "\n" * 2000})))

    def test_a_line_more_fails(self):
        lines = "\n" * (house_rules.LONGEST_FILE_LINES + 1)
        self.assert_problems(house_rules.check_file_lengths(self.tree({"include/varve/log.h": lines})), "601 lines")


class FileNamesTest(MiniatureTreeTest):
    def test_names_of_things_pass(self):
        self.assert_problems(house_rules.check_file_names(self.tree({"lib/log/roll_policy.cc": ""})))

    def test_drawers_and_capitals_fail(self):
        self.assert_problems(
            house_rules.check_file_names(self.tree({"lib/base/string_util.h": "", "lib/log/Reader.cc": ""})),
            "string_util.h: a drawer", "Reader.cc: names are lower case")


class IncludeGuardsTest(MiniatureTreeTest):
    @staticmethod
    def header(guard, end=None):
        return f"// What it is.\n#ifndef {guard}\n#define {guard}\n#include <span>\n#endif  // {end or guard}\n"

    def test_guards_that_follow_from_paths_pass(self):
        self.assert_problems(house_rules.check_include_guards(self.tree({
            "include/varve/log.h": self.header("VARVE_LOG_H_"),
            "include/varve/testing/manual_clock.h": self.header("VARVE_TESTING_MANUAL_CLOCK_H_"),
            "lib/log/reader.h": self.header("VARVE_LIB_LOG_READER_H_"),
            "tests/support/tiny.h": self.header("VARVE_TESTS_SUPPORT_TINY_H_")})))

    def test_wrong_and_missing_guards_fail(self):
        self.assert_problems(
            house_rules.check_include_guards(self.tree({
                "include/varve/a.h": self.header("VARVE_B_H_"), "lib/log/b.h": "#pragma once\n",
                "lib/log/c.h": self.header("VARVE_LIB_LOG_C_H_", end="VARVE_LIB_LOG_D_H_")})),
            "VARVE_A_H_", "VARVE_LIB_LOG_B_H_", "VARVE_LIB_LOG_C_H_")

    def test_a_header_without_any_directive_fails(self):
        self.assert_problems(house_rules.check_include_guards(self.tree({"lib/log/a.h": "int x;\n"})), "LIB_LOG_A_H_")


class MachinePathsTest(MiniatureTreeTest):
    def test_paths_that_every_machine_has_pass(self):
        self.assert_problems(house_rules.check_machine_paths(self.tree({
            "README.md": " ".join(["/usr/lib", "/var/log/dpkg.log", "https://example.org" + "/home" + "/page",
                                   "$HOME" + "/work" + "/x", "build/out/y\n"])})))

    def test_homes_and_the_place_of_the_checkout_fail(self):
        self.tree({"a": "see /" + "home/ann/varve\n", "b": '"/' + 'root/x"\n'})
        self.assert_problems(house_rules.check_machine_paths(self.tree({"c": f"cd {self.root}/build\n"})),
                             "a:1:", "b:1:", "c:1:")

    def test_binary_files_are_left_alone(self):
        self.assert_problems(house_rules.check_machine_paths(self.tree({"a.log": "\0 /" + "home/ann\n"})))


class NothingUnfinishedTest(MiniatureTreeTest):
    def test_finished_text_passes(self):
        self.assert_problems(house_rules.check_nothing_unfinished(self.tree({"lib/log/log.cc": "// all done\n"})))

    def test_notes_to_oneself_fail(self):
        self.assert_problems(
            house_rules.check_nothing_unfinished(self.tree({"a.cc": "// TO" + "DO: x\n", "b.md": "FIX" + "ME\n"})),
            "a.cc:1:", "b.md:1:")


class FormatTest(MiniatureTreeTest):
    CLANG_FORMAT = os.environ.get("CLANG_FORMAT", "clang-format")
    STYLE = "BasedOnStyle: Google\n"

    def test_formatted_code_passes(self):
        self.assert_problems(house_rules.check_format(
            self.tree({".clang-format": self.STYLE, "lib/log/log.cc": "int x = 1;\n"}), self.CLANG_FORMAT))

    def test_unformatted_code_fails(self):
        self.assert_problems(house_rules.check_format(
            self.tree({".clang-format": self.STYLE, "lib/log/log.cc": "int  x=1;\n"}), self.CLANG_FORMAT), "lib/log/log.cc: ")


if __name__ == "__main__":
    unittest.main()
