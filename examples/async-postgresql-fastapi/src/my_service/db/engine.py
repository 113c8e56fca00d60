"""How a connection is opened: engine options, and errors that tell the cure."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import URL, AsyncAdaptedQueuePool, Connection, Dialect, event
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from . import libpq, sqlite
from .errors import ConnectionFailed, Failure, failure_of_connecting
from .urls import driver_url

# Arguments of `make_engine` that SQLAlchemy does not have. Those for other databases are ignored.
OPTIONS: dict[str, Any] = {
    "application_name": "",
    "connect_timeout": 10,
    "statement_timeout": 0,
    "idle_in_transaction_session_timeout": 0,
    "busy_timeout": 30,
    "wal": True,
}
CURES = {
    Failure.WRONG_CREDENTIALS: "the user or the password in DATABASE_URL is not accepted",
    Failure.UNKNOWN_DATABASE: "there is no such database: create it, or correct DATABASE_URL",
    Failure.TIMEOUT: "the database did not answer in time; is it overloaded, or behind a firewall?",
    Failure.UNREACHABLE: "it cannot be reached as DATABASE_URL says: start it, or correct the URL",
}
SQLITE_CURES = {
    Failure.UNKNOWN_DATABASE: "the file is no SQLite database: move it, or correct DATABASE_URL",
    Failure.UNREACHABLE: "the file cannot be used: correct its permissions, or DATABASE_URL",
}


def make_engine(url: str | URL, engine_args: Mapping[str, Any] | None = None) -> AsyncEngine:
    """Return an engine for `url`; `engine_args` are SQLAlchemy's arguments for it.

    Beside these, PostgreSQL has `application_name`, and in seconds, where 0 is no limit,
    `connect_timeout`, `statement_timeout` and `idle_in_transaction_session_timeout`. SQLite has
    `busy_timeout` in seconds, and `wal`.

    Connections are tested before use, so a restarted database costs no error. Raises ValueError
    for a URL that cannot be served. Opening a connection raises ConnectionFailed when it fails.
    """
    url = driver_url(url)
    arguments = {"pool_pre_ping": True, **(engine_args or {})}
    ours = {name: arguments.pop(name, default) for name, default in OPTIONS.items()}
    if is_memory(url):
        # One connection is the whole database: sessions take turns.
        arguments |= {"poolclass": AsyncAdaptedQueuePool, "pool_size": 1, "max_overflow": 0}
        connect_args = {**arguments.get("connect_args", {}), "check_same_thread": False}
        arguments["connect_args"] = connect_args
    if url.get_driver_name() == "asyncpg":
        libpq.check(url)
    try:
        engine = create_async_engine(url, **arguments)
    except ArgumentError as error:
        raise ValueError(f"the database URL cannot be used: {error}") from error
    except ModuleNotFoundError as error:
        raise ValueError(f"{url.drivername} is not installed: {error}; add its package") from error

    @event.listens_for(engine.sync_engine, "do_connect")
    def connect(dialect: Dialect, record: Any, args: list[Any], options: dict[str, Any]) -> Any:
        return _connect(dialect, args, options, ours)

    if engine.dialect.name in ("postgresql", "sqlite"):
        dialect: Any = engine.dialect
        dialect.do_savepoint = partial(_savepoint, "SAVEPOINT")
        dialect.do_rollback_to_savepoint = partial(_savepoint, "ROLLBACK TO SAVEPOINT")
        dialect.do_release_savepoint = partial(_savepoint, "RELEASE SAVEPOINT")
    if engine.dialect.name == "sqlite":
        sqlite.Transactions(engine.sync_engine, ours["busy_timeout"])
        event.listen(engine.sync_engine, "before_cursor_execute", sqlite.refuse_nul)
    return engine


def is_memory(url: URL) -> bool:
    """Tell whether a URL names an SQLite database that lives in memory."""
    name = url.database or ":memory:"
    in_memory = name == ":memory:" or "mode=memory" in name or url.query.get("mode") == "memory"
    return url.get_backend_name() == "sqlite" and in_memory


def _connect(
    dialect: Dialect,
    args: list[Any],
    options: dict[str, Any],
    ours: dict[str, Any],
) -> Any:
    cures = {**CURES, **SQLITE_CURES} if dialect.name == "sqlite" else CURES
    if dialect.name == "postgresql":
        options = _postgresql_options(dialect, options, ours)
    try:
        if dialect.name == "sqlite" and not options.get("uri"):
            _check_folder(Path(args[0]).parent)
        if dialect.driver == "asyncpg":
            return libpq.connect(dialect, options)
        connection = dialect.connect(*args, **options)
        if dialect.name == "sqlite":
            sqlite.configure(connection, busy_timeout=ours["busy_timeout"], wal=ours["wal"])
    # TypeError is how drivers refuse a parameter that they do not know.
    except (dialect.loaded_dbapi.Error, OSError, TypeError) as error:
        failure = failure_of_connecting(error)
        cure = cures.get(failure, cures[Failure.UNREACHABLE])
        reason = str(error) or type(error).__name__
        raise ConnectionFailed(f"cannot connect: {cure} ({reason})", failure) from error
    return connection


def _postgresql_options(
    dialect: Dialect,
    options: dict[str, Any],
    ours: dict[str, Any],
) -> dict[str, Any]:
    """Return the options of a connection, with our settings where the URL says nothing else."""
    result = {**options}
    for name in ("application_name", "connect_timeout"):
        # The time limit of pg8000 would go on and cut off long queries.
        if ours[name] and (name, dialect.driver) != ("connect_timeout", "pg8000"):
            result.setdefault(name, ours[name])
    timeouts = {
        name: f"{ours[name] * 1000:.0f}"
        for name in ("statement_timeout", "idle_in_transaction_session_timeout")
        if ours[name]
    }
    settings = " ".join(f"-c {name}={value}" for name, value in timeouts.items())
    if settings and dialect.driver == "pg8000":
        result.setdefault("startup_params", {"options": settings})
    elif settings:
        result["options"] = f"{settings} {options.get('options', '')}".strip()
    return result


def _savepoint(command: str, connection: Connection, name: str) -> None:
    # SQLAlchemy numbers them, so each would be compiled anew, and prepared anew by the driver.
    # Of those within no other, one is open at a time: they can share a name.
    if connection.get_nested_transaction() is None:
        connection.info["outermost_savepoint"] = name
    if name == connection.info.get("outermost_savepoint"):
        name = "sa_savepoint_0"
    connection.exec_driver_sql(f"{command} {name}")


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        message = f"cannot connect: there is no folder {folder}; create it"
        raise ConnectionFailed(message, Failure.UNREACHABLE)
