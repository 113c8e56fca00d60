"""Graceful shutdown."""

import asyncio
import json
import signal
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from .support.restartable import server_with
from .support.serving import Answer, Server, serving

pytestmark = pytest.mark.slow

VARIANTS = ["async-postgresql-fastapi", "sync-postgresql-fastapi"]


async def stop_while_serving(server: Server) -> tuple[Answer, list[Answer]]:
    """Send SIGTERM during a request; return its answer, and those of `/readyz` until it drains."""
    request = asyncio.create_task(server.fetch("/write/2"))
    await asyncio.sleep(0.5)
    server.process.send_signal(signal.SIGTERM)
    checks = []
    began = time.monotonic()
    # The process that supervises workers passes the signal on within half a second.
    while time.monotonic() - began < 1.5:
        checks.append(await server.fetch("/readyz"))
        if "draining" in checks[-1].body:
            break
        await asyncio.sleep(0.1)
    return await request, checks


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("options", [(), ("--workers", "2")])
def test_a_service_answers_the_requests_in_flight_before_it_stops(
    rendered: Mapping[str, Path],
    postgres: str,
    tmp_path: Path,
    variant: str,
    options: tuple[str, ...],
) -> None:
    project = rendered[variant]
    with serving(project, tmp_path, *options, DATABASE_URL=postgres) as server:
        answer, checks = asyncio.run(stop_while_serving(server))
        code = server.process.wait(20)
    assert answer.status == 200
    last = checks[-1]
    assert (last.status, json.loads(last.body)) == (503, {"status": "draining"})
    assert code == 0
    assert "Traceback" not in (tmp_path / "log").read_text()


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_service_with_idle_connections_stops_while_the_database_is_frozen(
    rendered: Mapping[str, Path], tmp_path: Path, variant: str
) -> None:
    async def fetch_at_once(server: Server) -> list[Answer]:
        paths = ["/read/0.2", "/write/0.2"] * 10
        return await asyncio.gather(*map(server.fetch, paths))

    with (
        server_with(rendered, "postgres_shutdown") as database,
        serving(rendered[variant], tmp_path, DATABASE_URL=database.url) as server,
    ):
        assert {answer.status for answer in asyncio.run(fetch_at_once(server))} == {200}
        with database.frozen():
            server.process.send_signal(signal.SIGTERM)
            code = server.process.wait(10)
    assert code == 0
    assert "Traceback" not in (tmp_path / "log").read_text()
