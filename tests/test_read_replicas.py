"""Reads that go to a replica, by `DATABASE_READ_URL` alone."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import make_url, text

from .support.replica import Replica, replica_of
from .support.restartable import Restartable, server_with
from .support.run import is_full
from .support.services import Request, Service, in_tasks, opened, settle

pytestmark = pytest.mark.slow

WRITES, AT_ONCE = 1000 if is_full() else 250, 16
DELAY = "10ms"
BOTH_FORMS = pytest.mark.parametrize("service", ["asyncpg", "psycopg"], indirect=True)
GUIDE = "docs/more-than-one-machine.md"
IN_RECOVERY = text("SELECT pg_is_in_recovery()")


@pytest.fixture(scope="module")
def primary(rendered: Mapping[str, Path]) -> Iterator[Restartable]:
    with server_with(rendered, "postgres_of_replicas", wal_level="replica") as primary:
        Service("psycopg", rendered).use(primary.url, lambda manager: settle(manager.create()))
        yield primary


@pytest.fixture(scope="module")
def replica(primary: Restartable) -> Iterator[Replica]:
    """A replica that is a little late."""
    with replica_of(primary, recovery_min_apply_delay=DELAY, hot_standby_feedback="on") as replica:
        yield replica


def hosts(*urls: str) -> str:
    """Return a URL with the hosts of all of them."""
    parsed = [make_url(url) for url in urls]
    listed = ",".join(f"{url.host}:{url.port}" for url in parsed)
    return f"postgresql://{parsed[0].username}:{parsed[0].password}@{listed}/{parsed[0].database}"


def reads_on_replica(manager: Any) -> bool:
    with opened(manager.ReadSession()) as session:
        found: bool = settle(session.scalar(IN_RECOVERY))
        return found


@contextmanager
def stopped(replica: Replica) -> Iterator[None]:
    replica.stop()
    try:
        yield
    finally:
        replica.start(recovery_min_apply_delay=DELAY)


@pytest.mark.parametrize("order", ["primary first", "replica first"])
def test_reads_prefer_a_replica_and_go_to_the_primary_without_one(
    service: Service, primary: Restartable, replica: Replica, order: str
) -> None:
    urls = [primary.url, replica.url][:: 1 if order == "primary first" else -1]
    read_url = service.url(f"{hosts(*urls)}?target_session_attrs=prefer-standby")

    def is_on_replica(manager: Any) -> bool:
        assert settle(manager.get_status()).value == "up to date"
        return reads_on_replica(manager)

    args = {"read_url": read_url}
    assert service.use(primary.url, is_on_replica, **args)
    with stopped(replica):
        assert not service.use(primary.url, is_on_replica, **args)


def test_requests_go_on_when_the_replica_goes(
    service: Service, primary: Restartable, replica: Replica
) -> None:
    read_url = f"{hosts(replica.url, primary.url)}?target_session_attrs=prefer-standby"

    def get(request: Request, path: str, number: int) -> int:
        return request("GET", path)

    def work(request: Request) -> None:
        for path in ("/users", "/readyz"):
            assert in_tasks(AT_ONCE, partial(get, request, path)) == [200] * AT_ONCE
        with stopped(replica):
            # The connections of the pool may fail once.
            assert set(in_tasks(AT_ONCE, partial(get, request, "/users"))) <= {200, 503}
            for path in ("/users", "/readyz"):
                assert [request("GET", path) for _ in range(AT_ONCE)] == [200] * AT_ONCE

    service.serve(primary.url, work, read_url=service.url(read_url))


def recipe(service: Service) -> dict[str, Any]:
    """Return what the guide defines for reading what was just written."""
    guide = (service.source.parent / GUIDE).read_text()
    codes = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    [code] = [code for code in codes if "def get_position" in code]
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102
    return names


def count_stale(
    service: Service, manager: Any, names: dict[str, Any], writes: int, *, wait: bool
) -> int:
    user = service.module("models").User

    def write_and_read(number: int) -> int:
        stale = 0
        for _ in range(writes // AT_ONCE):
            name = uuid4().hex
            with opened(manager.Session()) as session:
                session.add(user(name=name))
                settle(session.commit())
                position = settle(names["get_position"](session))
            with opened(manager.ReadSession()) as session:
                if wait:
                    settle(names["wait_for"](session, position))
                found = settle(
                    session.scalar(text("SELECT 1 FROM users WHERE name = :n"), {"n": name})
                )
                stale += found is None
        return stale

    return sum(service.at_once(AT_ONCE, write_and_read))


@BOTH_FORMS
def test_after_waiting_for_the_position_no_read_is_stale(
    service: Service, primary: Restartable, replica: Replica
) -> None:
    names = recipe(service)

    def work(manager: Any) -> tuple[int, int]:
        stale = count_stale(service, manager, names, 100, wait=False)
        return stale, count_stale(service, manager, names, WRITES, wait=True)

    stale, waited = service.use(
        primary.url, work, read_url=service.url(replica.url), pool_size=AT_ONCE
    )
    assert stale > 0
    assert waited == 0


@BOTH_FORMS
def test_waiting_for_a_replica_that_stands_still_ends(
    service: Service, primary: Restartable, replica: Replica
) -> None:
    names = recipe(service)

    def work(manager: Any) -> None:
        with psycopg.connect(replica.url, autocommit=True) as connection:
            connection.execute("SELECT pg_wal_replay_pause()")
            try:
                with opened(manager.Session()) as session:
                    settle(session.execute(text("SELECT pg_current_xact_id()")))
                    settle(session.commit())
                    position = settle(names["get_position"](session))
                with opened(manager.ReadSession()) as session, pytest.raises(TimeoutError):
                    settle(names["wait_for"](session, position, 0.2))
            finally:
                connection.execute("SELECT pg_wal_replay_resume()")
        with opened(manager.Session()) as session:
            # The primary has all that it has written.
            settle(names["wait_for"](session, position, 0))

    service.use(primary.url, work, read_url=service.url(replica.url))
