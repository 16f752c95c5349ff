"""A program that measures a round of a work for each line it reads: bench/driver, and each peer.

It begins with a line of JSON that introduces it: "subject", its name; "works" that it can do. Then it reads the name of a
work, and answers {"work": …, "round": [{"subject": …, "values": […]}]}, a value for each figure of the work. What a work
prepared it keeps until another one is asked for. It ends when its input does.
"""

import json
import subprocess


class ServedProgramError(Exception):
    """The program ended, or answered something else; says which and what."""


class ServedProgram:
    """One such program, running. Its standard error is ours."""

    def __init__(self, command):
        self._command = [str(part) for part in command]
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.introduction = self._answer("an introduction")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def round(self, work):
        """{subject: values} of one more round of the work."""
        try:
            self._process.stdin.write(f"{work}\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # what it answers tells why
        answer = self._answer(f"a round of {work}")
        if answer.get("work") != work:
            raise ServedProgramError(f"{self._command[0]}: a round of {work} expected, found {answer}")
        return {one["subject"]: one["values"] for one in answer["round"]}

    def end(self):
        """Lets it end by itself, and kills it where it does not."""
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            pass
        try:
            self._process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def _answer(self, expected):
        line = self._process.stdout.readline()
        try:
            answer = json.loads(line)
            if isinstance(answer, dict):
                return answer
        except ValueError:
            pass
        self.end()
        raise ServedProgramError(f"{' '.join(self._command)}: {expected} expected, found {line!r};"
                                 f" it ended with status {self._process.returncode}")
