"""Which driver serves a database URL."""

import re
from typing import Any
from urllib.parse import unquote

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from .errors import ConfigurationError

# Dialect -> the drivers that can serve it here, the default first.
MYSQL = ("pymysql", "cymysql", "mariadbconnector", "mysqlconnector", "mysqldb", "pyodbc")
DRIVERS = {
    "cockroachdb": ("psycopg", "psycopg2"),
    "mariadb": MYSQL,
    "mssql": ("pyodbc", "mssqlpython", "pymssql"),
    "mysql": MYSQL,
    "oracle": ("oracledb", "cx_oracle"),
    "postgresql": ("psycopg", "psycopg2", "psycopg2cffi"),
    "sqlite": ("pysqlite", "pysqlcipher"),
}
# Drivers that need asyncio: a URL that names one gets the default of its dialect.
TRANSLATED = {
    *("aiomysql", "aioodbc", "aiosqlite", "asyncmy", "asyncpg", "oracledb_async", "psycopg_async"),
}
# Several hosts, as PostgreSQL's own tools take them: SQLAlchemy has them in the query.
HOSTS = re.compile(
    r"((?:postgres|cockroach)[^:/]*://(?>(?:[^:/]*(?::[^@]*)?@)?))"  # as SQLAlchemy reads them
    r"([^/?@]*,[^/?@]*)(/[^?]*|)(?:\?(.*))?"
)
HOST = re.compile(r"(?:\[(.*)\]|([^:]*)):?(.*)")
ALIASES = {"postgres": "postgresql", "cockroach": "cockroachdb"}
# SQLAlchemy takes what comes after the first '@' for a host, and would show it.
UNESCAPED = re.compile(r"[^:]*://[^:/]*:[^@]*@[^?]*@")
# Parameters of libpq that have a place of their own in the URL, where a password is hidden.
LIBPQ_PARTS = {"user": "username", "password": "password", "dbname": "database"}


def driver_url(url: str | URL) -> URL:
    """Return the URL with the driver that the engine shall use; all else stays as it is.

    `postgresql://…`, `postgres://…` and `sqlite:///…` get their driver. One that is named and can
    serve is kept. Pydantic's types for URLs are read as text. Raises ConfigurationError,
    without the password, for anything else.
    """
    text = url.render_as_string(hide_password=False) if isinstance(url, URL) else str(url)
    if text != text.strip("\"' \t\r\n"):
        raise ConfigurationError("remove the quotes and the white space around the database URL")
    try:
        parsed = url if isinstance(url, URL) else make_url(_several_hosts(text))
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
    if not driver or driver in TRANSLATED:
        driver = DRIVERS[dialect][0]
    if driver not in DRIVERS[dialect]:
        choices = ", ".join(DRIVERS[dialect])
        raise ConfigurationError(f"'{driver}' cannot serve {dialect} here; use one of: {choices}")
    if dialect in ("cockroachdb", "postgresql"):
        parsed = _libpq_parts(parsed)
    return parsed.set(drivername=f"{dialect}+{driver}")


def _libpq_parts(url: URL) -> URL:
    query = url.normalized_query.items()
    parts: dict[str, Any] = {LIBPQ_PARTS[k]: v[-1] for k, v in query if k in LIBPQ_PARTS}
    if "password" in parts:
        # SQLAlchemy renders no password without a user.
        parts.setdefault("username", url.username or "")
    url = url.difference_update_query(LIBPQ_PARTS).set(**parts)
    host = url.host or ""
    if host.lower().startswith("%2f"):
        # SQLAlchemy takes a folder of sockets from the query only.
        url = url._replace(host=None).update_query_dict({"host": unquote(host), **url.query})
    return url


def _several_hosts(url: str) -> str:
    found = HOSTS.fullmatch(url)
    if not found:
        return url
    start, listed, database, query = found.groups()
    pairs = [HOST.fullmatch(host) for host in listed.split(",")]
    hosts = ",".join(pair[1] or pair[2] for pair in pairs if pair)
    ports = ",".join(pair[3] or "5432" for pair in pairs if pair)
    return f"{start}{database}?host={hosts}&port={ports}&{query or ''}"
