"""What migrations promise while others use the database, and when something is wrong with it."""

import shutil
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest

from .support.releases import ROOT
from .support.run import full
from .support.tools import Tools
from .test_replicas import HEADER, PROCESSES, NewUrl, ask, new_url, project

__all__ = ["new_url", "project"]

pytestmark = pytest.mark.slow

postgresql = pytest.mark.parametrize(
    "project", ["async-postgresql", pytest.param("sync-postgresql", marks=full)], indirect=True
)
sqlite = pytest.mark.parametrize(
    "project", [pytest.param("async-sqlite", marks=full), "sync-sqlite"], indirect=True
)
PARENTS = """

def upgrade() -> None:
    op.create_table("parents", sa.Column("id", sa.Integer, primary_key=True))
    op.create_table(
        "children",
        sa.Column("parent", sa.Integer, sa.ForeignKey("parents.id", ondelete="CASCADE")),
    )
    op.execute("INSERT INTO parents VALUES (1)")
    op.execute("INSERT INTO children VALUES (1)")


def downgrade() -> None:
    op.drop_table("children")
    op.drop_table("parents")
"""
REBUILD = """

def upgrade() -> None:
    with op.batch_alter_table("parents", recreate="always") as batch:
        batch.add_column(sa.Column("name", sa.String(20)))


def downgrade() -> None:
    pass
"""
ORPHANS = """

def upgrade() -> None:
    op.execute("DELETE FROM parents")


def downgrade() -> None:
    pass
"""


def add_migrations(project: Path, *bodies: str) -> None:
    """Write migrations that follow those of the project."""
    versions = project / "src/my_service/migrations/versions"
    for number, body in enumerate(bodies, start=4):
        text = HEADER.format(revision=f"000{number}", down=f"000{number - 1}") + body
        (versions / f"000{number}.py").write_text(text)


@postgresql
def test_a_migration_gives_way_to_readers_and_tries_again(
    project: Path, new_url: NewUrl, tools: Tools
) -> None:
    url = new_url()
    tools.run(project, "my-service", "db", "upgrade", "0002", DATABASE_URL=url)
    environment: dict[str, Any] = {"DATABASE_URL": url, "DATABASE__ALEMBIC__LOCK_TIMEOUT": "0.3"}
    outputs: list[str] = []
    migration = threading.Thread(
        target=lambda: outputs.append(tools.run(project, "my-service", "db", "sync", **environment))
    )
    waits = []
    with psycopg.connect(url) as holder:
        holder.execute("SELECT * FROM users")
        migration.start()
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            started = time.monotonic()
            ask(url, "SELECT name FROM users")
            waits.append(time.monotonic() - started)
        assert ask(url, "SELECT version_num FROM alembic_version") == ["0002"]
    migration.join(timeout=30)
    assert outputs == ["Database upgraded.\n"]
    # The reader was held up, but not for long: the migration has waited, and has given way.
    assert 0.1 < max(waits) < 1.5


@postgresql
def test_at_head_nobody_waits_for_the_lock(project: Path, new_url: NewUrl, tools: Tools) -> None:
    url = new_url()
    tools.run(project, "my-service", "db", "sync", DATABASE_URL=url)
    environment: dict[str, Any] = {"DATABASE_URL": url, "DATABASE__ALEMBIC__WAIT": "0"}
    with psycopg.connect(url, autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(7204513380)")
        for command in ("my-service db sync", "alembic current", "alembic upgrade head"):
            tools.run(project, *command.split(), **environment)
        tools.run(project, "alembic", "downgrade", "-1", fails=True, **environment)


@postgresql
def test_behind_a_proxy_the_lock_may_live_in_one_transaction(
    project: Path, new_url: NewUrl, tools: Tools
) -> None:
    url = new_url()
    probe = str(ROOT / "tests/probes/replicas.py")
    proxied = f"{url}{'&' if '?' in url else '?'}pgbouncer=true"
    output = tools.run(project, "python", probe, "sync", str(PROCESSES), proxied)
    assert output.splitlines()[-1] == str([[0] * PROCESSES])
    assert ask(url, "SELECT name FROM seeds") == ["seed"]


@postgresql
def test_a_version_table_that_may_not_be_read_is_not_taken_for_an_empty_database(
    project: Path, new_url: NewUrl, tools: Tools
) -> None:
    url = new_url()
    tools.run(project, "my-service", "db", "upgrade", "0002", DATABASE_URL=url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS stranger")
        connection.execute("CREATE ROLE stranger LOGIN PASSWORD 'stranger'")
    strange = "postgresql://stranger:stranger@" + url.partition("@")[2]
    for command in ("status", "sync"):
        output = tools.run(project, "my-service", "db", command, fails=True, DATABASE_URL=strange)
        assert "permission denied for table alembic_version" in output
    assert ask(url, "SELECT version_num FROM alembic_version") == ["0002"]


@sqlite
def test_a_file_that_is_no_database_is_not_taken_for_an_empty_one(
    project: Path, tools: Tools, tmp_path: Path
) -> None:
    path = tmp_path / "text.db"
    path.write_text("this is not a database " * 100)
    for command in ("status", "sync"):
        output = tools.run(
            project, "my-service", "db", command, fails=True, DATABASE_URL=f"sqlite:///{path}"
        )
        assert "file is not a database" in output
    assert path.read_text() == "this is not a database " * 100


@sqlite
def test_rebuilding_a_table_keeps_the_rows_that_refer_to_it(
    project: Path, new_url: NewUrl, tools: Tools
) -> None:
    add_migrations(project, PARENTS, REBUILD)
    for command in ("my-service db sync", "alembic upgrade head"):
        url = new_url()
        tools.run(project, *command.split(), DATABASE_URL=url)
        assert ask(url, "SELECT version_num FROM alembic_version") == ["0005"]
        assert ask(url, "SELECT parent FROM children") == [1]


@sqlite
def test_a_migration_that_leaves_rows_referring_to_nothing_is_undone(
    project: Path, new_url: NewUrl, tools: Tools
) -> None:
    add_migrations(project, PARENTS)
    url = new_url()
    tools.run(project, "my-service", "db", "sync", DATABASE_URL=url)
    add_migrations(project, PARENTS, ORPHANS)
    output = tools.run(project, "my-service", "db", "sync", fails=True, DATABASE_URL=url)
    assert "1 rows would refer to nothing: children" in output
    assert ask(url, "SELECT version_num FROM alembic_version") == ["0004"]
    assert ask(url, "SELECT parent FROM children") == [1]


def test_an_enumeration_leaves_nothing_behind(
    rendered: Mapping[str, Path], tmp_path: Path, postgres: str, tools: Tools
) -> None:
    folder = tmp_path / "moods"
    shutil.copytree(rendered["sync-postgresql"], folder)
    models = folder / "src/my_service/models.py"
    models.write_text(
        models.read_text()
        .replace('"""The tables', 'import enum\n"""The tables', 1)
        .replace(
            "class User(Base):", "class Mood(enum.Enum):\n    HAPPY = 1\n\n\nclass User(Base):"
        )
        + "    mood: Mapped[Mood | None]\n"
    )
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS moods")
        connection.execute("CREATE DATABASE moods")
    url = f"{postgres.rsplit('/', 1)[0]}/moods"
    tools.run(folder, "my-service", "db", "sync", DATABASE_URL=url)
    tools.run(folder, "my-service", "db", "revision", "-m", "Add mood", DATABASE_URL=url)
    for command in ("upgrade", "check", "downgrade base", "upgrade"):
        tools.run(folder, "my-service", "db", *command.split(), DATABASE_URL=url)
    assert ask(url, "SELECT typname FROM pg_type WHERE typtype = 'e'") == []
