"""How a connection is opened: engine options, SQLite's settings, and errors that tell the cure."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Dialect, Engine, QueuePool, create_engine, event

from .errors import ConnectionFailed, Failure, failure_of_connecting
from .urls import driver_url

CURES = {
    Failure.WRONG_CREDENTIALS: "the user or the password in DATABASE_URL is not accepted",
    Failure.UNKNOWN_DATABASE: "there is no such database: create it, or correct DATABASE_URL",
    Failure.TIMEOUT: "the database did not answer in time; is it overloaded, or behind a firewall?",
    Failure.UNREACHABLE: "nothing answers there: start the database, or correct DATABASE_URL",
}


def make_engine(url: str | URL, engine_args: Mapping[str, Any] | None = None) -> Engine:
    """Return an engine for `url`; `engine_args` are SQLAlchemy's arguments for it.

    Connections are tested before use, so a restarted database costs no error. Raises ValueError
    for a URL that cannot be served. Opening a connection raises ConnectionFailed when it fails.
    """
    url = driver_url(url)
    options = {"pool_pre_ping": True, **(engine_args or {})}
    if is_memory(url):
        # One connection is the whole database: sessions take turns.
        options |= {"poolclass": QueuePool, "pool_size": 1, "max_overflow": 0}
        options["connect_args"] = {**options.get("connect_args", {}), "check_same_thread": False}
    try:
        engine = create_engine(url, **options)
    except ModuleNotFoundError as error:
        raise ValueError(f"{url.drivername} is not installed: {error}; add its package") from error
    event.listen(engine, "do_connect", _connect)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def is_memory(url: URL) -> bool:
    """Tell whether a URL names an SQLite database that lives in memory."""
    name = url.database or ":memory:"
    in_memory = name == ":memory:" or "mode=memory" in name or url.query.get("mode") == "memory"
    return url.get_backend_name() == "sqlite" and in_memory


def _connect(dialect: Dialect, record: Any, args: list[Any], options: dict[str, Any]) -> Any:
    if dialect.name == "sqlite" and not options.get("uri") and not Path(args[0]).parent.is_dir():
        message = f"cannot connect: there is no folder {Path(args[0]).parent}; create it"
        raise ConnectionFailed(message, Failure.UNREACHABLE)
    try:
        connection = dialect.connect(*args, **options)
        if dialect.name == "sqlite":
            _configure_sqlite(connection)
    except (dialect.loaded_dbapi.Error, OSError) as error:
        failure = failure_of_connecting(error)
        raise ConnectionFailed(f"cannot connect: {CURES[failure]} ({error})", failure) from error
    return connection


def _configure_sqlite(connection: Any) -> None:
    # The driver's own transactions leave DDL and savepoints outside; `_begin_sqlite` replaces them.
    try:
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA busy_timeout=30000")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.close()
    except Exception:
        connection.close()
        raise


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes later fails if another wrote in between. Taking the
    # write lock at the beginning makes writers queue. Readers may pass sqlite_begin="DEFERRED".
    mode = connection.get_execution_options().get("sqlite_begin", "IMMEDIATE")
    connection.exec_driver_sql(f"BEGIN {mode}")
