"""Migrations and a project's own tests through PgBouncer, by `?pgbouncer=true` alone."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from .support import forks
from .support.releases import ROOT
from .support.run import full, is_full
from .support.tools import Tools

pytestmark = pytest.mark.slow

PROCESSES = 8
# Of the projects' own tests, those of connections, transactions and migrations.
CONNECTING = [
    f"tests/db/test_{name}.py"
    for name in ("engine", "manager", "roads", "savepoints", "transactions", "wedges")
]
SECOND = """
import os
import re
import time

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table("half_done", sa.Column("id", sa.Integer))
    if os.environ.get("MARKER"):
        open(os.environ["MARKER"], "w").close()
        time.sleep(60)
    op.execute("INSERT INTO half_done VALUES (1)")


def downgrade() -> None:
    op.drop_table("half_done")
"""
CONCURRENTLY = """
    with op.get_context().autocommit_block():
        op.create_index("by_id", "half_done", ["id"], postgresql_concurrently=True)
"""
MAIN = ("-m", "my_service")
ADVISORY = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
PROJECTS = {
    "asyncpg": "async-postgresql",
    "psycopg-async": "async-postgresql",
    "psycopg": "sync-postgresql",
}


BY_DRIVER = pytest.mark.parametrize(
    "driver", ["asyncpg", pytest.param("psycopg", marks=full)], indirect=True
)


@pytest.fixture(params=["asyncpg", "psycopg", pytest.param("psycopg-async", marks=full)])
def driver(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


class Project:
    """A project with a second migration, whose database is behind the proxy."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.second = folder / "src/my_service/migrations/versions/0002.py"
        self.second.write_text(SECOND)
        self.environment = {"PYTHONPATH": str(folder / "src"), "DATABASE_URL": url}

    def start(self, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
        """Start Python with arguments."""
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=os.environ | self.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: str, fails: bool = False, **environment: str) -> str:
        """Run Python with arguments, and return what it prints."""
        result = forks.run(
            [sys.executable, *arguments],
            self.folder,
            os.environ | self.environment | environment,
        )
        output = result.stderr + result.stdout
        assert (result.returncode != 0) is fails, output
        return output


@pytest.fixture
def project(driver: str, rendered: Mapping[str, Path], proxied_url: str, tmp_path: Path) -> Project:
    folder = shutil.copytree(rendered[PROJECTS[driver]], tmp_path / "project")
    return Project(Path(folder), with_driver(proxied_url, driver))


def with_driver(url: str, driver: str) -> str:
    return url.replace("postgresql://", f"postgresql+{driver.removesuffix('-async')}://")


def ask(url: str, question: str) -> object:
    with psycopg.connect(url) as connection:
        [found] = connection.execute(question.encode()).fetchone() or [None]
        return found


@BY_DRIVER
def test_the_commands_work(project: Project, direct_url: str) -> None:
    assert "created" in project.run(*MAIN, "db", "sync")
    assert "up to date" in project.run(*MAIN, "db", "status")
    project.run(*MAIN, "db", "downgrade", "base", "--yes")
    project.run("-m", "alembic", "upgrade", "0001")
    assert "upgraded" in project.run(*MAIN, "db", "sync")
    # The models lack the table of the second migration.
    assert "model changes lack a migration" in project.run(*MAIN, "db", "check", fails=True)
    project.run("-m", "alembic", "downgrade", "-1")
    project.run(*MAIN, "db", "upgrade")
    project.run(*MAIN, "users", "add", "ada")
    assert "ada" in project.run(*MAIN, "users", "list")
    assert ask(direct_url, "SELECT version_num FROM alembic_version") == "0002"
    assert ask(direct_url, ADVISORY) == 0


@pytest.mark.parametrize("command", ["sync", "alembic"])
def test_any_number_of_processes_may_migrate_at_once(
    project: Project, direct_url: str, command: str
) -> None:
    probe, url = str(ROOT / "tests/probes/replicas.py"), project.environment["DATABASE_URL"]
    output = project.run(probe, command, str(PROCESSES), url)
    assert json.loads(output.splitlines()[-1]) == [[0] * PROCESSES], output
    assert ask(direct_url, "SELECT version_num FROM alembic_version") == "0002"
    assert ask(direct_url, "SELECT count(*) FROM half_done") == 1
    assert ask(direct_url, ADVISORY) == 0


def test_a_killed_migration_leaves_no_lock_and_another_process_goes_on(
    project: Project, direct_url: str, tmp_path: Path
) -> None:
    marker = tmp_path / "marker"
    killed = project.start(*MAIN, "db", "sync", MARKER=str(marker))
    deadline = time.monotonic() + 60
    while not marker.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    waiting = project.start(*MAIN, "db", "sync")
    assert waiting.stdout
    while "Waiting for the migration lock held by process" not in waiting.stdout.readline():
        assert waiting.poll() is None
    killed.kill()
    killed.communicate()
    output, _ = waiting.communicate(timeout=60)
    assert waiting.returncode == 0, output
    assert ask(direct_url, "SELECT count(*) FROM half_done") == 1
    assert ask(direct_url, ADVISORY) == 0


def test_a_migration_that_leaves_its_transaction_is_refused_and_changes_nothing(
    project: Project, direct_url: str
) -> None:
    project.run(*MAIN, "db", "upgrade", "0001")
    body = SECOND.replace("\n\n\ndef downgrade", f"{CONCURRENTLY}\n\ndef downgrade")
    project.second.write_text(body)
    output = project.run(*MAIN, "db", "upgrade", fails=True)
    assert "migrate by a URL without pgbouncer=true" in output
    assert ask(direct_url, "SELECT version_num FROM alembic_version") == "0001"
    assert ask(direct_url, "SELECT to_regclass('half_done') IS NULL") is True
    assert ask(direct_url, ADVISORY) == 0
    project.run(*MAIN, "db", "upgrade", DATABASE_URL=direct_url)
    assert ask(direct_url, "SELECT to_regclass('by_id') IS NULL") is False


@BY_DRIVER
def test_the_projects_own_tests_of_the_layer_pass(
    driver: str, project: Project, pgbouncer_url: str, direct_url: str, tools: Tools
) -> None:
    """Databases are made and dropped directly: that happens outside of transactions.

    Statements of every kind are tried in test_pgbouncer_sessions.py; here, in the full profile.
    """
    path, port = project.folder / "tests/databases.py", make_url(pgbouncer_url).port
    source = path.read_text()
    for pattern, replacement in (
        (
            r"yield server\.set\(database=name\)",
            rf"yield server.set(database=name, port={port}, query={{'pgbouncer': 'true'}})",
        ),
        # What is copied may not be in use, and the proxy keeps its connections.
        (
            r"( +.*connection\.execute\(text\()(copy\)\))\n",
            r"""\1f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                f" WHERE datname = '{origin}'"))\n\1\2\n""",
        ),
    ):
        source, changes = re.subn(pattern, replacement, source)
        assert changes == 1
    path.write_text(source)
    # They cut a connection, which the proxy replaces, open one with a start-up parameter, and read
    # outside of a transaction.
    others = "not cut_soon_after and not tenant and not stream_without"
    tools.run(
        project.folder,
        *("pytest", "-q", *(["tests/db"] if is_full() else CONNECTING), "-k", others),
        TEST_DATABASE_URL=with_driver(direct_url, driver),
    )
