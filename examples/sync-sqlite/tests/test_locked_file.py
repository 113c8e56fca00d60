"""Commands for the schema of a file whose write lock another connection holds."""

import logging
import sqlite3
import time
from collections.abc import Iterator

import pytest
from alembic.config import main as alembic
from sqlalchemy import URL

from my_service.db import DatabaseManager, SchemaError

from .databases import MIGRATIONS
from .test_cli import run

WAITING = "Waiting for another process that writes to "
COMMANDS = [
    "my_service db sync",
    f"alembic -c {MIGRATIONS / 'alembic.ini'} upgrade head",
]


@pytest.fixture(autouse=True)
def database_url(empty_url: URL, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", empty_url.render_as_string(hide_password=False))


@pytest.fixture
def writer(empty_url: URL) -> Iterator[sqlite3.Connection]:
    """A connection to the file, which is new, and whose transactions the tests begin and end."""
    connection = sqlite3.connect(empty_url.database or "", isolation_level=None)
    yield connection
    connection.close()


class Commit(logging.Handler):
    """Ends the writer's transaction as soon as a command logs that it waits."""

    def __init__(self, writer: sqlite3.Connection) -> None:
        super().__init__()
        self.writer = writer
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if WAITING in record.getMessage():
            self.lines.append(record.getMessage())
            self.writer.execute("COMMIT")


@pytest.fixture
def waiting(writer: sqlite3.Connection, caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """The lines that say that a command waits. After the first, the other process has finished."""
    caplog.set_level(logging.INFO)
    handler = Commit(writer)
    logging.getLogger().addHandler(handler)
    yield handler.lines
    logging.getLogger().removeHandler(handler)


def call(command: str, exit_code: int = 0) -> str:
    """Run a command in this process, and return what it prints; Alembic's own command logs it."""
    program, *arguments = command.split()
    if program != "alembic":
        return run(*arguments, exit_code=exit_code)
    if exit_code == 0:
        alembic(arguments)
    else:
        # As the exit code of a process, this is 255.
        with pytest.raises(SystemExit, match="-1"):
            alembic(arguments)
    return ""


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_goes_on_when_the_other_process_has_finished(
    writer: sqlite3.Connection,
    waiting: list[str],
    command: str,
) -> None:
    run("db", "status", exit_code=3)
    writer.execute("BEGIN IMMEDIATE")
    call(command)
    assert len(waiting) == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_fails_after_the_busy_timeout(
    writer: sqlite3.Connection,
    command: str,
    empty_url: URL,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("DATABASE__SQLALCHEMY__BUSY_TIMEOUT", "0.15")
    caplog.set_level(logging.INFO)
    run("db", "status", exit_code=3)
    writer.execute("BEGIN IMMEDIATE")
    errors = call(command, exit_code=1) + caplog.text
    assert errors.count(WAITING) == 1
    reason = f"another process holds the write lock of {empty_url.database}; stop it or try again"
    assert reason in errors
    assert "Traceback" not in errors


def test_create_waits_for_the_busy_timeout(
    writer: sqlite3.Connection,
    empty_url: URL,
    caplog: pytest.LogCaptureFixture,
) -> None:
    engine_args = {"busy_timeout": 0.15}
    caplog.set_level(logging.INFO)
    with DatabaseManager(empty_url, MIGRATIONS, engine_args=engine_args) as manager:
        manager.get_status()
        writer.execute("BEGIN IMMEDIATE")
        started = time.monotonic()
        with pytest.raises(SchemaError, match="another process holds the write lock"):
            manager.create()
        assert 0.1 < time.monotonic() - started < 5
        assert caplog.text.count(WAITING) == 1
        writer.execute("COMMIT")
        manager.create()
        with manager.engine.connect() as connection:
            found = connection.exec_driver_sql("PRAGMA busy_timeout")
            assert found.scalar() == 150


@pytest.mark.parametrize("command", ["db sync", "db status", "db upgrade", "db check"])
def test_what_only_reads_does_not_wait(writer: sqlite3.Connection, command: str) -> None:
    run("db", "sync")
    writer.execute("BEGIN IMMEDIATE")
    started = time.monotonic()
    run(*command.split())
    assert time.monotonic() - started < 5


def test_the_current_revision_is_read_without_waiting(
    writer: sqlite3.Connection,
    empty_manager: DatabaseManager,
) -> None:
    empty_manager.sync()
    writer.execute("BEGIN IMMEDIATE")
    started = time.monotonic()
    latest = empty_manager.get_latest_revision()
    assert empty_manager.get_current_revision() == latest
    assert time.monotonic() - started < 5
