"""libpq's connection parameters, as they stand in URLs, for SQLAlchemy and for asyncpg."""

import re
import socket
from contextlib import suppress
from typing import Any
from urllib.parse import unquote, urlencode

from sqlalchemy import URL, Dialect

from .errors import ConfigurationError, ConnectionFailed, Failure

# Several hosts, as PostgreSQL's own tools take them: SQLAlchemy has them in the query.
HOSTS = re.compile(
    r"((?:postgres|cockroach)[^:/]*://(?>(?:[^:/]*(?::[^@]*)?@)?))"  # as SQLAlchemy reads them
    r"([^/?@]*,[^/?@]*)(/[^?]*|)(?:\?(.*))?"
)
HOST = re.compile(r"(?:\[(.*)\]|([^:]*)):?(.*)")
# Parameters of libpq that have a place of their own in the URL, where a password is hidden.
PARTS = {"user": "username", "password": "password", "dbname": "database"}
# What asyncpg reads from a DSN, in the way of libpq.
FROM_DSN = {
    *("sslmode", "sslcert", "sslkey", "sslrootcert", "sslcrl", "sslpassword", "sslnegotiation"),
    *("ssl_min_protocol_version", "ssl_max_protocol_version"),
    *("passfile", "service", "krbsrvname", "gsslib"),
}
KEEPALIVES = {
    "keepalives": (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
    "keepalives_idle": (socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPIDLE", None)),
    "keepalives_interval": (socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPINTVL", None)),
    "keepalives_count": (socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPCNT", None)),
    "tcp_user_timeout": (socket.IPPROTO_TCP, getattr(socket, "TCP_USER_TIMEOUT", None)),
}
# What asyncpg takes as an integer.
SIZES = {
    *("max_cacheable_statement_size", "max_cached_statement_lifetime"),
    *("prepared_statement_cache_size", "statement_cache_size"),
}
# Settings of the server, and what asyncpg never does, by which nothing is lost unless demanded.
SETTINGS, NEVER = {"application_name", "options"}, {"channel_binding", "gssencmode"}
OTHERS = {
    *("host", "port", "ssl", "connect_timeout", "command_timeout", "client_encoding"),
    *("pgbouncer", "target_session_attrs"),
}
KNOWN = FROM_DSN | KEEPALIVES.keys() | SIZES | SETTINGS | NEVER | OTHERS
# The values that asyncpg can do, where it cannot do any.
VALUES = {
    "client_encoding": "(?i:utf-?8|auto)",
    "command_timeout": r"\d+(\.\d*)?",
    "sslrootcert": "(?!system$).*",
    **dict.fromkeys(NEVER, "disable|prefer"),
    **dict.fromkeys({"connect_timeout", *KEEPALIVES}, r"-?\d+"),
    **dict.fromkeys(SIZES, r"\d+"),
}


def parts_in_place(url: URL) -> URL:
    """Return the URL with user, password and database out of the query, where they would show."""
    query = url.normalized_query.items()
    parts: dict[str, Any] = {PARTS[k]: v[-1] for k, v in query if k in PARTS}
    if "password" in parts:
        # SQLAlchemy renders no password without a user.
        parts.setdefault("username", url.username or "")
    url = url.difference_update_query(PARTS).set(**parts)
    host = url.host or ""
    if host.lower().startswith("%2f"):
        # SQLAlchemy takes a folder of sockets from the query only.
        url = url._replace(host=None).update_query_dict({"host": unquote(host), **url.query})
    return url


def several_hosts(url: str) -> str:
    """Return a URL with the list of hosts, if it has one, in the query, where SQLAlchemy reads it."""
    found = HOSTS.fullmatch(url)
    if not found:
        return url
    start, listed, database, query = found.groups()
    pairs = [HOST.fullmatch(host) for host in listed.split(",")]
    hosts = ",".join(pair[1] or pair[2] for pair in pairs if pair)
    ports = ",".join(pair[3] or "5432" for pair in pairs if pair)
    return f"{start}{database}?host={hosts}&port={ports}&{query or ''}"


def check(url: URL) -> None:
    """Raise ConfigurationError for a parameter in the URL that asyncpg cannot honour."""
    for name, value in url.query.items():
        several = not isinstance(value, str) and name not in ("host", "port")
        if name not in KNOWN or several or not re.fullmatch(VALUES.get(name, ".*"), str(value)):
            raise ConfigurationError(f"asyncpg does not support this '{name}'; use +psycopg")


def translate(options: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments for `asyncpg.connect` that do what libpq would do with `options`."""
    result = {name: value for name, value in options.items() if name not in KNOWN - OTHERS}
    result.pop("client_encoding", None)
    dsn = {name: options[name] for name in FROM_DSN & options.keys()}
    if dsn:
        result["dsn"] = f"postgresql://?{urlencode(dsn)}"
    settings = {name: options[name] for name in SETTINGS & options.keys()}
    if settings:
        result["server_settings"] = {**settings, **options.get("server_settings", {})}
    if "connect_timeout" in result:
        # For libpq, 0 is no limit.
        seconds = float(result.pop("connect_timeout"))
        result.setdefault("timeout", seconds if seconds > 0 else None)
    for name in SIZES & options.keys():
        result[name] = int(options[name])
    return result


def connect(dialect: Dialect, options: dict[str, Any]) -> Any:
    """Open a connection with asyncpg that is like one that libpq opens with `options`."""
    connection = _connect(dialect, translate(options))
    opened = connection.driver_connection._transport.get_extra_info("socket")
    if opened is not None and opened.family in (socket.AF_INET, socket.AF_INET6):
        try:
            _keep_alive(opened, options)
        except Exception:
            connection.terminate()
            raise
    return connection


def check_open(connection: Any, record: object) -> None:
    """Raise ConnectionFailed for a closed connection, because asyncpg's error is not translated."""
    is_closed = getattr(connection.driver_connection, "is_closed", bool)
    if is_closed():
        raise ConnectionFailed("cannot connect: the server hung up", Failure.UNREACHABLE)


def _connect(dialect: Dialect, arguments: dict[str, Any]) -> Any:
    hosts, ports = arguments.get("host"), arguments.get("port")
    if not isinstance(hosts, list) or not isinstance(ports, list):
        return dialect.connect(**arguments)
    # asyncpg has one time limit for all hosts together: the first dead one would use it up.
    wanted = arguments.pop("target_session_attrs", "any")
    attempts = [
        {"host": host, "port": port, "target_session_attrs": attrs}
        for attrs in (["standby", "any"] if wanted == "prefer-standby" else [wanted])
        for host, port in zip(hosts, ports, strict=True)
    ]
    for attempt in attempts[:-1]:
        with suppress(dialect.loaded_dbapi.Error, OSError):
            return dialect.connect(**{**arguments, **attempt})
    return dialect.connect(**{**arguments, **attempts[-1]})


def _keep_alive(opened: socket.socket, options: dict[str, Any]) -> None:
    for name, value in {"keepalives": 1, **options}.items():
        level, option = KEEPALIVES.get(name, (0, None))
        if option is not None:
            opened.setsockopt(level, option, int(value))
