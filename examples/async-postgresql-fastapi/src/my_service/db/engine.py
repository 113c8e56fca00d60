"""Create engines and explain connection errors."""

import logging
import os
from collections.abc import Mapping
from difflib import get_close_matches
from functools import partial
from typing import Any
from weakref import WeakSet

from sqlalchemy import URL, Dialect, Engine, ExceptionContext, Pool, event
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from . import postgresql as backend
from .errors import ConfigurationError, ConnectionFailed, Failure, check_writable
from .failures import failure_of, failure_of_connecting
from .urls import driver_url

log = logging.getLogger(__name__)
Args = Mapping[str, Any] | None

# Execution options for a read session whose statements all read from one snapshot.
SNAPSHOT = {"isolation_level": backend.SNAPSHOT_LEVEL}
_engines: WeakSet[Engine] = WeakSet()
_parent_pools: list[Pool] = []


def make_engine(url: str | URL, engine_args: Args = None, read_only: bool = False) -> AsyncEngine:
    """Return an engine for `url`; with `read_only`, the database refuses to write.

    `engine_args` are SQLAlchemy's arguments, and those in `backend.OPTIONS`. An engine for another
    database than this project's gets SQLAlchemy's only, and a warning is logged. Raises
    ConfigurationError for a wrong URL or argument. Connecting may raise ConnectionFailed, and
    writing with `read_only` ReadOnlyError.
    """
    url = driver_url(url)
    is_supported = url.get_backend_name() == backend.DIALECT
    arguments, layer_options = {**(engine_args or {})}, {"read_url": None, **backend.OPTIONS}
    settings = {name: arguments.pop(name, default) for name, default in layer_options.items()}
    try:
        if is_supported:
            arguments = backend.engine_args(url, arguments, read_only=read_only)
        else:
            safe_url = url.set(query={})
            log.warning("plain engine for %r; this layer is for %s", safe_url, backend.DIALECT)
        engine = create_async_engine(url, **arguments)
    except (ArgumentError, ModuleNotFoundError) as error:
        raise ConfigurationError(f"the database URL cannot be used: {error}") from error
    except TypeError as error:
        # SQLAlchemy quotes the wrong names in its message.
        wrong = {name for name in arguments if f"'{name}'" in str(error)}
        known = {*backend.OPTIONS, *arguments} - wrong
        near = [match for name in wrong for match in get_close_matches(name, known, 1)]
        hint = f"; did you mean {' '.join(near)}?" if near else ""
        raise ConfigurationError(f"an engine argument is wrong{hint} ({error})") from error
    if is_supported:
        settings["read_only"] = read_only
        backend.install(engine.sync_engine, settings)
        event.listen(engine.sync_engine, "do_connect", partial(_connect, settings))
        event.listen(engine.sync_engine, "handle_error", _handle_read_only)
    _engines.add(engine.sync_engine)
    return engine.execution_options(read_only=True) if read_only else engine


def make_read_engine(engine: AsyncEngine, engine_args: Args) -> AsyncEngine:
    """Return an engine for reading from `read_url`, or else from the database of `engine`.

    It shares the connections of `engine` if that has an in-memory database or another dialect,
    for which text SQL is not refused.
    """
    read_url = (engine_args or {}).get("read_url")
    if not read_url and not backend.can_read_apart(engine.url):
        return engine.execution_options(read_only=True)
    arguments = {**(engine_args or {})}
    if arguments.get("max_overflow", -1) >= 0:
        # One for `explain`, while all others are in use.
        arguments["max_overflow"] += 1
    return make_engine(read_url or engine.url, arguments, read_only=True)


def _connect(settings: Any, dialect: Dialect, record: Any, args: Any, options: Any) -> Any:
    try:
        return backend.connect(dialect, args, options, settings)
    # Drivers raise TypeError for an unknown parameter, OverflowError and ValueError for a value.
    except (dialect.loaded_dbapi.Error, OSError, OverflowError, TypeError, ValueError) as error:
        failure = failure_of_connecting(error)
        hints = backend.CONNECTION_HINTS
        hint, reason = hints.get(failure, hints[Failure.UNREACHABLE]), str(error) or repr(error)
        raise ConnectionFailed(f"could not connect; {hint} ({reason})", failure) from error


def _handle_read_only(context: ExceptionContext) -> None:
    if failure_of(context.original_exception) is Failure.READ_ONLY:
        if context.connection is not None:
            check_writable(context.connection)
        # The server has become a standby; a new connection may reach the new primary.
        context.is_disconnect = True


def _leave_connections_to_parent() -> None:
    for engine in _engines:
        # Kept, because the parent's connections would be closed with the pool.
        _parent_pools.append(engine.pool)
        engine.dispose(close=False)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_connections_to_parent)
