"""Connections whose server was restarted, or writes no more."""

import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError

from .support.pgbouncer import RunPgBouncer
from .support.restartable import Restartable, server_with
from .support.run import full
from .support.services import Request, Service, in_tasks, opened, settle
from .support.wire import counting_proxy

pytestmark = pytest.mark.slow

REQUESTS = 100
AT_ONCE = 4


def create_tables(rendered: Mapping[str, Path], url: str) -> None:
    Service("psycopg", rendered).use(url, lambda manager: settle(manager.create()))


@pytest.fixture(scope="module")
def restartable(rendered: Mapping[str, Path]) -> Iterator[Restartable]:
    """A server with the tables of the service."""
    with server_with(rendered, "postgres_stale") as restartable:
        create_tables(rendered, restartable.url)
        yield restartable


@pytest.fixture(scope="module")
def pair(restartable: Restartable, rendered: Mapping[str, Path]) -> Iterator[list[str]]:
    """The URLs of two servers for the same user and password."""
    with server_with(rendered, "postgres_second") as second:
        create_tables(rendered, second.url)
        first = make_url(restartable.url)
        with psycopg.connect(second.url, autocommit=True) as connection:
            connection.execute(f"ALTER ROLE postgres PASSWORD '{first.password}'".encode())
        url = make_url(second.url).set(password=first.password)
        yield [restartable.url, url.render_as_string(hide_password=False)]


def get(request: Request, number: int = 0) -> bool:
    """Send a request, and return whether it succeeded; if not, it was answered with 503."""
    status = request("GET", "/users")
    assert status in (200, 503)
    return status == 200


def post(request: Request, number: int = 0) -> bool:
    status = request("POST", "/users", {"name": uuid4().hex})
    assert status in (201, 503)
    return status == 201


@pytest.mark.parametrize(
    ("send", "pre_ping_after"),
    [
        (get, 0),
        (post, 0.5),
        (get, 600),
        *(pytest.param(*pair, marks=full) for pair in [(post, 0), (get, 0.5), (post, 600)]),
    ],
)
def test_after_a_restart_at_most_the_requests_of_that_moment_fail(
    service: Service,
    restartable: Restartable,
    send: Callable[[Request, int], bool],
    pre_ping_after: float,
) -> None:
    def work(request: Request) -> None:
        def succeed() -> bool:
            return all(in_tasks(AT_ONCE, partial(send, request)))

        assert succeed()
        restartable.stop()
        restartable.start()
        # The connections are as good as those of requests that are under way.
        at_first = succeed()
        assert at_first or pre_ping_after
        assert all(succeed() for _ in range(REQUESTS // AT_ONCE))

    service.serve(restartable.url, work, pre_ping_after=pre_ping_after)


def test_after_a_restart_behind_pgbouncer_requests_fail_for_a_moment_only(
    service: Service, restartable: Restartable, run_pgbouncer: RunPgBouncer
) -> None:
    def work(request: Request) -> None:
        for send in (get, post):
            assert all(in_tasks(AT_ONCE, partial(send, request)))
            restartable.stop()
            restartable.start()
            # The proxy itself tries again after a second.
            deadline = time.monotonic() + 20
            while not send(request) and time.monotonic() < deadline:
                time.sleep(0.1)
            assert all(send(request) for _ in range(REQUESTS))

    with run_pgbouncer(restartable.url, AT_ONCE) as url:
        service.serve(url, work)


@contextmanager
def read_only(url: str) -> Iterator[None]:
    """Let a server write in no transaction, of those that are connected already as well."""

    def switch(statement: str, expected: str) -> None:
        options = "-c default_transaction_read_only=off"
        with psycopg.connect(url, autocommit=True, options=options) as connection:
            connection.execute(statement.encode())
            connection.execute("SELECT pg_reload_conf()")
        with psycopg.connect(url, autocommit=True) as connection:
            while connection.execute("SHOW transaction_read_only").fetchone() != (expected,):
                time.sleep(0.01)

    switch("ALTER SYSTEM SET default_transaction_read_only = on", "on")
    try:
        yield
    finally:
        switch("ALTER SYSTEM RESET default_transaction_read_only", "off")


def test_a_server_that_writes_no_more_is_left_for_one_that_does(
    service: Service, pair: list[str]
) -> None:
    first, second = (make_url(url) for url in pair)
    hosts = f"127.0.0.1:{first.port},127.0.0.1:{second.port}"
    url = f"postgresql://postgres:{first.password}@{hosts}/postgres"

    def work(request: Request) -> None:
        assert all(in_tasks(AT_ONCE, partial(post, request)))
        assert all(in_tasks(AT_ONCE, partial(get, request)))
        with read_only(pair[0]):
            # One may fail for each connection.
            for _ in range(AT_ONCE):
                post(request)
            assert all(post(request) and get(request) for _ in range(REQUESTS))

    service.serve(f"{url}?target_session_attrs=read-write", work)


# libpq resolves the names for psycopg2.
@pytest.mark.parametrize("service", ["asyncpg", "psycopg-async", "psycopg"], indirect=True)
def test_a_host_name_that_leads_elsewhere_is_followed_after_its_server_is_gone(
    service: Service,
    restartable: Restartable,
    pair: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resolve, addresses = socket.getaddrinfo, {"moving.test": "127.0.0.1"}
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *args, **options: resolve(addresses.get(host, host), *args, **options),
    )
    first = make_url(pair[0])
    url = first.set(host="moving.test").render_as_string(hide_password=False)
    statement = "SELECT count(*) FROM users"

    def work(request: Request) -> None:
        assert all(in_tasks(AT_ONCE, partial(post, request)))
        assert all(in_tasks(AT_ONCE, partial(get, request)))
        addresses["moving.test"] = "127.0.0.2"
        restartable.stop()
        # One may fail for each connection.
        for _ in range(AT_ONCE):
            post(request)
            get(request)
        assert all(post(request) and get(request) for _ in range(REQUESTS))

    with psycopg.connect(pair[1], autocommit=True) as second:
        before = second.execute(statement).fetchone() or (0,)
        try:
            with counting_proxy(pair[1], host="127.0.0.2", port=first.port or 0):
                service.serve(url, work)
        finally:
            restartable.start()
        after = second.execute(statement).fetchone() or (0,)
    assert after[0] - before[0] >= REQUESTS


def test_while_no_server_writes_requests_are_answered_with_503(
    service: Service, restartable: Restartable
) -> None:
    def work(request: Request) -> None:
        assert post(request)
        with read_only(restartable.url):
            assert not any(post(request) for _ in range(10))
            assert get(request)
        assert all(post(request) for _ in range(REQUESTS))

    service.serve(restartable.url, work)


def test_a_connection_to_a_server_that_writes_no_more_is_dropped_unless_it_only_reads(
    service: Service, restartable: Restartable
) -> None:
    db = service.module("db")

    def pid(session: Any) -> Any:
        return settle(session.scalar(text("SELECT pg_backend_pid()")))

    def work(manager: Any) -> None:
        insert = text("INSERT INTO users (name, created_at) VALUES ('ada', now())")
        with opened(manager.Session()) as session:
            before = pid(session)
        with read_only(restartable.url), opened(manager.Session()) as session:
            with pytest.raises(DBAPIError) as raised:
                settle(session.execute(insert))
            assert db.failure_of(raised.value) is db.Failure.READ_ONLY
        with opened(manager.Session()) as session:
            assert pid(session) != before

        with opened(manager.ReadSession()) as session:
            before = pid(session)
        with opened(manager.ReadSession()) as session, pytest.raises(db.ReadOnlyError):
            settle(session.execute(insert))
        with opened(manager.ReadSession()) as session:
            assert pid(session) == before

    service.use(restartable.url, work, pool_size=1, max_overflow=0)
