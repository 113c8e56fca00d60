"""Connections, transactions, error codes and migrations of SQLite."""

import logging
import sqlite3
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Dialect, Engine, PoolProxiedConnection, event, exc

from .errors import Failure, SchemaError
from .writer import WriterPool

log = logging.getLogger(__name__)

DIALECT = "sqlite"
SNAPSHOT_LEVEL = "SERIALIZABLE"
# Engine arguments of this layer.
OPTIONS: dict[str, Any] = {
    "busy_timeout": 30,  # seconds to wait for a writer in another process
    "wal": True,  # readers do not wait for writers; off for a file on a network share
}
# Arguments of `context.configure`.
MIGRATION_OPTIONS: dict[str, Any] = {"render_as_batch": True}
# The SQL by which `upsert_many` returns whether a row is new, which SQLite cannot return.
IS_INSERTED = "NULL"

ERROR_CODES = {  # result codes
    Failure.UNREACHABLE: ("SQLITE_CANTOPEN",),
    Failure.UNKNOWN_DATABASE: ("SQLITE_NOTADB",),
    Failure.READ_ONLY: ("SQLITE_READONLY",),
    Failure.TIMEOUT: ("SQLITE_BUSY", "SQLITE_LOCKED"),
    Failure.SERIALIZATION: ("SQLITE_BUSY_SNAPSHOT",),
    Failure.UNIQUE_VIOLATION: ("SQLITE_CONSTRAINT_PRIMARYKEY", "SQLITE_CONSTRAINT_UNIQUE"),
    Failure.FOREIGN_KEY_VIOLATION: ("SQLITE_CONSTRAINT_FOREIGNKEY",),
    Failure.CHECK_VIOLATION: ("SQLITE_CONSTRAINT_CHECK",),
    Failure.NOT_NULL_VIOLATION: ("SQLITE_CONSTRAINT_NOTNULL",),
}
MESSAGE_PATTERNS: dict[str, Failure] = {}
CONNECTION_HINTS = {
    Failure.UNREACHABLE: "the file cannot be opened; check its permissions and DATABASE_URL",
    Failure.UNKNOWN_DATABASE: "the file is not a SQLite database; check DATABASE_URL",
    Failure.TIMEOUT: "another process holds the write lock of the file; stop it or try again",
}


def code_of(error: BaseException | None) -> str | None:
    """Return the name of SQLite's result code in an exception."""
    return getattr(error, "sqlite_errorname", None)


def columns_of(error: exc.DBAPIError) -> list[str]:
    """Return the columns of a violated constraint, where the driver names them."""
    _, _, columns = str(error.orig).partition("constraint failed: ")
    return [name.rpartition(".")[2] for name in columns.split(", ") if "." in name]


def can_read_apart(url: URL) -> bool:
    """Return whether a second engine for the URL has the same database."""
    return url.get_backend_name() == DIALECT and not _is_memory(url)


def engine_args(url: URL, arguments: dict[str, Any], *, read_only: bool) -> dict[str, Any]:
    """Return the arguments for SQLAlchemy."""
    connect_args = {"factory": ClosingConnection, **arguments.get("connect_args", {})}
    if _is_memory(url):
        connect_args["check_same_thread"] = False
    if _is_memory(url) or not (read_only or "poolclass" in arguments):
        arguments = {**arguments, "poolclass": WriterPool, "pool_size": 1, "max_overflow": 0}
    if read_only:
        autocommit = {"isolation_level": "AUTOCOMMIT", "skip_autocommit_rollback": True}
        arguments = {**arguments, **autocommit}
    return {**arguments, "connect_args": connect_args}


def install(engine: Engine, settings: Mapping[str, Any]) -> None:
    """Emit BEGIN explicitly, and refuse NUL characters in parameters."""
    is_memory = _is_memory(engine.url)
    dialect: Any = engine.dialect
    # Not by an event of the engine, which would make a session a tenth slower.
    dialect.do_begin = partial(_begin, immediate=not (is_memory or settings["read_only"]))
    for name in ("do_execute", "do_executemany"):
        event.listen(engine, name, _refuse_nul)
    if is_memory:
        event.listen(engine, "begin", _set_query_only)


def connect(dialect: Dialect, args: Any, options: Any, settings: Mapping[str, Any]) -> Any:
    """Open a connection with foreign keys on, for reading only if `settings` has `read_only`."""
    if not (options.get("uri") or Path(args[0]).parent.is_dir()):
        raise FileNotFoundError(f"the folder {Path(args[0]).parent} does not exist; create it")
    connection = dialect.connect(*args, **options)
    try:
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={settings['busy_timeout'] * 1000:.0f}")
        cursor.execute("PRAGMA foreign_keys=ON")
        if settings["wal"]:
            _use_wal(cursor, time.monotonic() + min(settings["busy_timeout"], 0.5))
        if settings["read_only"]:
            cursor.execute("PRAGMA query_only=ON")
        cursor.close()
    except BaseException:
        dialect.do_terminate(connection)
        raise
    return connection


class ClosingConnection(sqlite3.Connection):
    """A connection that ends its transaction on `close`, even if a cursor is still open."""

    def close(self) -> None:
        if self.in_transaction:
            self.rollback()
        super().close()


def run_with_migration_lock(connection: Connection, work: Callable[[], None], options: Any) -> None:
    """Call `work`, which changes the schema on the connection, in a transaction of its own.

    The transaction has the write lock, so no other process writes meanwhile. Foreign keys are off,
    because rebuilding a table would delete the rows that refer to it, and checked at the end.

    Raises SchemaError if another process keeps the lock for longer than `busy_timeout`, or if a
    foreign key would have no row to refer to, and what `work` raises.
    """
    # Before the transaction, because SQLite ignores it within one.
    connection.connection.cursor().execute("PRAGMA foreign_keys=OFF")
    try:
        _begin_when_free(connection)
        work()
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").scalars().all()
        if broken:
            raise SchemaError(f"{len(broken)} rows would refer to nothing: {', '.join({*broken})}")
        connection.commit()
    finally:
        connection.rollback()
        connection.connection.cursor().execute("PRAGMA foreign_keys=ON")


def _begin_when_free(connection: Connection) -> None:
    """Begin a transaction, and log a wait for the write lock."""
    cursor = connection.connection.cursor()
    cursor.execute("PRAGMA busy_timeout")
    (milliseconds,) = cursor.fetchone() or (0,)
    deadline = time.monotonic() + milliseconds / 1000
    file = connection.engine.url.database
    message = f"another process holds the write lock of {file}; stop it or try again"
    is_logged = False
    # Short, because Python handles SIGINT only between calls of SQLite.
    cursor.execute("PRAGMA busy_timeout=100")
    try:
        while True:
            try:
                connection.begin()
                return
            except exc.OperationalError as error:
                if code_of(error.orig) not in ERROR_CODES[Failure.TIMEOUT]:
                    raise
                if time.monotonic() > deadline:
                    raise SchemaError(message) from error
                if not is_logged:
                    log.info("Waiting for another process that writes to %s.", file)
                    is_logged = True
    finally:
        if not connection.invalidated:
            cursor.execute(f"PRAGMA busy_timeout={milliseconds}")


def _begin(connection: PoolProxiedConnection, *, immediate: bool) -> None:
    # Because the driver delays BEGIN until the first write, and leaves DDL and savepoints outside.
    # Its `isolation_level` is None under AUTOCOMMIT. IMMEDIATE takes the write lock, so that no
    # other process writes after this one has read.
    if getattr(connection.dbapi_connection, "isolation_level", "") is not None:
        cursor = connection.cursor()
        cursor.execute("BEGIN IMMEDIATE" if immediate else "BEGIN")
        cursor.close()


def _set_query_only(connection: Connection) -> None:
    # Because sessions of both kinds share the connection of a database in memory.
    is_reader = connection.get_execution_options().get("read_only", False)
    connection.exec_driver_sql(f"PRAGMA query_only={is_reader:d}")


def _is_memory(url: URL) -> bool:
    name = url.database or ":memory:"
    return name == ":memory:" or "mode=memory" in name or url.query.get("mode") == "memory"


def _use_wal(cursor: Any, deadline: float) -> None:
    # Because `busy_timeout` does not apply to the change to WAL while another process writes.
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            cursor.execute("PRAGMA synchronous=NORMAL")
            return
        except Exception as error:
            if code_of(error) not in ERROR_CODES[Failure.TIMEOUT]:
                raise
            # Later connections try again; a reader need not wait for a long transaction.
            if time.monotonic() > deadline:
                return
            time.sleep(0.005)


def _refuse_nul(cursor: Any, statement: str, parameters: Any, context: Any) -> None:
    """Raise ValueError for NUL characters in text, which PostgreSQL refuses and SQLite stores."""
    for values in parameters if isinstance(parameters, list) else [parameters]:
        for value in values:
            if isinstance(value, str) and "\0" in value:
                raise ValueError(f"a text may not contain NUL characters: {value!r}")
