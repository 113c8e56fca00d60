"""What a project's page about tables in use says: its migrations, run while others use the table."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from .support.commands import Commands
from .support.releases import ROOT
from .support.run import is_full

pytestmark = pytest.mark.slow

PROCESSES, WRITERS = 8, 16
BATCH = 5000
PROJECT = "async-postgresql-fastapi"
INVALID = "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid"
VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'ix_users_full_name'::regclass"
VERSION = "SELECT version_num FROM alembic_version"
ADVISORY = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"


class Page:
    """A project with the migrations of its page, in the order of the page."""

    def __init__(self, rendered: Mapping[str, Path], tmp_path: Path, url: str) -> None:
        self.url = url
        self.project = Path(shutil.copytree(rendered[PROJECT], tmp_path / "project"))
        self.commands = Commands(self.project, url)
        self.text = (self.project / "docs/changing-tables.md").read_text()

    def add(self, number: int, title: str) -> None:
        """Write the migration under a heading as the one with the number."""
        section = self.text.partition(f"# {title}\n")[2].partition("\n#")[0]
        [code] = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
        path = self.commands.add(number, "")
        header = path.read_text().partition("\n\ndef ")[0]
        path.write_text(f"{header}\n\n{code}")

    def ask(self, question: str) -> Any:
        with psycopg.connect(self.url, autocommit=True) as connection:
            [found] = connection.execute(question.encode()).fetchone() or [None]
            return found

    def kill(self, process: "subprocess.Popen[str]") -> None:
        """Kill a process that migrates, and its statement, which the server would bring to an end."""
        process.send_signal(signal.SIGKILL)
        process.communicate()
        self.ask("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
        self.wait_for(ADVISORY, 0)

    def wait_for(self, question: str, answer: object) -> None:
        deadline = time.monotonic() + 60
        while self.ask(question) != answer:
            assert time.monotonic() < deadline, question
            time.sleep(0.02)


@pytest.fixture
def page(rendered: Mapping[str, Path], tmp_path: Path, postgres_url: str) -> Page:
    return Page(rendered, tmp_path, postgres_url)


def test_the_migrations_of_the_page_pass_the_check_and_can_be_undone(page: Page) -> None:
    models = page.project / "src/my_service/models.py"
    text, changes = re.subn(
        r"full_name: Mapped\[str \| None\] = mapped_column\(String\(200\)\)",
        "full_name: Mapped[str] = mapped_column(String(200), index=True)",
        models.read_text(),
    )
    assert changes == 1
    models.write_text(text)
    page.add(2, "Add an index")
    page.add(3, "Require a value")
    for command in ("upgrade", "check", "downgrade base", "upgrade"):
        page.commands.run("db", *command.split())


def test_eight_processes_build_an_index_concurrently_once(page: Page) -> None:
    page.add(2, "Add an index")
    probe = [
        sys.executable,
        str(ROOT / "tests/probes/replicas.py"),
        "sync",
        str(PROCESSES),
        page.url,
    ]
    environment = os.environ | page.commands.environment
    output = subprocess.run(probe, env=environment, capture_output=True, text=True, check=True)
    assert output.stdout.splitlines()[-1] == str([[0] * PROCESSES])
    assert page.ask(VALID) is True
    assert page.ask(VERSION) == "0002"
    assert page.ask(ADVISORY) == 0


def test_an_index_that_a_killed_process_left_invalid_is_built_anew(page: Page) -> None:
    page.commands.run("db", "upgrade")
    page.add(2, "Add an index")
    with psycopg.connect(page.url) as writer:
        writer.execute("INSERT INTO users (name, created_at) VALUES ('ada', now())")
        # It waits for the writer.
        killed = page.commands.start("db", "upgrade")
        page.wait_for(INVALID, "ix_users_full_name")
        page.kill(killed)
    assert page.ask(INVALID) == "ix_users_full_name"
    assert page.ask(VERSION) == "0001"
    page.commands.run("db", "upgrade")
    assert page.ask(VALID) is True
    assert page.ask(VERSION) == "0002"


@contextmanager
def writing(page: Page, rows: int) -> Iterator[list[float]]:
    """Let 16 clients write to the table, and yield how long each of their writes takes."""
    waits: list[float] = []
    stop = threading.Event()

    def write(number: int) -> None:
        with psycopg.connect(page.url, autocommit=True) as connection:
            key = number
            while not stop.is_set():
                key = key * 7919 % rows + 1
                started = time.monotonic()
                connection.execute(
                    "UPDATE users SET full_name = %s WHERE id = %s", [f"new {key}", key]
                )
                waits.append(time.monotonic() - started)
                time.sleep(0.02)

    with ThreadPoolExecutor(WRITERS) as executor:
        writers = [executor.submit(write, number + 1) for number in range(WRITERS)]
        try:
            yield waits
        finally:
            stop.set()
        for writer in writers:
            writer.result()


def test_rows_are_filled_in_batches_while_others_write_and_after_a_kill(page: Page) -> None:
    rows = 1_000_000 if is_full() else 50_000
    page.add(2, "1. Add the column")
    page.add(3, "2. Copy new values")
    page.commands.run("db", "upgrade", "0002")
    with psycopg.connect(page.url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO users (name, full_name, created_at)"
            " SELECT i, 'old ' || i, now() FROM generate_series(1, %s) AS i",
            [rows + 1],
        )
    page.commands.run("db", "upgrade", "0003")
    page.add(4, "3. Fill the existing rows")
    unfilled = "SELECT count(*) FROM users WHERE display_name IS DISTINCT FROM full_name"
    locked = (
        "SELECT max(n) FROM (SELECT count(*) AS n FROM users GROUP BY xmin::text) AS transactions"
    )
    with writing(page, rows) as waits:
        with psycopg.connect(page.url) as holding:
            # So that the last batch does not end before the migration is killed.
            holding.execute("SELECT FROM users WHERE name = %s FOR UPDATE", [str(rows + 1)])
            killed = page.commands.start("db", "upgrade")
            deadline = time.monotonic() + 60
            while page.ask(unfilled) > rows - 2 * BATCH:
                assert time.monotonic() < deadline
            page.kill(killed)
        left = page.ask(unfilled)
        assert 0 < left < rows
        assert page.ask(VERSION) == "0003"
        started = time.monotonic()
        page.commands.run("db", "upgrade")
        duration = time.monotonic() - started
    assert page.ask(unfilled) == 0
    assert page.ask(VERSION) == "0004"
    # No transaction has locked more rows than a batch has.
    assert 0 < page.ask(locked) <= BATCH
    assert len(waits) > WRITERS
    assert max(waits) < max(duration, 1)
