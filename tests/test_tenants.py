"""A schema for each tenant, migrated as `docs/more-than-one-machine.md` does it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import psycopg
import pytest

from .support.releases import ROOT
from .support.restartable import server_with
from .support.run import is_full
from .support.services import Service

pytestmark = pytest.mark.slow

TENANTS = 200 if is_full() else 40


@pytest.fixture(scope="module")
def server(rendered: Mapping[str, Path]) -> Iterator[str]:
    with server_with(rendered, "postgres_of_tenants") as server:
        yield server.url


@pytest.mark.parametrize("service", ["asyncpg", "psycopg"], indirect=True)
def test_tenants_are_migrated_one_after_the_other_and_a_failure_stops_nobody_else(
    service: Service, server: str, tmp_path: Path
) -> None:
    schemas = [f"{service.io}_{number:03}" for number in range(TENANTS)]
    broken, *others = schemas
    with psycopg.connect(server, autocommit=True) as connection:
        for schema in schemas:
            connection.execute(f"CREATE SCHEMA {schema}".encode())
            connection.execute(f"CREATE SCHEMA plain_{schema}".encode())
        # A table without a history.
        connection.execute(f"CREATE TABLE {broken}.users (id integer)".encode())
        guide = service.source.parent / "docs/more-than-one-machine.md"
        result = subprocess.run(
            [sys.executable, ROOT / "tests/probes/tenants.py", guide, *schemas],
            cwd=tmp_path,
            env=os.environ
            | {"PYTHONPATH": str(service.source), "DATABASE_URL": server, "LOG_LEVEL": "WARNING"},
            capture_output=True,
            text=True,
        )
        assert result.returncode == 0, result.stderr
        plain, ours, connections, failed = json.loads(result.stdout)
        migrated = connection.execute(
            "SELECT schemaname FROM pg_tables WHERE tablename = 'alembic_version'"
            " AND schemaname LIKE %s ORDER BY 1",
            [f"{service.io}%"],
        ).fetchall()
    print(f"{TENANTS} tenants: {ours:.1f} s, plain {plain:.1f} s, {connections} connections")
    assert list(failed) == [broken]
    assert "Tables without a history" in failed[broken]
    assert [name for [name] in migrated] == others
    assert ours < 2 * plain
    assert connections <= 4
