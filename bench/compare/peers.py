"""The programs that bench/compare measures, and how each is built; what cannot be built here is skipped, with the reason.

Sources and manifests are copied to the build first: lock files, which name the registries of a machine, stay out of the
sources.
"""

import dataclasses
import os
import pathlib
import shutil
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
NAMES = ("rocksdb", "leveldb", "lmdb", "sqlite", "kafka", "chronicle", "etcd", "raft-wal", "tidwall", "commitlog",
         "raft-engine", "okaywal")
CPP = ("rocksdb", "leveldb", "lmdb", "sqlite")
JAVA = ("kafka", "chronicle")
GO = ("etcd", "raft-wal", "tidwall")
RUST = ("commitlog", "raft-engine", "okaywal")
# What Chronicle Queue asks of Java 17; neither of the two tells anybody that it runs.
JAVA_OPTIONS = [
    "-Xmx2g", "-Dchronicle.analytics.disable=true", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
    *(f"--add-exports=java.base/{package}=ALL-UNNAMED" for package in ("jdk.internal.ref", "sun.nio.ch")),
    "--add-exports=jdk.unsupported/sun.misc=ALL-UNNAMED",
    *(f"--add-opens=java.base/{package}=ALL-UNNAMED"
      for package in ("java.io", "java.lang", "java.lang.reflect", "java.nio", "java.util", "sun.nio.ch",
                      "jdk.internal.misc")),
    "--add-opens=jdk.compiler/com.sun.tools.javac=ALL-UNNAMED"]


class BuildError(Exception):
    """varve itself could not be built."""


@dataclasses.dataclass(frozen=True)
class Built:
    """A peer that can be run: COMMAND DIRECTORY SIZE=NUMBER…"""
    name: str
    command: list


class Skipped(Exception):
    """Why a peer cannot be built here."""


def run(command, directory, log):
    """Runs a command of a build; what it says goes to `log`."""
    with open(log, "a", encoding="utf-8") as out:
        done = subprocess.run([str(part) for part in command], cwd=directory, stdin=subprocess.DEVNULL, stdout=out,
                              stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
        raise Skipped(f"{command[0]} failed ({log}): {' '.join(last)}")


def need(*programs):
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        raise Skipped(f"{', '.join(missing)} not found")


def build_varve(directory):
    """A Release build of the driver; answers the program."""
    directory.mkdir(parents=True, exist_ok=True)
    print("building varve", flush=True)
    try:
        need("cmake")
        run(["cmake", "-S", ROOT, "-B", directory, "-DCMAKE_BUILD_TYPE=Release", "-DVARVE_BUILD_TESTS=OFF",
             "-DVARVE_BUILD_CLI=OFF", "-DVARVE_BUILD_EXAMPLES=OFF"], directory, directory / "build.log")
        run(["cmake", "--build", directory, "--parallel", os.cpu_count(), "--target", "varve_bench"], directory,
            directory / "build.log")
    except Skipped as why:
        raise BuildError(f"varve could not be built: {why}") from why
    return directory / "bench" / "varve_bench"


def copied(language, directory):
    """The sources of a language's peers, in a directory of the build."""
    target = directory / language
    shutil.copytree(HERE / language, target, dirs_exist_ok=True)
    return target


def build_cpp(directory):
    need("cmake", "c++")
    target = directory / "cpp-build"
    target.mkdir(parents=True, exist_ok=True)
    run(["cmake", "-S", HERE / "cpp", "-B", target], target, target / "build.log")
    run(["cmake", "--build", target, "--parallel", os.cpu_count()], target, target / "build.log")
    programs = {name: target / f"{name}_peer" for name in CPP}
    return {name: [program] if program.exists() else f"its library is not there ({target / 'build.log'})"
            for name, program in programs.items()}


def build_go(directory):
    need("go")
    target = copied("go", directory)
    run(["go", "build", "-mod=mod", "-o", target / "peers", "."], target, target / "build.log")
    return {name: [target / "peers", name] for name in GO}


def build_rust(directory):
    need("cargo")
    target = copied("rust", directory)
    run(["cargo", "build", "--release"], target, target / "build.log")
    return {name: [target / "target/release/peers", name] for name in RUST}


def build_java(directory):
    need("mvn", "javac")
    target = copied("java", directory)
    run(["mvn", "--batch-mode", "-Dstyle.color=never", "compile", "dependency:build-classpath",
         "-Dmdep.outputFile=class.path"], target, target / "build.log")
    class_path = f"{target / 'target/classes'}:{(target / 'class.path').read_text().strip()}"
    return {name: ["java", *JAVA_OPTIONS, "-cp", class_path, "varve.peers.Main", name] for name in JAVA}


def build(names, directory):
    """The peers of these names that can be built, and why the others cannot, by name."""
    built, skipped = [], {}
    for group, build_group in ((CPP, build_cpp), (JAVA, build_java), (GO, build_go), (RUST, build_rust)):
        wanted = [name for name in group if name in names]
        if not wanted:
            continue
        print(f"building {', '.join(wanted)}", flush=True)
        directory.mkdir(parents=True, exist_ok=True)
        try:
            commands = build_group(directory)
        except Skipped as why:
            commands = dict.fromkeys(group, str(why))
        for name in wanted:
            if isinstance(commands[name], str):
                skipped[name] = commands[name]
            else:
                built.append(Built(name, commands[name]))
    return built, skipped
