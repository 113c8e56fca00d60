"""Commands for a SQLite file whose write lock another connection holds, as processes.

Projects test the same within one process, where commands that begin at once take no time.
"""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from .support.commands import Commands

pytestmark = pytest.mark.slow

WAITING = "Waiting for another process that writes to "
# Python ignores SIGINT if the process that starts it does.
INTERRUPTED = """
import runpy, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""


@pytest.fixture(params=["async-sqlite", "sync-sqlite"])
def commands(
    request: pytest.FixtureRequest, rendered: Mapping[str, Path], tmp_path: Path
) -> Commands:
    return Commands(rendered[request.param], f"sqlite:///{tmp_path}/service.db")


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to the file, which is new, and whose transactions the tests begin and end."""
    connection = sqlite3.connect(tmp_path / "service.db", isolation_level=None)
    yield connection
    connection.close()


def start(commands: Commands, command: str) -> "subprocess.Popen[str]":
    """Start a command of a module, and wait until it reports that it waits."""
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, *command.split()],
        cwd=commands.project,
        env=os.environ | commands.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr
    lines = iter(process.stderr.readline, "")
    assert any(WAITING in line for line in lines)
    return process


@pytest.mark.parametrize(
    "command",
    ["my_service db sync", "my_service db downgrade base --yes", "my_service db drop --yes"],
)
def test_a_command_goes_on_when_the_other_process_has_finished(
    commands: Commands, writer: sqlite3.Connection, command: str
) -> None:
    commands.run("db", "upgrade")
    if command.endswith("sync"):
        commands.run("db", "downgrade", "base", "--yes")
    writer.execute("BEGIN IMMEDIATE")
    with start(commands, command) as process:
        writer.execute("COMMIT")
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 0
    assert WAITING not in errors


def test_sync_waits_for_a_process_that_writes_to_a_new_file(
    commands: Commands, writer: sqlite3.Connection
) -> None:
    writer.execute("BEGIN IMMEDIATE")
    with start(commands, "my_service db sync") as process:
        writer.execute("COMMIT")
        process.communicate(timeout=20)
    assert process.returncode == 0
    assert "up to date" in commands.run("db", "status")


def test_the_status_of_a_new_file_does_not_wait(
    commands: Commands, writer: sqlite3.Connection
) -> None:
    writer.execute("BEGIN IMMEDIATE")
    started = time.monotonic()
    assert "empty" in commands.run("db", "status", fails=True)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("command", ["my_service db sync", "alembic upgrade head"])
def test_ctrl_c_ends_a_command_that_waits(
    commands: Commands, writer: sqlite3.Connection, command: str
) -> None:
    commands.run("db", "status", fails=True)
    writer.execute("BEGIN IMMEDIATE")
    with start(commands, command) as process:
        started = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert time.monotonic() - started < 5
    assert process.returncode != 0
    # Alembic's own command ends with the traceback of KeyboardInterrupt.
    assert errors.strip() == "Aborted!" or command.startswith("alembic")
