"""Test programs of a build, linked again with some of the library's sources changed.

Nothing of the build itself is touched: a changed source is compiled as the build compiles it, and its object stands
before the library when the program is linked, so that the linker does not take the one that is in the library.
"""

import json
import os
import shlex
import subprocess

from canary import CanaryError


class Build:
    """A build directory that Ninja made, with compile_commands.json."""

    def __init__(self, directory, ninja="ninja"):
        self._directory = os.path.abspath(directory)
        self._ninja = ninja
        commands = os.path.join(self._directory, "compile_commands.json")
        with open(commands, encoding="utf-8") as file:
            self._compilations = json.load(file)

    def compile(self, root, path, changed, output, *options):
        """Compiles the file `changed` into `output` as the build compiles `path` below `root`, but for warnings."""
        source = os.path.realpath(os.path.join(root, path))
        for entry in self._compilations:
            if os.path.realpath(os.path.join(entry["directory"], entry["file"])) != source:
                continue
            command = shlex.split(entry["command"])
            command[command.index("-o") + 1] = output
            command[command.index("-c") + 1] = changed
            return self._run([*command, "-w", *options], f"{path} does not compile with the change")
        raise CanaryError(f"{path}: a source that the build compiles expected")

    def link(self, program, objects, output):
        """Links the program of that target anew, with `objects` before the library."""
        command = self._link_command(program)
        place = command.index("-o")
        command[place + 1] = output
        command[place:place] = objects
        self._run(command, f"{program} does not link with the change")

    def path_of(self, program):
        """The program as the build has it."""
        command = self._link_command(program)
        return os.path.join(self._directory, command[command.index("-o") + 1])

    def _link_command(self, program):
        listed = self._run([self._ninja, "-t", "commands", program], f"{program}: a target of the build expected")
        # The last command makes the program; what follows it in the same line finds out its tests.
        for part in listed.splitlines()[-1].split(" && "):
            command = shlex.split(part)
            if "-o" in command and os.path.basename(command[command.index("-o") + 1]) == program:
                return command
        raise CanaryError(f"{program}: a command that links it expected")

    def _run(self, command, problem):
        run = subprocess.run(command, cwd=self._directory, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             check=False)
        if run.returncode != 0:
            raise CanaryError(f"{problem}:\n{run.stdout}")
        return run.stdout
