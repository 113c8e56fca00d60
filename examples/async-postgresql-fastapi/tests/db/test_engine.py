import asyncio
from typing import Any

import pytest
from sqlalchemy import URL, exc, text
from sqlalchemy.ext.asyncio import AsyncEngine

from my_service.db import (
    AsyncDatabaseManager,
    ConnectionFailed,
    Failure,
    failure_of,
)
from my_service.db.engine import make_engine

from ..databases import MIGRATIONS
from .models import Link


async def ping(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await connection.execute(text("SELECT 1"))


async def cut_other_connections(engine: AsyncEngine) -> None:
    statement = text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    async with engine.connect() as connection:
        await connection.execute(statement)


async def test_foreign_keys_are_enforced(tables: AsyncDatabaseManager) -> None:
    async with tables.Session() as session:
        session.add(Link(page_id=1, target="nowhere"))
        with pytest.raises(exc.IntegrityError):
            await session.commit()


async def test_a_transaction_that_is_not_committed_leaves_no_trace(
    tables: AsyncDatabaseManager,
) -> None:
    async with tables.engine.connect() as connection:
        await connection.execute(text("CREATE TABLE half_done (id INTEGER)"))
        await connection.rollback()
        await connection.execute(text("CREATE TABLE half_done (id INTEGER)"))


async def test_arguments_for_the_engine_are_used_and_left_as_they_are(empty_url: URL) -> None:
    engine_args = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 0.1}
    engine = make_engine(empty_url, engine_args)
    connection = await engine.connect()
    with pytest.raises(exc.TimeoutError, match="QueuePool limit of size 1"):
        await ping(engine)
    await connection.close()
    await engine.dispose()
    assert engine_args == {"pool_size": 1, "max_overflow": 0, "pool_timeout": 0.1}


def test_an_unknown_argument_is_refused_with_the_name_that_is_near(empty_url: URL) -> None:
    with pytest.raises(ValueError, match=r"did you mean application_name\?.*'aplication_name'"):
        make_engine(empty_url, {"aplication_name": "x"})


@pytest.mark.parametrize(
    ("change", "failure"),
    [
        ({"port": 1}, Failure.UNREACHABLE),
        ({"host": "nosuchhost.invalid"}, Failure.UNREACHABLE),
        ({"username": "nosuch", "password": "secret"}, Failure.WRONG_CREDENTIALS),
        ({"database": "nosuch"}, Failure.UNKNOWN_DATABASE),
    ],
)
async def test_a_failure_to_connect_has_a_name_and_shows_no_password(
    server: URL,
    change: dict[str, Any],
    failure: Failure,
) -> None:
    engine = make_engine(server.set(**change))
    with pytest.raises(ConnectionFailed, match="could not connect") as raised:
        await ping(engine)
    await engine.dispose()
    assert raised.value.failure is failure
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("port", [-1, 0, 65536, 70000, 10**20])
def test_a_port_that_is_out_of_range_is_refused(server: URL, port: int) -> None:
    for url in (server.set(port=port), server.update_query_dict({"port": str(port)})):
        with pytest.raises(ValueError, match="a port has to be between 1 and 65535"):
            make_engine(url)


def test_the_parameter_for_a_proxy_is_true_or_false(server: URL) -> None:
    with pytest.raises(ValueError, match="pgbouncer has to be true or false"):
        make_engine(server.update_query_dict({"pgbouncer": "1"}))


async def test_a_host_that_no_resolver_takes_is_a_failure_to_connect(server: URL) -> None:
    engine = make_engine(server.set(host="x" * 64))
    with pytest.raises(ConnectionFailed, match="could not connect"):
        await ping(engine)
    await engine.dispose()


@pytest.mark.parametrize("road", ["engine", "read_engine"])
async def test_a_connection_that_was_cut_while_it_was_idle_costs_no_error(
    tables: AsyncDatabaseManager,
    road: str,
) -> None:
    url, engine_args = tables.engine.url, {"pre_ping_after": 0.1}
    async with AsyncDatabaseManager(url, MIGRATIONS, engine_args=engine_args) as manager:
        engine = getattr(manager, road)
        async with engine.connect(), engine.connect():
            pass
        await cut_other_connections(tables.engine)
        await asyncio.sleep(0.1)
        for _ in range(3):
            await ping(engine)


async def test_a_connection_that_is_cut_soon_after_its_use_costs_one_error(
    tables: AsyncDatabaseManager,
) -> None:
    url, engine_args = tables.engine.url, {"pre_ping_after": 60}
    async with AsyncDatabaseManager(url, MIGRATIONS, engine_args=engine_args) as manager:
        async with manager.engine.connect(), manager.engine.connect():
            pass
        await cut_other_connections(tables.engine)
        with pytest.raises(exc.DBAPIError) as raised:
            await ping(manager.engine)
        assert failure_of(raised.value) is Failure.DISCONNECTED
        for _ in range(3):
            await ping(manager.engine)
