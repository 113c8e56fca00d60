"""What SQLite needs: foreign keys, real transactions, and writers that take turns."""

import logging
import threading
import time
from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import OperationalError

from .errors import Failure, SchemaError, failure_of

log = logging.getLogger(__name__)


def configure(connection: Any, *, busy_timeout: float, wal: bool) -> None:
    """Set up a connection that has just been opened; `busy_timeout` is in seconds."""
    try:
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={busy_timeout * 1000:.0f}")
        cursor.execute("PRAGMA foreign_keys=ON")
        if wal:
            _use_wal(cursor, time.monotonic() + min(busy_timeout, 0.5))
        cursor.close()
    except Exception:
        connection.close()
        raise


def _use_wal(cursor: Any, deadline: float) -> None:
    # SQLite does not wait, as it does elsewhere, while another process writes to a file without WAL.
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            cursor.execute("PRAGMA synchronous=NORMAL")
            return
        except Exception as error:
            if failure_of(error) is not Failure.TIMEOUT:
                raise
            # A reader need not wait for a long transaction. Later connections try again.
            if time.monotonic() > deadline:
                return
            time.sleep(0.005)


def install(engine: Engine, busy_timeout: float) -> None:
    """Begin the transactions of an engine explicitly, and check its parameters."""
    Transactions(engine, busy_timeout)
    event.listen(engine, "before_cursor_execute", refuse_nul)


class Transactions:
    """Begins the transactions of an engine, which the driver would do at the first write only.

    DDL and savepoints would be left outside, and a transaction that reads before it writes fails
    if another has written in between. Taking the write lock at the beginning makes writers wait.
    Readers may pass the execution option sqlite_begin="DEFERRED".

    SQLite lets those who wait ask again at fixed times: many that began together would go on asking
    together. So the writers of this process wait for each other here, and SQLite is asked by one.
    """

    def __init__(self, engine: Engine, busy_timeout: float) -> None:
        self.busy_timeout = busy_timeout
        self.lock = threading.Lock()
        self.held: WeakKeyDictionary[Connection, threading.Lock] = WeakKeyDictionary()
        event.listen(engine, "begin", self.begin)
        event.listen(engine, "commit", self.end)
        event.listen(engine, "rollback", self.end)

    def begin(self, connection: Connection) -> None:
        mode = connection.get_execution_options().get("sqlite_begin", "IMMEDIATE")
        # The driver's own level is None under AUTOCOMMIT.
        if getattr(connection.connection.dbapi_connection, "isolation_level", "") is None:
            return
        if mode == "IMMEDIATE":
            self.wait_for_turn(connection)
        try:
            connection.exec_driver_sql(f"BEGIN {mode}")
        except BaseException:
            self.end(connection)
            raise

    def wait_for_turn(self, connection: Connection) -> None:
        # If it takes too long, SQLite will say that the database is locked.
        if self.lock.acquire(timeout=self.busy_timeout):
            self.held[connection] = self.lock

    def end(self, connection: Connection) -> None:
        lock = self.held.pop(connection, None)
        if lock:
            lock.release()


def begin_when_free(connection: Connection) -> None:
    """Begin a transaction with the write lock, and log if another process holds it.

    Raises SchemaError when `busy_timeout` has passed.
    """
    cursor = connection.connection.cursor()
    cursor.execute("PRAGMA busy_timeout")
    (milliseconds,) = cursor.fetchone() or (0,)
    deadline = time.monotonic() + milliseconds / 1000
    file = connection.engine.url.database
    told = False
    # SIGINT is handled between calls of SQLite only, so let none of them wait for long.
    cursor.execute("PRAGMA busy_timeout=100")
    try:
        while not _begin(connection):
            if time.monotonic() > deadline:
                raise SchemaError(
                    f"another process holds the write lock of {file}; stop it or try again"
                )
            if not told:
                log.info("Waiting for another process that writes to %s.", file)
                told = True
    finally:
        if not connection.invalidated:
            cursor.execute(f"PRAGMA busy_timeout={milliseconds}")


def _begin(connection: Connection) -> bool:
    try:
        connection.begin()
    except OperationalError as error:
        if failure_of(error) is Failure.TIMEOUT:
            return False
        raise
    return True


def refuse_nul(
    connection: Connection,
    cursor: Any,
    statement: str,
    parameters: Any,
    context: Any,
    executemany: bool,
) -> None:
    """Raise ValueError for NUL in a text, which SQLite would store, and PostgreSQL refuses."""
    for text in _texts(parameters):
        if "\0" in text:
            raise ValueError(f"a text may not contain NUL characters: {text!r}")


def _texts(parameters: Any) -> Iterator[str]:
    if isinstance(parameters, str):
        yield parameters
    elif isinstance(parameters, list | tuple):
        for value in parameters:
            yield from _texts(value)
