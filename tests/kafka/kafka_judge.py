"""The judge: a process of Java that looks at log directories with Apache Kafka's own classes, asked by lines of JSON.

As a program it builds the judge and resolves its class path, as the ctest fixture kafka.judge_builds does. Maven writes
below $VARVE_KAFKA_BUILD only. As a module it starts the built judge:

    with Judge() as judge:
        answer = judge.inspect(partition, clean=True, offsets=[0, 7])
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading

import maven
from kafka_report import begin, note

PROJECT = pathlib.Path(__file__).resolve().parent
# The version that the judge is compiled against; class_path() resolves others too.
KAFKA_VERSION = "4.1.1"
TIMEOUT_S = 300


class JudgeError(Exception):
    """The judge could not be built, ended, or did not answer in time."""


class KafkaRefused(Exception):
    """Kafka's classes could not open or read what they were asked to."""


def build_directory():
    directory = pathlib.Path(os.environ["VARVE_KAFKA_BUILD"])
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def missing_programs():
    """What to install, as a sentence, or None."""
    missing = maven.missing_programs("The tests against Apache Kafka")
    return missing and f"{missing} To build without these tests: cmake -DVARVE_KAFKA_TESTS=OFF"


def _maven(*arguments):
    missing = missing_programs()
    if missing:
        raise JudgeError(missing)
    try:
        maven.run(PROJECT / "pom.xml", f"-Djudge.build={build_directory()}", *arguments)
    except maven.MavenError as error:
        raise JudgeError(str(error)) from None


def _is_newer(path, sources):
    return path.exists() and all(path.stat().st_mtime >= source.stat().st_mtime for source in sources)


def build():
    """Compiles the judge and resolves its class path, if either is older than the sources."""
    with maven.alone():
        sources = [PROJECT / "pom.xml", *PROJECT.glob("src/main/java/varve/kafka/*.java")]
        path_file = build_directory() / f"classpath-{KAFKA_VERSION}.txt"
        if _is_newer(path_file, sources):
            return
        resolved = path_file.with_suffix(".new")
        _maven("compiler:compile", "dependency:build-classpath", f"-Dmdep.outputFile={resolved}")
        resolved.replace(path_file)


def class_path(version=KAFKA_VERSION):
    """The jars of one version of Kafka's server with all that they need, as java's option -cp takes them.

    That of KAFKA_VERSION has the judge's own classes too.
    """
    path_file = build_directory() / f"classpath-{version}.txt"
    if version == KAFKA_VERSION:
        build()
        return f"{build_directory() / 'classes'}:{path_file.read_text().strip()}"
    with maven.alone():
        if not _is_newer(path_file, [PROJECT / "pom.xml"]):
            resolved = path_file.with_suffix(".new")
            _maven("dependency:build-classpath", f"-Dkafka.version={version}", f"-Dmdep.outputFile={resolved}")
            resolved.replace(path_file)
    return path_file.read_text().strip()


def java_command(main_class, *arguments, version=KAFKA_VERSION, max_heap="256m", options=()):
    """A command that runs a class of Kafka or of the judge, with little memory and a quick start.

    What Kafka logs goes to standard error, from warnings up.
    """
    return ["java", f"-Xmx{max_heap}", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", *options, "-cp", class_path(version), main_class,
            *map(str, arguments)]


def ending_with_this(command):
    """A command that the system kills when this process has ended, however it did."""
    return ["setpriv", "--pdeathsig", "KILL", "--", *command]


def end_in_order_when_told_to():
    """SIGTERM does what an interrupt from the terminal does: what is to be done in any case is done, at once."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


class Judge:
    """A running judge; ends with the block of `with`, or with this process at the latest."""

    def __init__(self):
        end_in_order_when_told_to()
        self._log = tempfile.TemporaryFile(mode="w+", encoding="utf-8", errors="replace")
        self._process = subprocess.Popen(java_command("varve.kafka.Main"), stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, stderr=self._log)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._process.stdin.close()
        try:
            self._process.wait(timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._log.close()

    def ask(self, request):
        """The answer to a request, which has "ok", and "error" where that is false."""
        out_of_time = threading.Timer(TIMEOUT_S, self._process.kill)
        out_of_time.start()
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = b""
        except BaseException:
            # What it may still answer is no answer to another request, and what it still writes is in nobody's way.
            self._process.kill()
            self._process.wait()
            raise
        finally:
            out_of_time.cancel()
        if not line.endswith(b"\n"):
            raise JudgeError(f"no answer to {json.dumps(request)[:1000]}\n{self.log_tail()}")
        return json.loads(line)

    def inspect(self, partition, *, clean=True, recovery_point=None, log_start_offset=None, config=None, clock_ms=None,
                offsets=(), times=(), epochs=(), entries_of_many_batches=False):
        """All that Kafka finds in a partition directory, which it opens and closes: hand in a copy.

        Raises KafkaRefused if Kafka could not open or read it.
        """
        answer = self.ask({
            "do": "inspect", "dir": str(pathlib.Path(partition).resolve()), "clean": clean,
            "recovery_point": recovery_point, "log_start_offset": log_start_offset, "config": config or {},
            "clock_ms": clock_ms, "entries_of_many_batches": entries_of_many_batches, "offsets": list(offsets),
            "times": list(times), "epochs": list(epochs)})
        if not answer["ok"]:
            raise KafkaRefused(f"{partition}: {answer['error']}\n{self.log_tail()}")
        return answer

    def log_tail(self):
        """The last of what Kafka logged."""
        self._log.flush()
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), 4000, max(0, size - 4000)).decode("utf-8", "replace")


def main():
    begin()  # what is built first is the first of a run
    try:
        build()
    except JudgeError as error:
        sys.exit(str(error))
    note("the judge's build")


if __name__ == "__main__":
    main()
