"""Connection parameters of PostgreSQL URLs for asyncpg."""

import re
from contextlib import suppress
from itertools import product
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import URL, Dialect, Engine, ExceptionContext, event
from sqlalchemy.exc import InvalidRequestError

from .errors import ConfigurationError, ConnectionFailed, Failure

# Parameters and values that asyncpg supports.
SUPPORTED_PARAMS = re.compile(
    r"""
    (host|port|application_name|options|target_session_attrs|pgbouncer|passfile|service|ssl)=.*
    |(krbsrvname|gsslib|ssl(mode|cert|key|crl|password|negotiation|_m(in|ax)_protocol_version))=.*
    |sslrootcert=(?!system$).*
    |(channel_binding|gssencmode)=(disable|prefer)
    |client_encoding=(?i:utf-?8|auto)
    |(command_timeout|connect_timeout)=\d+(\.\d*)?
    |(max_cache\w+|(prepared_)?statement_cache_size)=\d+
    """,
    re.VERBOSE | re.DOTALL,
)
# Parameters that asyncpg reads from a DSN, or sends to the server from there.
DSN_PARAMS = re.compile("ssl.+|passfile|service|krbsrvname|gsslib|application_name|options")
# Parameters that do not change what asyncpg does, given the values that it supports.
IGNORED_PARAMS = {"channel_binding", "client_encoding", "connect_timeout", "gssencmode"}


def check(url: URL) -> None:
    """Raise ConfigurationError for a parameter of the URL that asyncpg does not support."""
    for name, value in url.query.items():
        if not SUPPORTED_PARAMS.fullmatch(f"{name}={value}"):
            raise ConfigurationError(
                f"asyncpg does not support this '{name}'; remove it or use postgresql+psycopg://"
            )


def connect(dialect: Dialect, options: dict[str, Any]) -> Any:
    """Open a connection with asyncpg by libpq's parameters in `options`."""
    dsn = {name: value for name, value in options.items() if DSN_PARAMS.fullmatch(name)}
    arguments = {name: options[name] for name in options.keys() - dsn.keys() - IGNORED_PARAMS}
    arguments |= {name: int(value) for name, value in arguments.items() if "cache" in name}
    arguments |= {"dsn": f"postgresql://?{urlencode(dsn)}"}
    # A timeout of 0 is no limit for libpq.
    arguments.setdefault("timeout", float(options.get("connect_timeout", 0)) or None)
    hosts: Any = options.get("host")
    ports, wanted = options.get("port"), options.get("target_session_attrs")
    addresses = zip(hosts, ports, strict=True) if isinstance(ports, list) else [(hosts, ports)]
    preferences = ["standby", "any"] if wanted == "prefer-standby" else [wanted]
    attempts = [
        {"host": host, "port": port, "target_session_attrs": attrs}
        for attrs, (host, port) in product(preferences, addresses)
    ]
    # One by one, because the time limit of asyncpg is for all hosts together.
    for attempt in attempts[:-1]:
        with suppress(dialect.loaded_dbapi.Error, OSError):
            return dialect.connect(**arguments | attempt)
    return dialect.connect(**arguments | attempts[-1])


def install(engine: Engine) -> None:
    """Close connections that cannot be used any more, and do not wait for a frozen server."""
    event.listen(engine, "connect", _check_open, insert=True)
    event.listen(engine, "handle_error", _close_unusable)
    engine.dialect.do_close = _close  # type: ignore[method-assign]


def _check_open(connection: Any, record: object) -> None:
    """Raise ConnectionFailed for a closed connection, because asyncpg's error is not translated."""
    if connection.driver_connection.is_closed():
        message = "could not connect; the server closed the connection"
        raise ConnectionFailed(message, Failure.UNREACHABLE)


def _close_unusable(context: ExceptionContext) -> None:
    """Close a connection after a stream without a transaction. Raises InvalidRequestError then."""
    error: Any = context.original_exception
    if getattr(error, "sqlstate", None) == "25P01":
        # Because asyncpg could not begin a transaction on it any more.
        context.is_disconnect, context.invalidate_pool_on_disconnect = True, False
        raise InvalidRequestError(f"{error}; begin the read session with SNAPSHOT") from error


def _close(dbapi_connection: Any) -> None:
    # The server is told first. asyncpg would wait without a limit until it has closed the connection.
    with suppress(TimeoutError):
        dbapi_connection.run_async(lambda connection: connection.close(timeout=0.1))
