#!/usr/bin/env python3
"""Runs one check of the repository on itself: check.py NAME ROOT [--build DIRECTORY] [--clang-format PROGRAM].

Prints what is wrong, a line each, and exits with 1 if anything is.
"""

import argparse
import sys

import build_coverage
import documents
import house_rules
import layers
import standard_includes
from source_tree import SourceTree

CHECKS = {
    "layers": lambda tree, arguments: layers.check_layers(tree),
    "public_includes": lambda tree, arguments: layers.check_public_includes(tree),
    "standard_includes": lambda tree, arguments: standard_includes.check_standard_includes(tree),
    "system_calls": lambda tree, arguments: layers.check_system_calls(tree),
    "build": lambda tree, arguments: build_coverage.check_build(tree, arguments.build),
    "links": lambda tree, arguments: documents.check_links(tree),
    "readme_program": lambda tree, arguments: documents.check_readme_program(tree),
    "named_tests": lambda tree, arguments: documents.check_named_tests(tree),
    "options": lambda tree, arguments: documents.check_options(tree),
    "top_level": lambda tree, arguments: house_rules.check_top_level(tree),
    "file_lengths": lambda tree, arguments: house_rules.check_file_lengths(tree),
    "file_names": lambda tree, arguments: house_rules.check_file_names(tree),
    "include_guards": lambda tree, arguments: house_rules.check_include_guards(tree),
    "machine_paths": lambda tree, arguments: house_rules.check_machine_paths(tree),
    "nothing_unfinished": lambda tree, arguments: house_rules.check_nothing_unfinished(tree),
    "format": lambda tree, arguments: house_rules.check_format(tree, arguments.clang_format),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=sorted(CHECKS))
    parser.add_argument("root")
    parser.add_argument("--build", help="build directory with compile_commands.json")
    parser.add_argument("--clang-format", default="clang-format")
    arguments = parser.parse_args()
    tree = SourceTree(arguments.root)
    if not tree.code():
        sys.exit(f"{arguments.root}: no C++ file found; not a source tree of varve")
    problems = CHECKS[arguments.name](tree, arguments)
    for problem in problems:
        print(problem)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
