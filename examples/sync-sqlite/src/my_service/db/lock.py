"""One process at a time changes the schema, and none of them keeps the service waiting."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from sqlalchemy import Connection, func, select, text
from sqlalchemy.exc import DBAPIError

from . import sqlite
from .errors import Failure, SchemaError, failure_of

R = TypeVar("R")
log = logging.getLogger(__name__)

# Any fixed number will do, as long as nothing else in the same database uses it.
LOCK = 7_204_513_380
HOLDER = text(
    "SELECT format('process %s (%s)', pid, application_name)"
    " FROM pg_locks JOIN pg_stat_activity USING (pid)"
    " WHERE locktype = 'advisory' AND granted AND classid = :high AND objid = :low"
)


def run_alone(connection: Connection, work: Callable[[], R], options: Mapping[str, Any]) -> R:
    """Call `work`, which changes the schema on the connection, while no other process does.

    SQLite: its transaction takes the write lock; foreign keys are off meanwhile, because rebuilding
    a table would delete the rows that refer to it.

    PostgreSQL: an advisory lock, which ends with the connection at the latest. `options` may hold
    `wait`, the seconds to wait for another process (600); `lock_timeout`, the seconds to wait for a
    table in use before `work` is called again (5); and `transaction_lock`, to hold the lock in the
    one transaction of `work` instead of in the session.

    Raises SchemaError if another process takes too long, and what `work` raises.
    """
    if connection.dialect.name == "sqlite":
        connection.execution_options(sqlite_begin="IMMEDIATE")
        # Outside of any transaction, where SQLite would ignore it.
        connection.connection.cursor().execute("PRAGMA foreign_keys=OFF")
        try:
            sqlite.begin_when_free(connection)
            return work()
        finally:
            connection.rollback()
            connection.connection.cursor().execute("PRAGMA foreign_keys=ON")
    if connection.dialect.name != "postgresql":
        return work()
    deadline = time.monotonic() + options.get("wait", 600)
    of_transaction = options.get("transaction_lock", False)
    lock_timeout = f"{options.get('lock_timeout', 5) * 1000:.0f}"
    while True:
        try:
            _acquire(connection, deadline, of_transaction=of_transaction)
            for name, value in (("lock_timeout", lock_timeout), ("statement_timeout", "0")):
                connection.execute(select(func.set_config(name, value, of_transaction)))
            if not of_transaction:
                connection.commit()
            return work()
        except DBAPIError as error:
            if failure_of(error) is not Failure.TIMEOUT or time.monotonic() > deadline:
                raise
            log.info("A table is in use; giving way, and trying again.")
        finally:
            connection.rollback()
            if not of_transaction:
                connection.execute(select(func.pg_advisory_unlock(LOCK)))
                connection.exec_driver_sql("RESET lock_timeout")
                connection.exec_driver_sql("RESET statement_timeout")
                connection.commit()
        _pause(connection, 0.5)


def _acquire(connection: Connection, deadline: float, *, of_transaction: bool) -> None:
    # Asking again and again, since waiting would keep a snapshot, for which CREATE INDEX
    # CONCURRENTLY in the other process would wait in turn.
    lock = func.pg_try_advisory_xact_lock if of_transaction else func.pg_try_advisory_lock
    told = False
    while not connection.scalar(select(lock(LOCK))):
        holder = connection.scalar(HOLDER, {"high": LOCK >> 32, "low": LOCK & 0xFFFFFFFF})
        if time.monotonic() > deadline:
            raise SchemaError(f"{holder} is still changing the schema; look what keeps it")
        if not told:
            log.info("Waiting for %s, which is changing the schema.", holder)
            told = True
        _pause(connection, 0.1)


def _pause(connection: Connection, seconds: float) -> None:
    """Let the server sleep: it serves blocking and other code alike."""
    connection.rollback()
    connection.execute(select(func.pg_sleep(seconds)))
    connection.rollback()
