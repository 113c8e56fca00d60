"""Overload, disconnected clients and a frozen database."""

import asyncio
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from .support.restartable import Restartable, server_with
from .support.run import full
from .support.serving import Answer, Server, serving

pytestmark = pytest.mark.slow

POOL_TIMEOUT = 1
# Seconds that each request of a flood uses its connection, number of requests, and how many run at a time.
WORK = 0.4
REQUESTS, AT_ONCE = 120, 40
# Seconds of tolerance for a busy machine.
SLACK = 3


@dataclass
class Flood:
    answers: list[Answer]
    livez: list[Answer]
    readyz: list[Answer]
    seconds: float

    def count(self, status: int) -> int:
        return sum(answer.status == status for answer in self.answers)


async def flood(server: Server, path: str) -> Flood:
    """Send the requests, and check the health of the service meanwhile."""
    places = asyncio.Semaphore(AT_ONCE)
    checks: dict[str, list[Answer]] = {"/livez": [], "/readyz": []}

    async def send() -> Answer:
        async with places:
            return await server.fetch(path)

    async def check(path: str) -> None:
        while True:
            checks[path].append(await server.fetch(path))
            await asyncio.sleep(0.1)

    checking = [asyncio.create_task(check(path)) for path in checks]
    began = time.monotonic()
    answers = await asyncio.gather(*(send() for _ in range(REQUESTS)))
    seconds = time.monotonic() - began
    for task in checking:
        task.cancel()
    return Flood(answers, checks["/livez"], checks["/readyz"], seconds)


@pytest.fixture(scope="module")
def database(rendered: Mapping[str, Path]) -> Iterator[Restartable]:
    with server_with(rendered, "postgres_overload") as database:
        yield database


@pytest.fixture(params=["async", "sync"])
def project(request: pytest.FixtureRequest, rendered: Mapping[str, Path]) -> Path:
    return rendered[f"{request.param}-postgresql-fastapi"]


def environment(url: str, pool_size: int) -> dict[str, str]:
    sqlalchemy = {"POOL_SIZE": pool_size, "MAX_OVERFLOW": 0, "POOL_TIMEOUT": POOL_TIMEOUT}
    settings = {f"DATABASE__SQLALCHEMY__{name}": str(value) for name, value in sqlalchemy.items()}
    return {"DATABASE_URL": url, **settings}


@pytest.mark.parametrize(
    ("project", "road"),
    [
        ("async", "write"),
        ("sync", "read"),
        pytest.param("async", "read", marks=full),
        pytest.param("sync", "write", marks=full),
    ],
    indirect=["project"],
)
def test_overload_is_answered_with_503_and_a_larger_pool_serves_more(
    project: Path, database: Restartable, tmp_path: Path, road: str
) -> None:
    served = []
    for pool_size in (2, 8):
        settings = environment(database.url, pool_size)
        with serving(project, tmp_path, **settings) as server:
            server.sync(project, **settings)
            result = asyncio.run(flood(server, f"/{road}/{WORK}"))
            afterwards = server.get("/users")
        assert {answer.status for answer in result.answers} <= {200, 503}
        assert max(answer.seconds for answer in result.answers) < POOL_TIMEOUT + WORK + SLACK
        # Every connection was in use for most of the time.
        assert result.count(200) > 0.4 * pool_size * result.seconds / WORK
        assert {answer.status for answer in result.livez + result.readyz} == {200}
        assert max(answer.seconds for answer in result.livez + result.readyz) < 1
        assert (afterwards.status, afterwards.seconds < 1) == (200, True)
        served.append(result.count(200) / result.seconds)
    assert served[1] > 1.3 * served[0]


def test_requests_of_disconnected_clients_do_not_delay_others(
    project: Path, database: Restartable, tmp_path: Path
) -> None:
    settings = environment(database.url, 2) | {"DATABASE__SQLALCHEMY__POOL_TIMEOUT": "30"}

    async def give_up(server: Server) -> None:
        requests = [asyncio.create_task(server.fetch(f"/write/{WORK}")) for _ in range(60)]
        await asyncio.sleep(0.2)
        for request in requests:
            request.cancel()

    with serving(project, tmp_path, **settings) as server:
        asyncio.run(give_up(server))
        answer = server.get("/write/0")
    assert answer.status == 200
    # Serving all of them takes 7.5 seconds.
    assert answer.seconds < 3


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_requests_to_a_frozen_database_are_answered_in_time_and_succeed_after_it(
    project: Path, database: Restartable, tmp_path: Path, method: str
) -> None:
    settings = environment(database.url, 3) | {"DATABASE__SQLALCHEMY__CONNECT_TIMEOUT": "2"}
    body = '{"name": "%s"}'

    async def send(server: Server, number: int = 20) -> list[Answer]:
        names = (f"{project.name}-{time.monotonic_ns()}-{i}" for i in range(number))
        requests = (server.fetch("/users", method, body % name) for name in names)
        return await asyncio.gather(*requests)

    with serving(project, tmp_path, **settings) as server:
        server.sync(project, **settings)
        assert {answer.status for answer in asyncio.run(send(server))} <= {200, 201}
        with database.frozen():
            answers = asyncio.run(send(server))
            ready, live = server.get("/readyz"), server.get("/livez")
        assert {answer.status for answer in answers} == {503}
        assert max(answer.seconds for answer in answers) < POOL_TIMEOUT + 2 + SLACK
        assert (ready.status, ready.body) == (503, '{"status":"unreachable"}')
        assert ready.seconds < 2
        assert (live.status, live.seconds < 0.5) == (200, True)
        began = time.monotonic()
        while asyncio.run(send(server, 1))[0].status == 503:
            assert time.monotonic() - began < 5
            time.sleep(0.1)
        while server.get("/readyz").status == 503:
            assert time.monotonic() - began < 5
            time.sleep(0.1)
    with psycopg.connect(database.url) as connection:
        connection.execute("DELETE FROM users")
