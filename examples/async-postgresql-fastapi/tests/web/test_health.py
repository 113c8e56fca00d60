import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import URL, text

from my_service.db import AsyncDatabaseManager
from my_service.web.dependencies import DatabaseSession

from ..databases import MIGRATIONS
from .apps import app_for

VERSIONS = shutil.ignore_patterns("versions")


@pytest.fixture
def reads() -> Iterator[list[int]]:
    """Ids of the threads that access the files of the migrations."""
    threads: list[int] = []
    counting = True

    def count(event: str, arguments: tuple[Any, ...]) -> None:
        reading = event in ("open", "os.listdir", "os.scandir")
        if counting and reading and str(arguments[0]).startswith(str(MIGRATIONS)):
            threads.append(threading.get_ident())

    sys.addaudithook(count)
    yield threads
    counting = False


def test_the_service_is_ready_with_a_migrated_database(client: TestClient) -> None:
    assert client.get("/livez").json() == {"status": "ok"}
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json()) == (200, {"status": "up to date"})


def test_an_empty_database_is_not_ready(empty_url: URL) -> None:
    with TestClient(app_for(empty_url)) as client:
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json()) == (503, {"status": "empty"})
        assert client.get("/livez").status_code == 200


def test_a_database_that_does_not_answer_is_not_ready(server: URL) -> None:
    unreachable = server.set(port=1)
    app = app_for(unreachable)

    @app.get("/layer-test/work")
    async def work(session: DatabaseSession) -> None:
        await session.execute(text("SELECT 1"))

    with TestClient(app) as client:
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json()) == (503, {"status": "unreachable"})
        assert client.get("/livez").status_code == 200
        answer = client.get("/layer-test/work")
        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == "1"


def test_the_migrations_are_read_once_and_never_on_the_event_loop(
    client: TestClient,
    reads: list[int],
) -> None:
    assert client.portal
    event_loop = client.portal.call(threading.get_ident)
    reads.clear()
    assert client.get("/readyz").status_code == 200
    assert reads
    assert event_loop not in reads
    reads.clear()
    for _ in range(3):
        assert client.get("/readyz").status_code == 200
    assert reads == []


async def test_a_database_that_is_behind_is_not_ready_and_both_revisions_are_named(
    empty_url: URL,
    tmp_path: Path,
) -> None:
    migrations = shutil.copytree(MIGRATIONS, tmp_path / "migrations", ignore=VERSIONS)
    shutil.copytree(Path(__file__).parents[1] / "db" / "versions", migrations / "versions")
    async with AsyncDatabaseManager(empty_url, migrations) as manager:
        await manager.upgrade("layer_test_1")
    with TestClient(app_for(empty_url, alembic={"migrations_path": migrations})) as client:
        ready = client.get("/readyz")
    assert ready.status_code == 503
    revisions = {"current": "layer_test_1", "latest": "layer_test_2"}
    assert ready.json() == {"status": "behind", **revisions}
