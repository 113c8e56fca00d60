"""A server that takes no more connections."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import make_url

from .support.restartable import server_with
from .support.services import Service, opened, settle

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def small(rendered: Mapping[str, Path]) -> Iterator[str]:
    """The URL of a server that takes few connections, for a user who is no superuser."""
    with server_with(rendered, "postgres_small", max_connections="8") as small:
        with psycopg.connect(small.url, autocommit=True) as connection:
            connection.execute("CREATE ROLE ada LOGIN PASSWORD 'x'")
            connection.execute("GRANT CREATE ON DATABASE postgres TO ada")
        url = make_url(small.url).set(username="ada", password="x")  # noqa: S106
        yield url.render_as_string(hide_password=False)


@contextmanager
def all_taken(url: str) -> Iterator[list[psycopg.Connection]]:
    """Open connections until the server takes no more."""
    with ExitStack() as stack:
        opened: list[psycopg.Connection] = []
        with suppress(psycopg.OperationalError):
            while True:
                opened.append(stack.enter_context(psycopg.connect(url)))
        assert opened
        yield opened


@pytest.mark.parametrize("engine", ["engine", "read_engine"])
def test_too_many_connections_have_a_hint_of_their_own(
    service: Service, small: str, engine: str
) -> None:
    db = service.module("db")

    def work(manager: Any) -> None:
        hint = r"no free connection; keep processes .*pool_size .* max_connections"
        factory = {"engine": manager.Session, "read_engine": manager.ReadSession}[engine]
        with opened(factory()) as session, pytest.raises(db.ConnectionFailed, match=hint) as raised:
            settle(session.connection())
        assert raised.value.failure is db.Failure.TOO_MANY_CONNECTIONS

    with all_taken(small):
        service.use(small, work)


def start_sync(service: Service, url: str, folder: Path, wait: float) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "my_service", "db", "sync"],
        cwd=folder,
        env=os.environ
        | {"PYTHONPATH": str(service.source), "DATABASE_URL": service.url(url)}
        | {"DATABASE__ALEMBIC__WAIT": str(wait)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_sync_waits_for_one_free_connection(service: Service, small: str, tmp_path: Path) -> None:
    with psycopg.connect(small, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS ada CASCADE; CREATE SCHEMA ada")
    with all_taken(small) as connections:
        process = start_sync(service, small, tmp_path, 20)
        time.sleep(2)
        assert process.poll() is None
        connections[0].close()
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert "created" in output


def test_sync_gives_up_when_its_time_is_over(service: Service, small: str, tmp_path: Path) -> None:
    with all_taken(small):
        process = start_sync(service, small, tmp_path, 1)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "no free connection" in output
