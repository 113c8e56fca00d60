"""A server that goes and comes back costs no more than the transactions that were in flight."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from .support.layers import Driver
from .support.restartable import Restartable, server_with

pytestmark = pytest.mark.slow

IN_FLIGHT, IDLE = 3, 4


@pytest.fixture(scope="module")
def restartable(rendered: Mapping[str, Path]) -> Iterator[Restartable]:
    with server_with(rendered, "postgres_that_restarts") as server:
        yield server


@pytest.fixture
def table(restartable: Restartable) -> Callable[[], int]:
    """Return a function that counts the rows of a table `kept`."""

    def count() -> int:
        with psycopg.connect(restartable.url) as connection:
            [found] = connection.execute("SELECT count(*) FROM kept").fetchone() or [0]
            return int(found)

    with psycopg.connect(restartable.url, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS kept")
        connection.execute("CREATE TABLE kept (id int)")
    return count


def insert(connection: Connection) -> None:
    connection.exec_driver_sql("INSERT INTO kept VALUES (1)")


@pytest.mark.parametrize("first", ["idle", "in flight"])
def test_after_a_restart_at_most_the_transactions_in_flight_fail(
    postgresql: Driver, restartable: Restartable, table: Callable[[], int], first: str
) -> None:
    def use_idle(engine: Engine) -> None:
        connections = [engine.connect() for _ in range(IDLE)]
        for connection in connections:
            insert(connection)
            connection.commit()
            connection.close()

    def use_in_flight(connections: list[Connection]) -> None:
        for connection in connections:
            with connection, pytest.raises(SQLAlchemyError) as raised:
                insert(connection)
            assert postgresql.failures.failure_of(raised.value).name == "DISCONNECTED"

    def work(engine: Engine) -> None:
        everything = [engine.connect() for _ in range(IN_FLIGHT + IDLE)]
        for connection in everything:
            insert(connection)
        for connection in everything[IN_FLIGHT:]:
            connection.commit()
            connection.close()
        restartable.stop()
        restartable.start()
        if first == "idle":
            use_idle(engine)
        use_in_flight(everything[:IN_FLIGHT])
        use_idle(engine)

    # They are tested, however short the restart was.
    args = {"pool_size": IN_FLIGHT + IDLE, "max_overflow": IDLE, "pre_ping_after": 0}
    postgresql.use(restartable.url, work, **args)
    assert table() == IDLE * (3 if first == "idle" else 2)


def test_while_the_server_is_away_nothing_answers(
    postgresql: Driver, restartable: Restartable, table: Callable[[], int]
) -> None:
    def work(engine: Engine) -> None:
        with engine.begin() as connection:
            insert(connection)
        restartable.stop()
        with pytest.raises(postgresql.errors.ConnectionFailed) as raised:
            engine.connect()
        assert raised.value.failure.name == "UNREACHABLE"
        restartable.start()
        with engine.begin() as connection:
            insert(connection)

    postgresql.use(restartable.url, work, pre_ping_after=0)
    assert table() == 2
