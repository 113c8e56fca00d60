"""Statements that fail do so under the same name on every driver."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from .support.layers import Driver
from .support.tls import Server

pytestmark = pytest.mark.slow


def failed(driver: Driver, connection: Connection, *statements: str) -> str:
    """Return the name of the failure of the last statement."""
    *before, last = statements
    for statement in before:
        connection.exec_driver_sql(statement)
    time.sleep(0.1 if last == "SELECT 1" else 0)
    with pytest.raises(SQLAlchemyError) as raised:
        connection.exec_driver_sql(last)
    failure = driver.failures.failure_of(raised.value)
    return failure.name if failure else "None"


@pytest.fixture
def other(server: Server) -> Iterator[psycopg.Connection]:
    """Another session, in the way of ours, with a table of two rows."""
    url = server.url.render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE both_want (id int PRIMARY KEY, value int)")
        connection.execute("INSERT INTO both_want VALUES (1, 0), (2, 0)")
        yield connection
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP TABLE both_want")


ONE = "UPDATE both_want SET value = 1 WHERE id = 1"
TWO = "UPDATE both_want SET value = 1 WHERE id = 2"


def serialization(driver: Driver, ours: Connection, other: psycopg.Connection) -> str:
    ours.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    ours.exec_driver_sql("SELECT * FROM both_want").all()
    other.execute(ONE)
    return failed(driver, ours, ONE)


def deadlock(driver: Driver, ours: Connection, other: psycopg.Connection) -> str:
    # Who loses is whose patience ends first.
    other.execute("SET deadlock_timeout = '1min'")
    ours.exec_driver_sql(ONE)
    other.execute("BEGIN")
    other.execute(TWO)
    thread = threading.Thread(target=other.execute, args=[ONE])
    thread.start()
    try:
        return failed(driver, ours, "SET LOCAL deadlock_timeout = '50ms'", TWO)
    finally:
        ours.rollback()
        thread.join()
        other.execute("ROLLBACK")


def lock_timeout(driver: Driver, ours: Connection, other: psycopg.Connection) -> str:
    other.execute("BEGIN")
    other.execute(ONE)
    return failed(driver, ours, "SET LOCAL lock_timeout = '10ms'", ONE)


def statement_timeout(driver: Driver, ours: Connection, other: psycopg.Connection) -> str:
    return failed(driver, ours, "SET LOCAL statement_timeout = '10ms'", "SELECT pg_sleep(9)")


def terminated(driver: Driver, ours: Connection, other: psycopg.Connection) -> str:
    pid = ours.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
    other.execute("SELECT pg_terminate_backend(%s)", [pid])
    return failed(driver, ours, "SELECT 1")


def idle_timeout(driver: Driver, ours: Connection, other: psycopg.Connection) -> str:
    setting = "SET LOCAL idle_in_transaction_session_timeout = '10ms'"
    return failed(driver, ours, setting, "SELECT 1")


def unique(driver: Driver, ours: Connection, other: psycopg.Connection) -> str:
    return failed(driver, ours, "INSERT INTO both_want VALUES (1, 1)")


def syntax(driver: Driver, ours: Connection, other: psycopg.Connection) -> str:
    return failed(driver, ours, "SELEKT")


@pytest.mark.parametrize(
    ("provoke", "failure"),
    [
        (serialization, "SERIALIZATION"),
        (deadlock, "SERIALIZATION"),
        (lock_timeout, "TIMEOUT"),
        (statement_timeout, "TIMEOUT"),
        (terminated, "DISCONNECTED"),
        (idle_timeout, "DISCONNECTED"),
        (unique, "UNIQUE_VIOLATION"),
        (syntax, "None"),
    ],
)
def test_a_failing_statement_has_the_same_name_on_every_driver(
    postgresql: Driver,
    server: Server,
    other: psycopg.Connection,
    provoke: Callable[[Driver, Connection, psycopg.Connection], str],
    failure: str,
) -> None:
    assert postgresql.connect(server.url, lambda ours: provoke(postgresql, ours, other)) == failure


def test_a_failing_statement_has_the_same_name_on_every_driver_of_sqlite(
    sqlite: Driver, tmp_path: Path
) -> None:
    path = tmp_path / "both.db"

    def provoke(ours: Connection) -> list[str]:
        found = [failed(sqlite, ours, "CREATE TABLE t (id INTEGER PRIMARY KEY)", insert, insert)]
        ours.commit()
        found.append(failed(sqlite, ours, "SELEKT"))
        ours.rollback()
        with closing(sqlite3.connect(path)) as other:
            other.execute("INSERT INTO t VALUES (2)")
            found.append(failed(sqlite, ours, insert))
        return found

    insert = "INSERT INTO t VALUES (1)"
    found = sqlite.connect(f"sqlite:///{path}", provoke, busy_timeout=0.01)
    assert found == ["UNIQUE_VIOLATION", "None", "TIMEOUT"]


def test_a_stale_snapshot_of_sqlite_is_a_serialization_failure(
    sqlite: Driver, tmp_path: Path
) -> None:
    path = tmp_path / "both.db"

    def provoke(connection: Connection) -> str:
        connection.exec_driver_sql("CREATE TABLE t (id INTEGER PRIMARY KEY)")
        connection.commit()
        # In place of BEGIN IMMEDIATE, which would keep the other one from writing.
        connection.exec_driver_sql("ROLLBACK")
        connection.exec_driver_sql("BEGIN")
        connection.exec_driver_sql("SELECT * FROM t").all()
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("INSERT INTO t VALUES (1)")
        return failed(sqlite, connection, "INSERT INTO t VALUES (2)")

    assert sqlite.connect(f"sqlite:///{path}", provoke) == "SERIALIZATION"
