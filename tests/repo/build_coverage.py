"""Nothing in the tree lies outside the build."""

import json
import os

# What only other builds compile: the consumers' own, varve's peers, and those with the thread sanitizer or for libFuzzer.
OTHER_BUILDS = ("bench/compare/", "tests/consumers/", "tests/support/thread_sanitizer_mutex.cc",
                "tests/fuzz/libfuzzer_entry.cc", "tests/fuzz/write_seeds.cc")


def check_build(tree, build_directory):
    """Every source is compiled, every header included, every script run by something."""
    commands = os.path.join(build_directory, "compile_commands.json")
    with open(commands, encoding="utf-8") as file:
        compiled = {os.path.realpath(os.path.join(entry["directory"], entry["file"])) for entry in json.load(file)}
    problems = []
    for path in tree.code(suffixes=(".cc",)):
        if path.startswith(OTHER_BUILDS):
            problems += unnamed_in_cmake(tree, path)
        elif os.path.realpath(os.path.join(tree.root, path)) not in compiled:
            problems.append(f"{path}: compiled by nothing")

    included = {name for path in tree.code() for _, _, name in tree.includes(path)}
    beside = {os.path.normpath(os.path.join(os.path.dirname(path), name))
              for path in tree.code() for _, _, name in tree.includes(path)}
    for path in tree.code(suffixes=(".h",)):
        if path.split("/", 1)[1] not in included and path not in beside:
            problems.append(f"{path}: included by nothing")

    for path in tree.files:
        if path.startswith("tests/") and path.endswith("_test.py"):
            problems += unnamed_in_cmake(tree, path)
    return problems


def unnamed_in_cmake(tree, path):
    """A problem unless a CMakeLists.txt of the file's directory, above it or below it names the file."""
    directory, name = os.path.split(path)
    stem = os.path.splitext(name)[0]
    for lists in tree.files:
        if os.path.basename(lists) != "CMakeLists.txt":
            continue
        place = os.path.dirname(lists)
        related = (directory + "/").startswith(place + "/") or (place + "/").startswith(directory + "/")
        if place and related and (name in tree.read(lists) or stem in tree.read(lists)):
            return []
    return [f"{path}: named by no CMakeLists.txt"]
