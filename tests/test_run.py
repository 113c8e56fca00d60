"""`manager.run` while the server is away."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from .support.restartable import Restartable, server_with
from .support.services import Service, settle

pytestmark = pytest.mark.slow

ATTEMPTS = 4


@pytest.fixture(scope="module")
def restartable(rendered: Mapping[str, Path]) -> Iterator[Restartable]:
    with server_with(rendered, "postgres_of_run") as server:
        yield server


def work_of(begin: Callable[[], object]) -> Any:
    """Return work that calls `begin`, and then needs a connection."""
    one = text("SELECT 1")

    def work(session: Any) -> Any:
        begin()
        return session.scalar(one)

    return work


def test_work_waits_for_a_server_that_is_away(service: Service, restartable: Restartable) -> None:
    calls: list[int] = []

    def begin() -> None:
        calls.append(1)
        if len(calls) == ATTEMPTS:
            restartable.start()

    def use(manager: Any) -> int:
        restartable.stop()
        found: int = settle(manager.run(work_of(begin)))
        return found

    assert service.use(restartable.url, use) == 1
    assert len(calls) == ATTEMPTS


def test_work_is_called_no_more_often_than_allowed(
    service: Service, restartable: Restartable
) -> None:
    db = service.module("db")
    calls: list[int] = []

    def use(manager: Any) -> None:
        restartable.stop()
        try:
            with pytest.raises(db.ConnectionFailed) as raised:
                settle(manager.run(work_of(lambda: calls.append(1)), attempts=ATTEMPTS))
        finally:
            restartable.start()
        assert raised.value.failure is db.Failure.UNREACHABLE

    service.use(restartable.url, use)
    assert len(calls) == ATTEMPTS
