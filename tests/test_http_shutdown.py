"""Graceful shutdown."""

import asyncio
import json
import signal
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from .support.serving import Answer, Server, serving

pytestmark = pytest.mark.slow


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


@pytest.mark.parametrize("variant", ["async-postgresql-fastapi", "sync-postgresql-fastapi"])
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
