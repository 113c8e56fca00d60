"""How a connection is opened: engine options, and errors that tell the cure."""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import URL, AsyncAdaptedQueuePool, Connection, Dialect, event
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from . import libpq, sqlite
from .errors import ConfigurationError, ConnectionFailed, Failure, failure_of_connecting
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

    Connections are tested before use, so a restarted database costs no error. Raises
    ConfigurationError for a wrong URL or argument. Opening a connection may raise ConnectionFailed.
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
        _, options = engine.dialect.create_connect_args(url)
        # Drivers use the lowest 16 bits of a larger port, and a default for 0.
        ports = re.findall(r"-?\d+", f"{url.port} {url.query.get('port')} {options.get('port')}")
        if not all(0 < int(port) < 65536 for port in ports):
            raise ArgumentError("a port has to be between 1 and 65535")
    except (ArgumentError, ModuleNotFoundError) as error:
        raise ConfigurationError(f"the database URL cannot be used: {error}") from error
    except TypeError as error:
        # SQLAlchemy's message has the wrong names in quotes.
        wrong = {name for name in arguments if f"'{name}'" in str(error)}
        known = {*OPTIONS, *arguments} - wrong
        near = " ".join(match for name in wrong for match in get_close_matches(name, known, 1))
        hint = f"; did you mean {near}?" if near else ""
        raise ConfigurationError(f"an engine argument is wrong{hint} ({error})") from error
    event.listen(engine.sync_engine, "do_connect", partial(_connect, ours))
    if engine.dialect.name in ("postgresql", "sqlite"):
        dialect: Any = engine.dialect
        dialect.do_savepoint = partial(_savepoint, "SAVEPOINT")
        dialect.do_rollback_to_savepoint = partial(_savepoint, "ROLLBACK TO SAVEPOINT")
        dialect.do_release_savepoint = partial(_savepoint, "RELEASE SAVEPOINT")
    if engine.dialect.name == "sqlite":
        sqlite.install(engine.sync_engine, ours["busy_timeout"])
    return engine


def is_memory(url: URL) -> bool:
    """Tell whether a URL names an SQLite database that lives in memory."""
    name = url.database or ":memory:"
    in_memory = name == ":memory:" or "mode=memory" in name or url.query.get("mode") == "memory"
    return url.get_backend_name() == "sqlite" and in_memory


def _connect(
    ours: dict[str, Any],
    dialect: Dialect,
    record: Any,
    args: list[Any],
    options: dict[str, Any],
) -> Any:
    cures = {**CURES, **SQLITE_CURES} if dialect.name == "sqlite" else CURES
    if dialect.name == "postgresql":
        options = _postgresql_options(options, ours)
    try:
        if dialect.name == "sqlite" and not (options.get("uri") or Path(args[0]).parent.is_dir()):
            raise FileNotFoundError(f"there is no folder {Path(args[0]).parent}; create it")
        if dialect.driver == "asyncpg":
            return libpq.connect(dialect, options)
        connection = dialect.connect(*args, **options)
        if dialect.name == "sqlite":
            sqlite.configure(connection, busy_timeout=ours["busy_timeout"], wal=ours["wal"])
    # Drivers raise TypeError for an unknown parameter, the others for a value out of range.
    except (dialect.loaded_dbapi.Error, OSError, OverflowError, TypeError, ValueError) as error:
        failure = failure_of_connecting(error)
        cure = cures.get(failure, cures[Failure.UNREACHABLE])
        reason = str(error) or type(error).__name__
        raise ConnectionFailed(f"cannot connect: {cure} ({reason})", failure) from error
    return connection


def _postgresql_options(options: dict[str, Any], ours: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a connection, with our settings where the URL says nothing else."""
    names = ("application_name", "connect_timeout")
    result = {name: ours[name] for name in names if ours[name]} | options
    timeouts = [
        f"-c {name}={ours[name] * 1000:.0f}"
        for name in ("statement_timeout", "idle_in_transaction_session_timeout")
        if ours[name]
    ]
    if timeouts:
        result["options"] = " ".join([*timeouts, options.get("options", "")]).strip()
    return result


def _savepoint(command: str, connection: Connection, name: str) -> None:
    # SQLAlchemy numbers them, so each would be compiled anew, and prepared anew by the driver.
    # Of those within no other, one is open at a time: they can share a name.
    if connection.get_nested_transaction() is None:
        connection.info["outermost_savepoint"] = name
    if name == connection.info.get("outermost_savepoint"):
        name = "sa_savepoint_0"
    connection.exec_driver_sql(f"{command} {name}")
