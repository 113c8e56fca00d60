"""Choose the driver for a database URL."""

import re

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from .errors import ConfigurationError

MYSQL = ("pymysql", "cymysql", "mariadbconnector", "mysqlconnector", "mysqldb", "pyodbc")
# Dialects, each with its drivers; the first is the default.
DRIVERS = {
    "cockroachdb": ("psycopg", "psycopg2"),
    "mariadb": MYSQL,
    "mssql": ("pyodbc", "mssqlpython", "pymssql"),
    "mysql": MYSQL,
    "oracle": ("oracledb", "cx_oracle"),
    "postgresql": ("psycopg", "psycopg2", "psycopg2cffi"),
    "sqlite": ("pysqlite", "pysqlcipher"),
}
# Drivers that need asyncio, in place of which a URL gets the default one of its dialect.
INCOMPATIBLE_DRIVERS = {
    *("aiomysql", "aioodbc", "aiosqlite", "asyncmy", "asyncpg", "oracledb_async", "psycopg_async"),
}
ALIASES = {"postgres": "postgresql", "cockroach": "cockroachdb"}
# SQLAlchemy takes what comes after the first '@' for a host, and would show it.
UNESCAPED = re.compile(r"[^:]*://[^:/]*:[^@]*@[^?]*@")


def driver_url(url: str | URL) -> URL:
    """Return the URL with a driver that can be used here; all else is unchanged.

    A driver that the URL names is kept if `DRIVERS` has it. Pydantic's URLs are accepted, too.
    Raises ConfigurationError, without the password, for a URL that cannot be used.
    """
    text = url.render_as_string(hide_password=False) if isinstance(url, URL) else str(url)
    if text != text.strip("\"' \t\r\n"):
        raise ConfigurationError("remove the quotes and the white space around the database URL")
    try:
        parsed = url if isinstance(url, URL) else make_url(text)
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
    return parsed.set(drivername=f"{dialect}+{driver}")
