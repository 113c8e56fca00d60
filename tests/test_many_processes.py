"""Many processes of a service, started at once on a server that takes 100 connections."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import make_url

from .support.pgbouncer import RunPgBouncer
from .support.releases import ROOT
from .support.restartable import server_with
from .support.run import full
from .support.services import Service
from .support.serving import serving

pytestmark = pytest.mark.slow

PROCESSES = 50
# One connection for each pool: 2 for each process that writes and reads, as the README counts them.
SMALLEST = {"DATABASE__SQLALCHEMY__POOL_SIZE": "1", "DATABASE__SQLALCHEMY__MAX_OVERFLOW": "0"}


@pytest.fixture(scope="module")
def superuser(rendered: Mapping[str, Path]) -> Iterator[str]:
    """The URL of a server for its superuser."""
    with server_with(rendered, "postgres_of_many", max_connections="100") as server:
        yield server.url


@pytest.fixture(scope="module")
def user(superuser: str) -> str:
    """The URL for a user who gets 97 connections."""
    with psycopg.connect(superuser, autocommit=True) as connection:
        connection.execute("CREATE ROLE ada LOGIN PASSWORD 'x'")
        connection.execute("GRANT CREATE ON DATABASE postgres TO ada")
    url = make_url(superuser).set(username="ada", password="x")  # noqa: S106
    return url.render_as_string(hide_password=False)


def crowd(service: Service, url: str, folder: Path, roads: str, **environment: str) -> Any:
    """Return what fails in all processes together."""
    with psycopg.connect(url.partition("?")[0], autocommit=True) as connection:
        schema = make_url(url).username
        connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE".encode())
        connection.execute(f"CREATE SCHEMA {schema}".encode())
    result = subprocess.run(
        [sys.executable, ROOT / "tests/probes/crowd.py", str(PROCESSES), roads],
        cwd=folder,
        env=os.environ
        | {"PYTHONPATH": str(service.source), "DATABASE_URL": service.url(url)}
        | {"DATABASE__ALEMBIC__WAIT": "60", **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.mark.parametrize("service", [pytest.param("asyncpg", marks=full), "psycopg"], indirect=True)
def test_nothing_fails_where_the_pools_fit_into_the_server(
    service: Service, user: str, tmp_path: Path
) -> None:
    assert crowd(service, user, tmp_path, "write", **SMALLEST) == {}


@full
@pytest.mark.parametrize("service", ["asyncpg", "psycopg"], indirect=True)
def test_nothing_fails_with_the_default_pools_behind_pgbouncer(
    service: Service, superuser: str, run_pgbouncer: RunPgBouncer, tmp_path: Path
) -> None:
    with run_pgbouncer(superuser, 50) as url:
        assert crowd(service, url, tmp_path, "write,read") == {}


@pytest.mark.parametrize("io", ["async", "sync"])
def test_two_workers_share_the_connections_of_the_settings(
    io: str, rendered: Mapping[str, Path], superuser: str, tmp_path: Path
) -> None:
    """Each of them takes half, so both together never have more."""
    sizes = {"DATABASE__SQLALCHEMY__POOL_SIZE": "6", "DATABASE__SQLALCHEMY__MAX_OVERFLOW": "2"}
    counts: list[int] = []
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(0.3)'"

    async def client() -> set[int]:
        # One after the other, because a worker takes all connections that are opened at once.
        return {(await server.fetch("/write/0.3")).status for _ in range(8)}

    async def flood() -> None:
        clients = [asyncio.create_task(client()) for _ in range(20)]
        while not all(running.done() for running in clients):
            counts.extend(connection.execute(sleeping).fetchone() or ())
            await asyncio.sleep(0.02)
        assert [running.result() for running in clients] == [{200}] * 20

    project = rendered[f"{io}-postgresql-fastapi"]
    settings = {"DATABASE_URL": superuser, "DATABASE__SQLALCHEMY__POOL_TIMEOUT": "30", **sizes}
    with (
        psycopg.connect(superuser, autocommit=True) as connection,
        serving(project, tmp_path, "--workers", "2", **settings) as server,
    ):
        asyncio.run(flood())
    # More than one worker has, and no more than the settings allow.
    assert 4 < max(counts) <= 8
