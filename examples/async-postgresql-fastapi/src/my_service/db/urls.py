"""Choose the driver for a database URL."""

import re
from typing import Any
from urllib.parse import unquote

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from .errors import ConfigurationError

# Dialects, each with its drivers; the first is the default.
DRIVERS = {
    "cockroachdb": ("asyncpg", "psycopg"),
    "mariadb": ("aiomysql", "asyncmy"),
    "mssql": ("aioodbc",),
    "mysql": ("aiomysql", "asyncmy"),
    "oracle": ("oracledb", "oracledb_async"),
    "postgresql": ("asyncpg", "psycopg", "psycopg_async"),
    "sqlite": ("aiosqlite",),
}
# Drivers without asyncio, in place of which a URL gets the default one of its dialect.
INCOMPATIBLE_DRIVERS = {
    *("cx_oracle", "cymysql", "mariadbconnector", "mssqlpython", "mysqlconnector", "mysqldb"),
    *("pg8000", "psycopg2", "psycopg2cffi", "pymssql", "pymysql", "pyodbc", "pysqlcipher"),
    "pysqlite",
}
ALIASES = {"postgres": "postgresql", "cockroach": "cockroachdb"}
# SQLAlchemy takes what comes after the first '@' for a host, and would show it.
UNESCAPED = re.compile(r"[^:]*://[^:/]*:[^@]*@[^?]*@")
# A URL with a list of hosts, with user and password as SQLAlchemy reads them; an entry of the list.
MULTIHOST_URL = re.compile(
    r"((?:postgres|cockroach)[^:/]*://(?>(?:[^:/]*(?::[^@]*)?@)?))"
    r"([^/?@]*,[^/?@]*)(/[^?]*|)(?:\?(.*))?"
)
HOST = re.compile(r"(?:\[(.*)\]|([^:]*)):?(.*)")
# Query parameters with a place of their own in the URL, where SQLAlchemy hides the password.
URL_PARTS = {"user": "username", "password": "password", "dbname": "database"}


def driver_url(url: str | URL) -> URL:
    """Return the URL with a driver that can be used here; all else is unchanged.

    A driver that the URL names is kept if `DRIVERS` has it. Pydantic's URLs are accepted, too.
    Raises ConfigurationError, without the password, for a URL that cannot be used.
    """
    text = url.render_as_string(hide_password=False) if isinstance(url, URL) else str(url)
    if text != text.strip("\"' \t\r\n"):
        raise ConfigurationError("remove the quotes and the white space around the database URL")
    try:
        parsed = url if isinstance(url, URL) else make_url(_parse_multihost_url(text))
    except (ArgumentError, ValueError):
        # The original message shows the URL, password included.
        raise ConfigurationError(
            "the database URL cannot be read; write dialect://user:password@host:port/database,"
            " with @ : / # % ? in the password percent-encoded, or sqlite:///file.db"
        ) from None
    if UNESCAPED.match(text) or "@" in (parsed.host or ""):
        raise ConfigurationError("unescaped '@' in the password of the database URL; write %40")
    dialect, _, driver = parsed.drivername.partition("+")
    dialect = ALIASES.get(dialect, dialect)
    if dialect not in DRIVERS:
        raise ConfigurationError(f"unknown database '{dialect}'; use one of: {', '.join(DRIVERS)}")
    if not driver or driver in INCOMPATIBLE_DRIVERS:
        driver = DRIVERS[dialect][0]
    if driver not in DRIVERS[dialect]:
        choices = ", ".join(DRIVERS[dialect])
        raise ConfigurationError(f"no driver '{driver}' for {dialect} here; use one of: {choices}")
    if dialect in ("cockroachdb", "postgresql"):
        parsed = _move_query_parts(parsed)
    return parsed.set(drivername=f"{dialect}+{driver}")


def _parse_multihost_url(url: str) -> str:
    """Return a URL whose list of hosts, if it has one, is in the query, as SQLAlchemy reads it."""
    match = MULTIHOST_URL.fullmatch(url)
    if not match:
        return url
    start, listed, database, query = match.groups()
    pairs = [HOST.fullmatch(host) for host in listed.split(",")]
    hosts = ",".join(pair[1] or pair[2] for pair in pairs if pair)
    ports = ",".join(pair[3] or "5432" for pair in pairs if pair)
    return f"{start}{database}?host={hosts}&port={ports}&{query or ''}"


def _move_query_parts(url: URL) -> URL:
    """Move user, password and database out of the query, and a folder of sockets into it."""
    query = url.normalized_query.items()
    parts: dict[str, Any] = {URL_PARTS[k]: v[-1] for k, v in query if k in URL_PARTS}
    if "password" in parts:
        # SQLAlchemy renders no password without a user.
        parts.setdefault("username", url.username or "")
    url = url.difference_update_query(URL_PARTS).set(**parts)
    if (url.host or "").lower().startswith("%2f"):
        folder = {"host": unquote(str(url.host))}
        url = url._replace(host=None).update_query_dict({**folder, **url.query})
    return url
