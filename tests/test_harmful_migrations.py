"""Migrations that would harm a running service are found; their SQL is what the database runs."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from alembic import op
from alembic.autogenerate import produce_migrations, render_python_code
from alembic.runtime.migration import MigrationContext

from .support.harmful_migrations import HARMFUL
from .support.layers import load, module
from .support.migrations import GOOD, Case, models

pytestmark = pytest.mark.slow

CASES = {case.title: case for case in GOOD + HARMFUL}


@pytest.fixture(scope="module")
def database(postgres: str) -> Iterator[str]:
    """The URL of a database with the tables that the migrations change."""
    url = f"{postgres.rsplit('/', 1)[0]}/harmful"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS harmful")
        connection.execute("CREATE DATABASE harmful")
        engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
        models().create_all(engine)
        engine.dispose()
        yield url
        connection.execute("DROP DATABASE harmful WITH (FORCE)")


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


@pytest.fixture
def sql(case: Case, database: str, rendered: Mapping[str, Path]) -> str:
    """The SQL of a migration, as `db check` takes it; if a model is changed, by autogenerate."""
    body = case.change
    if not isinstance(body, str):
        engine = sa.create_engine(database.replace("postgresql:", "postgresql+psycopg:"))
        with engine.connect() as connection:
            context = MigrationContext.configure(connection)
            operations = produce_migrations(context, body()).upgrade_ops
            assert operations
            assert operations.is_empty() is (case.title == "nothing")
            code = render_python_code(operations, migration_context=context)
        engine.dispose()
        body = f"if True:\n    {code}"
    names: dict[str, Any] = {"sa": sa, "op": op}
    exec("from sqlalchemy.dialects import postgresql", names)  # noqa: S102

    def migrate() -> None:
        exec(body, names)  # noqa: S102

    text: str = module(rendered, "sync-postgresql", "schema").migration_sql(migrate)
    assert text.endswith("COMMIT;\n\n")
    return text


@pytest.fixture(scope="module")
def psql(rendered: Mapping[str, Path]) -> str:
    postgres = load(rendered["sync-postgresql"] / "tests/postgres.py", "postgres_with_psql")
    return str(postgres._binaries(None) / "psql")


def test_half_of_the_migrations_are_written_by_autogenerate() -> None:
    assert len(GOOD) >= 25
    assert len(HARMFUL) >= 25
    assert sum(not isinstance(case.change, str) for case in CASES.values()) >= 25


def test_a_migration_is_found_if_it_does_harm_and_runs_unchanged_in_psql(
    case: Case, sql: str, rendered: Mapping[str, Path], psql: str, database: str
) -> None:
    found = subprocess.run(
        ["squawk", "--reporter=json"],
        cwd=rendered["sync-postgresql"] / "src/my_service/migrations",
        input=sql.replace("\n\n", "\n"),
        stdout=subprocess.PIPE,
        text=True,
    )
    rules = [finding["rule_name"] for finding in json.loads(found.stdout)]
    assert tuple(dict.fromkeys(rules)) == case.rules
    # In a schema of its own.
    url = f"{database}?options=-csearch_path%3Dcase_tables"
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE SCHEMA case_tables"))
        models().create_all(connection)
    command = [psql, "--quiet", "--set=ON_ERROR_STOP=1", url]
    done = subprocess.run(command, input=sql, text=True)
    with engine.begin() as connection:
        connection.execute(sa.text("DROP SCHEMA case_tables CASCADE"))
    engine.dispose()
    assert (done.returncode == 0) is case.runs
