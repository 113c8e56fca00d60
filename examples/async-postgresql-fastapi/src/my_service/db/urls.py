"""Which driver serves a database URL."""

import re

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

# Dialect -> the drivers that can serve it here, the default first.
DRIVERS = {
    "cockroachdb": ("asyncpg", "psycopg"),
    "mariadb": ("aiomysql", "asyncmy"),
    "mssql": ("aioodbc",),
    "mysql": ("aiomysql", "asyncmy"),
    "oracle": ("oracledb", "oracledb_async"),
    "postgresql": ("asyncpg", "psycopg", "psycopg_async"),
    "sqlite": ("aiosqlite",),
}
# Drivers that block: a URL that names one gets the default of its dialect.
TRANSLATED = {
    *("cx_oracle", "cymysql", "mariadbconnector", "mssqlpython", "mysqlconnector", "mysqldb"),
    *("pg8000", "psycopg2", "psycopg2cffi", "pymssql", "pymysql", "pyodbc", "pysqlcipher"),
    "pysqlite",
}
# Several hosts, as PostgreSQL's own tools take them: SQLAlchemy has them in the query.
HOSTS = re.compile(
    r"((?:postgres|cockroach)[^:/]*://(?>(?:[^:/]*(?::[^@]*)?@)?))"  # as SQLAlchemy reads them
    r"([^/?@]*,[^/?@]*)(/[^?]*|)(?:\?(.*))?"
)
HOST = re.compile(r"(?:\[(.*)\]|([^:]*)):?(.*)")
ALIASES = {"postgres": "postgresql", "cockroach": "cockroachdb"}


def driver_url(url: str | URL) -> URL:
    """Return the URL with the driver that the engine shall use; all else stays as it is.

    `postgresql://…`, `postgres://…` and `sqlite:///…` get their driver. One that is named and can
    serve is kept. Raises ValueError, without the password, for anything else.
    """
    try:
        parsed = make_url(_several_hosts(url) if isinstance(url, str) else url)
        if "@" in (parsed.host or ""):
            raise ValueError("this is half a password")
    except (ArgumentError, ValueError):
        # The original message shows the URL, password included.
        raise ValueError(
            "the database URL cannot be read; write dialect://user:password@host:port/database,"
            " with @ : / # % ? in the password percent-encoded"
        ) from None
    dialect, _, driver = parsed.drivername.partition("+")
    dialect = ALIASES.get(dialect, dialect)
    if dialect not in DRIVERS:
        raise ValueError(f"no database '{dialect}' is known; use one of: {', '.join(DRIVERS)}")
    if not driver or driver in TRANSLATED:
        driver = DRIVERS[dialect][0]
    if driver not in DRIVERS[dialect]:
        raise ValueError(
            f"the driver '{driver}' cannot serve {dialect} here;"
            f" use one of: {', '.join(DRIVERS[dialect])}"
        )
    return parsed.set(drivername=f"{dialect}+{driver}")


def _several_hosts(url: str) -> str:
    found = HOSTS.fullmatch(url)
    if not found:
        return url
    start, listed, database, query = found.groups()
    pairs = [HOST.fullmatch(host) for host in listed.split(",")]
    hosts = ",".join(pair[1] or pair[2] for pair in pairs if pair)
    ports = ",".join(pair[3] or "5432" for pair in pairs if pair)
    return f"{start}{database}?host={hosts}&port={ports}&{query or ''}"
