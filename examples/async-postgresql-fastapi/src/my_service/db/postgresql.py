"""Connections, error codes and the migration lock of PostgreSQL."""

import logging
import math
import os
import re
import socket
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from sqlalchemy import URL, Connection, Engine, ExceptionContext, event, func, select, text
from sqlalchemy.exc import ArgumentError, DBAPIError, InvalidatePoolError

from . import asyncpg_params
from .errors import Failure, SchemaError

log = logging.getLogger(__name__)

DIALECT = "postgresql"
SNAPSHOT_LEVEL = "REPEATABLE READ"
# Engine arguments of this layer; times are in seconds.
OPTIONS: dict[str, Any] = {
    "application_name": "",
    "connect_timeout": 10,
    "statement_timeout": 0,  # no limit
    "idle_in_transaction_session_timeout": 0,
    "pre_ping_after": 0.5,  # idle time after which a connection is tested before use
}
# Values of target_session_attrs, and their equivalents where all sessions are read-only.
READ_ONLY_ATTRS = {"read-write": "primary", "read-only": "standby"}
TRANSACTIONAL = ("READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE")
# Arguments of `context.configure`.
MIGRATION_OPTIONS: dict[str, Any] = {"transaction_per_migration": True}
# The SQL by which `upsert_many` returns whether a row is new.
IS_INSERTED = "xmax = 0"

ERROR_CODES = {  # SQLSTATEs
    Failure.UNREACHABLE: ("57P03",),
    Failure.TOO_MANY_CONNECTIONS: ("53300",),
    Failure.WRONG_CREDENTIALS: ("28000", "28P01"),
    Failure.UNKNOWN_DATABASE: ("3D000",),
    Failure.DISCONNECTED: ("25P03", "57P01", "57P02"),
    Failure.READ_ONLY: ("25006",),
    Failure.TIMEOUT: ("55P03", "57014"),
    Failure.SERIALIZATION: ("40001", "40P01"),
    Failure.UNIQUE_VIOLATION: ("23505",),
    Failure.FOREIGN_KEY_VIOLATION: ("23503",),
    Failure.CHECK_VIOLATION: ("23514",),
    Failure.NOT_NULL_VIOLATION: ("23502",),
}
# Messages of libpq, which has no codes for failures to connect.
MESSAGE_PATTERNS = {
    r"authentication failed|no password|no pg_hba.conf entry": Failure.WRONG_CREDENTIALS,
    r'role ".*" (does not exist|is not permitted)': Failure.WRONG_CREDENTIALS,
    r'database ".*" does not exist': Failure.UNKNOWN_DATABASE,
    r"too many (clients|connections)|remaining connection slots": Failure.TOO_MANY_CONNECTIONS,
    r"timeout expired": Failure.TIMEOUT,
    r"unsupported startup parameter": Failure.PROXIED,
}
CONNECTION_HINTS = {
    Failure.UNREACHABLE: "check that the server is running and DATABASE_URL is correct",
    Failure.TOO_MANY_CONNECTIONS: "the server has no free connection; keep processes x 2 x"
    " (pool_size + max_overflow) below its max_connections",
    Failure.WRONG_CREDENTIALS: "the server rejected the user or the password in DATABASE_URL",
    Failure.UNKNOWN_DATABASE: "the database does not exist; create it or correct DATABASE_URL",
    Failure.TIMEOUT: "the server did not answer in time; check its load and the firewall",
    Failure.PROXIED: "this looks like PgBouncer; add ?pgbouncer=true to DATABASE_URL, and remove"
    " parameters that it refuses",
}
# The key of the migration lock. No other advisory lock in the database may have it.
MIGRATION_LOCK = 7_204_513_380
LOCK_HOLDER = text(
    "SELECT format('process %s (%s)', pid, application_name) FROM pg_locks JOIN pg_stat_activity"
    " USING (pid) WHERE locktype = 'advisory' AND granted AND classid = :high AND objid = :low"
)


def code_of(error: BaseException | None) -> str | None:
    """Return the SQLSTATE of an exception of any driver."""
    return getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)


def columns_of(error: DBAPIError) -> list[str]:
    """Return the columns of a violated constraint, where the driver names them."""
    cause: Any = (error.orig and error.orig.__cause__) or error.orig
    diagnosis = getattr(cause, "diag", cause)
    detail = getattr(diagnosis, "message_detail", None) or getattr(diagnosis, "detail", None)
    match = re.search(r"\((.+?)\)=\(", detail or "")
    columns = match[1] if match else getattr(diagnosis, "column_name", None)
    return columns.split(", ") if columns else []


def can_read_apart(url: URL) -> bool:
    """Return whether a second engine for the URL has the same database."""
    return url.get_backend_name() == DIALECT


def engine_args(url: URL, arguments: dict[str, Any], *, read_only: bool) -> dict[str, Any]:
    """Return the arguments for SQLAlchemy. Raises ArgumentError for a URL that cannot be used."""
    pgbouncer = url.query.get("pgbouncer", "false")
    if pgbouncer not in ("true", "false"):
        raise ArgumentError("pgbouncer has to be true or false")
    if url.get_driver_name() == "asyncpg":
        asyncpg_params.check(url)
    # Drivers use the lowest 16 bits of a larger port, and a default for 0.
    _, options = url.get_dialect()().create_connect_args(url)
    ports = re.findall(r"-?\d+", f"{url.port} {url.query.get('port')} {options.get('port')}")
    if not all(0 < int(port) < 65536 for port in ports):
        raise ArgumentError("a port has to be between 1 and 65535")
    if read_only and pgbouncer == "true":
        # A setting of the connection would apply to other clients of the proxy, too.
        given = arguments.get("execution_options", {})
        return {**arguments, "execution_options": {**given, "postgresql_readonly": True}}
    return {**arguments, "isolation_level": "AUTOCOMMIT"} if read_only else arguments


def install(engine: Engine, settings: Mapping[str, Any]) -> None:
    """Test connections that have been idle, and refuse to commit an aborted transaction."""
    event.listen(engine, "checkin", lambda _, record: record.info.update(idle=time.monotonic()))
    event.listen(engine, "checkout", partial(_test, engine.dialect, settings["pre_ping_after"]))
    event.listen(engine, "handle_error", _note_error)
    # Not by an event of the engine, which would make each statement of a session slower.
    engine.dialect.do_commit = partial(_commit, engine.dialect.do_commit)  # type: ignore[method-assign]
    if engine.driver == "asyncpg":
        asyncpg_params.install(engine)


def shut_down(connection: Any) -> None:
    """Close a driver's connection while another task waits for it."""
    if hasattr(connection, "terminate"):
        connection.terminate()
        return
    with socket.socket(fileno=os.dup(connection.fileno())) as duplicate:
        duplicate.shutdown(socket.SHUT_RDWR)


def connect(dialect: Any, args: Any, options: Any, settings: Mapping[str, Any]) -> Any:
    """Open a connection with the driver's `options`, and with `settings` where they have none."""
    names = ("application_name", "connect_timeout")
    options = {name: settings[name] for name in names if settings[name]} | options
    if options.pop("pgbouncer", "") == "true":
        # Without prepared statements, because each transaction may be on another connection.
        if dialect.driver == "asyncpg":
            options |= {"statement_cache_size": 0, "prepared_statement_cache_size": 0}
            options["prepared_statement_name_func"] = str
            # Without AUTOCOMMIT, which would parse on one connection and execute on another one.
            dialect.get_isolation_level_values = lambda _: TRANSACTIONAL
        else:
            options["prepare_threshold"] = None
    else:
        # Sent even if they are 0, because PgBouncer refuses them with an error that has a hint.
        timeouts = ("statement_timeout", "idle_in_transaction_session_timeout")
        parameters = [f"-c {name}={settings[name] * 1000:.0f}" for name in timeouts]
        if settings["read_only"]:
            parameters.append("-c default_transaction_read_only=on")
            wanted = options.get("target_session_attrs", "any")
            options["target_session_attrs"] = READ_ONLY_ATTRS.get(wanted, wanted)
        options["options"] = " ".join([*parameters, options.get("options", "")]).strip()
    if dialect.driver == "asyncpg":
        return asyncpg_params.connect(dialect, options)
    return dialect.connect(*args, **options)


def run_with_migration_lock(connection: Connection, work: Callable[[], None], options: Any) -> None:
    """Call `work`, which changes the schema on the connection, under an advisory lock.

    The lock ends with the connection at the latest, and behind PgBouncer with the transaction of
    `work`. `options` may have `wait`, the limit in seconds for getting the lock (600), and
    `lock_timeout`, the limit for a table in use (5), after which `work` is called again.
    Raises SchemaError if another process keeps the lock, and what `work` raises.
    """
    deadline = time.monotonic() + options.get("wait", 600)
    of_transaction = connection.engine.url.query.get("pgbouncer") == "true"
    lock_timeout = f"{options.get('lock_timeout', 5) * 1000:.0f}"
    while True:
        try:
            _acquire(connection, deadline, of_transaction=of_transaction)
            for name, value in (("lock_timeout", lock_timeout), ("statement_timeout", "0")):
                connection.execute(select(func.set_config(name, value, of_transaction)))
            if not of_transaction:
                connection.commit()
            work()
            connection.commit()
            return
        except AssertionError as error:
            if not of_transaction:
                raise
            # From Alembic's autocommit_block, because the transaction is not Alembic's own.
            message = "a migration leaves its transaction; migrate by a URL without pgbouncer=true"
            raise SchemaError(message) from error
        except DBAPIError as error:
            in_use = code_of(error.orig) in ERROR_CODES[Failure.TIMEOUT]
            if not in_use or time.monotonic() > deadline:
                raise
            log.info("A table is in use; releasing the locks, and trying again.")
        finally:
            connection.rollback()
            if not of_transaction:
                connection.execute(select(func.pg_advisory_unlock(MIGRATION_LOCK)))
                connection.exec_driver_sql("RESET lock_timeout")
                connection.exec_driver_sql("RESET statement_timeout")
                connection.commit()
        _pause(connection, 0.5)


def _test(dialect: Any, after: float, connection: Any, record: Any, proxy: object) -> None:
    # A new connection has not been idle yet.
    if time.monotonic() - record.info.get("idle", math.inf) >= after:
        try:
            dialect.do_ping(connection)
        except dialect.loaded_dbapi.Error as error:
            # The other connections were opened before the same restart.
            raise InvalidatePoolError from error


def _note_error(context: ExceptionContext) -> None:
    if context.connection and code_of(context.original_exception) and not context.is_disconnect:
        context.connection.info["has_failed"] = True


def _commit(commit: Callable[[Any], None], connection: Any) -> None:
    # Because PostgreSQL rolls an aborted transaction back on COMMIT, without an error.
    if connection.info.pop("has_failed", False):
        connection.cursor().execute("SELECT 1")
    commit(connection)


def _acquire(connection: Connection, deadline: float, *, of_transaction: bool) -> None:
    # Polls, because a waiting statement has a snapshot, and CREATE INDEX CONCURRENTLY in the other
    # process would wait for the end of that.
    lock = func.pg_try_advisory_xact_lock if of_transaction else func.pg_try_advisory_lock
    key = {"high": MIGRATION_LOCK >> 32, "low": MIGRATION_LOCK & 0xFFFFFFFF}
    holder = None
    while not connection.scalar(select(lock(MIGRATION_LOCK))):
        before, holder = holder, connection.scalar(LOCK_HOLDER, key)
        if time.monotonic() > deadline:
            raise SchemaError(f"timed out waiting for the migration lock held by {holder}")
        if holder != before:
            log.info("Waiting for the migration lock held by %s.", holder)
        _pause(connection, 0.1)


def _pause(connection: Connection, seconds: float) -> None:
    connection.rollback()
    # Sleep on the server, which works for every driver.
    connection.execute(select(func.pg_sleep(seconds)))
    connection.rollback()
