"""`db downgrade` names the tables and columns with rows that it drops, and asks."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
import sqlalchemy as sa

from .support.commands import Commands
from .support.run import full

pytestmark = pytest.mark.slow

UPGRADE = """
op.create_table("tags", sa.Column("id", sa.Integer, primary_key=True))
op.create_table("empty", sa.Column("id", sa.Integer, primary_key=True))
op.execute("INSERT INTO tags VALUES (1)")
with op.batch_alter_table("users") as batch:
    batch.add_column(sa.Column("e-mail", sa.String(320)))
"""
DOWNGRADE = """
with op.batch_alter_table("users") as batch:
    batch.drop_column("e-mail")
op.drop_table("empty")
op.execute("DROP TABLE IF EXISTS tags;")
"""
READS = """
print(op.get_bind().scalar(sa.text("SELECT 1")))
op.drop_table("users")
"""


@pytest.fixture(params=[pytest.param("async-sqlite", marks=full), "sync-postgresql"])
def commands(
    request: pytest.FixtureRequest, rendered: Mapping[str, Path], tmp_path: Path
) -> Commands:
    url = f"sqlite:///{tmp_path}/service.db"
    if "postgresql" in request.param:
        url = request.getfixturevalue("postgres_url")
    project = Path(shutil.copytree(rendered[request.param], tmp_path / "project"))
    return Commands(project, url)


def count(commands: Commands, table: str) -> int:
    url = commands.environment["DATABASE_URL"].replace("postgresql:", "postgresql+psycopg:")
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        rows = connection.scalar(sa.select(sa.func.count()).select_from(sa.text(table)))
    engine.dispose()
    return rows or 0


def test_a_downgrade_that_loses_rows_names_them_and_asks(commands: Commands) -> None:
    commands.add(2, UPGRADE, DOWNGRADE)
    commands.run("db", "upgrade")
    output = commands.run("db", "downgrade", "-1", fails=True)
    assert "Lose the data in tags? [y/N]" in output
    assert "Aborted!" in output
    commands.run("users", "add", "ada")
    question = 'Lose the data in users."e-mail", tags, users?'
    output = commands.run("db", "downgrade", "base", "--yes", fails=True, PRODUCTION="1")
    assert f"{question} PRODUCTION is set. Pass --even-in-production to continue." in output
    assert count(commands, "tags") == 1
    command = ("db", "downgrade", "-1", "--even-in-production")
    commands.run(*command, stdin="y\n", PRODUCTION="1")
    assert count(commands, "users") == 1
    commands.run("db", "downgrade", "base", "--yes")
    # Without rows, nothing is lost.
    commands.run("db", "upgrade", "0001")
    commands.run("db", "downgrade", "base", PRODUCTION="1")


@pytest.mark.parametrize("commands", ["async-sqlite"], indirect=True)
def test_a_downgrade_whose_sql_needs_a_connection_asks(commands: Commands) -> None:
    commands.add(2, "pass", READS)
    commands.run("db", "upgrade")
    assert "Lose the data in what 0002 " in commands.run("db", "downgrade", "-1", fails=True)
