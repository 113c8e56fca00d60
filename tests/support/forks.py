"""Run commands of rendered projects in forks of a process that has imported their libraries.

The imports take most of the time of a command. Of the project itself, nothing is imported before.
"""

import atexit
import json
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

# Scripts whose code is Python, and modules with the same code.
COMMANDS = {"my-service", "my_service", "alembic"}
# Variables that an interpreter reads when it starts, and PYTHON*.
AT_START = {"LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "TZ"}
# Processes that wait for commands, by their interpreters and variables; and how many there may be.
Key = tuple[str, tuple[tuple[str, str], ...]]
waiting: dict[Key, "Forks"] = {}
MOST = 4


class Forks:
    """A process that forks."""

    def __init__(self, python: str, environment: Mapping[str, str]) -> None:
        self.control, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [python, Path(__file__).with_name("forking.py"), str(theirs.fileno())],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )

    def close(self) -> None:
        self.control.close()
        self.process.wait()

    def run(self, request: object, descriptors: Sequence[int]) -> int:
        """Run a command with these standard streams to its end, and return its exit code."""
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                socket.send_fds(self.control, [b"1"], [theirs.fileno(), *descriptors])
            ours.sendall(json.dumps(request).encode() + b"\n")
            ours.settimeout(120)
            return int(ours.recv(100))


def run(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], stdin: str = ""
) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end as `subprocess.run` does, in a fork if it is one of `COMMANDS`."""
    with ExitStack() as stack:
        files = [stack.enter_context(tempfile.TemporaryFile("w+")) for _ in range(3)]
        files[0].write(stdin)
        files[0].seek(0)
        code = _run(command, folder, environment, [file.fileno() for file in files])
        for file in files:
            file.seek(0)
        return subprocess.CompletedProcess(command, code, files[1].read(), files[2].read())


def _run(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], streams: Sequence[int]
) -> int:
    python, *arguments = command
    if arguments[:1] != ["-m"]:
        python, arguments = str(Path(python).with_name("python")), [*command]
    name = Path(arguments[1] if arguments[0] == "-m" else arguments[0]).name
    if name not in COMMANDS or sys.platform != "linux":
        stdin, stdout, stderr = streams
        return subprocess.run(
            command, cwd=folder, env=environment, stdin=stdin, stdout=stdout, stderr=stderr
        ).returncode
    start = {
        name: value
        for name, value in environment.items()
        if name in AT_START or (name.startswith("PYTHON") and name != "PYTHONPATH")
    }
    key = (python, tuple(sorted(start.items())))
    if key not in waiting:
        if len(waiting) == MOST:
            waiting.pop(next(iter(waiting))).close()
        waiting[key] = Forks(python, start)
    request = {"arguments": arguments, "folder": str(folder), "environment": {**environment}}
    return waiting[key].run(request, streams)


@atexit.register
def _close() -> None:
    for forks in waiting.values():
        forks.close()
