"""Migrations may be started by any number of processes, and be killed at any moment."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from .support.releases import ROOT
from .support.run import full, is_full
from .support.tools import Tools

pytestmark = pytest.mark.slow

PROCESSES = 8
# In the full profile, five.
ROUNDS = 1
HEADER = """
import os
import time

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{down}"
branch_labels = None
depends_on = None
"""
SEEDS = """

def upgrade() -> None:
    op.create_table("seeds", sa.Column("name", sa.String(20)))
    time.sleep(0.1)
    op.execute("INSERT INTO seeds VALUES ('seed')")


def downgrade() -> None:
    op.drop_table("seeds")
"""
NICKNAME = """

def upgrade() -> None:
    with op.batch_alter_table("users") as batch:
        batch.add_column(sa.Column("nickname", sa.String(20)))
    op.create_table("half_done", sa.Column("name", sa.String(20)))
    marker = os.environ.get("MARKER")
    if marker:
        open(marker, "w").close()
        time.sleep(60)
    op.execute("INSERT INTO half_done VALUES ('whole')")


def downgrade() -> None:
    op.drop_table("half_done")
    op.drop_column("users", "nickname")
"""

Ask = Callable[[str, str], list[Any]]
NewUrl = Callable[[], str]


@pytest.fixture(params=["async-sqlite", "async-postgresql", "sync-sqlite", "sync-postgresql"])
def project(request: pytest.FixtureRequest, rendered: Mapping[str, Path], tmp_path: Path) -> Path:
    """A project with two more migrations."""
    folder = tmp_path / str(request.param)
    shutil.copytree(rendered[request.param], folder)
    versions = folder / "src/my_service/migrations/versions"
    for revision, down, body in (("0002", "0001", SEEDS), ("0003", "0002", NICKNAME)):
        (versions / f"{revision}.py").write_text(HEADER.format(revision=revision, down=down) + body)
    return folder


@pytest.fixture
def new_url(request: pytest.FixtureRequest, project: Path, tmp_path: Path) -> Iterator[NewUrl]:
    """Create an empty database with each call, and return its URL."""
    if "sqlite" in project.name:
        yield lambda: f"sqlite:///{tmp_path}/{uuid4().hex}.db"
        return
    server: str = request.getfixturevalue("postgres")
    names: list[str] = []
    with psycopg.connect(server, autocommit=True) as connection:

        def create() -> str:
            names.append(f"replicas_{uuid4().hex}")
            connection.execute(f"CREATE DATABASE {names[-1]}".encode())
            return f"{server.rsplit('/', 1)[0]}/{names[-1]}"

        yield create
        for name in names:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def ask(url: str, question: str) -> list[Any]:
    """Return the first column of what a statement finds."""
    if url.startswith("sqlite"):
        file = sqlite3.connect(url.removeprefix("sqlite:///"))
        rows = file.execute(question).fetchall()
        file.close()
    else:
        with psycopg.connect(url, options="-c statement_timeout=15000") as connection:
            rows = connection.execute(question.encode()).fetchall()
    return [row[0] for row in rows]


@pytest.mark.parametrize("command", ["sync", pytest.param("alembic", marks=full)])
def test_any_number_of_processes_may_migrate_at_once(
    command: str, project: Path, new_url: NewUrl, tools: Tools
) -> None:
    rounds = 5 if is_full() else ROUNDS
    urls = [new_url() for _ in range(2 * rounds)]
    for url in urls[:rounds]:
        tools.run(project, "my-service", "db", "upgrade", "0002", DATABASE_URL=url)
    probe = str(ROOT / "tests/probes/replicas.py")
    output = tools.run(project, "python", probe, command, str(PROCESSES), *urls)
    codes = json.loads(output.splitlines()[-1])
    assert codes == [[0] * PROCESSES] * len(urls)
    for url in urls:
        assert ask(url, "SELECT version_num FROM alembic_version") == ["0003"]
        assert ask(url, "SELECT name FROM seeds") == ["seed"]
        assert ask(url, "SELECT name FROM half_done") == ["whole"]


def test_a_killed_migration_leaves_the_previous_revision_and_can_be_run_again(
    project: Path, new_url: NewUrl, tools: Tools, tmp_path: Path
) -> None:
    url, marker = new_url(), tmp_path / "marker"
    tools.run(project, "my-service", "db", "upgrade", "0002", DATABASE_URL=url)
    python = tools.run(project, "python", "-c", "import sys; print(sys.executable)").strip()
    environment = tools.environment | {"DATABASE_URL": url, "MARKER": str(marker)}
    process = subprocess.Popen(
        [python, "-m", "my_service", "db", "sync"], cwd=project, env=environment
    )
    deadline = time.monotonic() + 30
    while not marker.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert ask(url, "SELECT version_num FROM alembic_version") == ["0002"]
    assert (
        tools.run(project, "my-service", "db", "sync", DATABASE_URL=url) == "Database upgraded.\n"
    )
    assert ask(url, "SELECT name FROM half_done") == ["whole"]


def test_waiting_for_another_process_is_bounded_and_says_for_whom(
    project: Path, new_url: NewUrl, tools: Tools
) -> None:
    if "sqlite" in project.name:
        return
    url = new_url()
    with psycopg.connect(url, autocommit=True, application_name="somebody else") as connection:
        connection.execute("SELECT pg_advisory_lock(7204513380)")
        output = tools.run(
            project,
            *("my-service", "db", "sync"),
            fails=True,
            DATABASE_URL=url,
            DATABASE__ALEMBIC__WAIT="0.5",
        )
    assert "timed out waiting for the migration lock held by process" in output
    assert "(somebody else)" in output
