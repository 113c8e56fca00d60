"""libpq's connection parameters, as they stand in URLs, for asyncpg."""

import socket
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import URL, Dialect

# What asyncpg reads from a DSN, in the way of libpq.
FROM_DSN = {
    *("sslmode", "sslcert", "sslkey", "sslrootcert", "sslcrl", "sslpassword", "sslnegotiation"),
    *("ssl_min_protocol_version", "ssl_max_protocol_version", "target_session_attrs"),
    *("passfile", "service", "krbsrvname", "gsslib"),
}
# What asyncpg takes as a number.
NUMBERS: dict[str, type[float] | type[int]] = {
    "command_timeout": float,
    "max_cacheable_statement_size": int,
    "max_cached_statement_lifetime": int,
    "prepared_statement_cache_size": int,
    "statement_cache_size": int,
}
KEEPALIVES = {
    "keepalives": (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
    "keepalives_idle": (socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPIDLE", None)),
    "keepalives_interval": (socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPINTVL", None)),
    "keepalives_count": (socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPCNT", None)),
    "tcp_user_timeout": (socket.IPPROTO_TCP, getattr(socket, "TCP_USER_TIMEOUT", None)),
}
SETTINGS = {"application_name", "options"}
# What asyncpg never does: nothing is lost unless it is demanded.
NEVER = {"channel_binding", "gssencmode"}
OTHERS = {"host", "port", "ssl", "connect_timeout", "client_encoding"}
KNOWN = FROM_DSN | NUMBERS.keys() | KEEPALIVES.keys() | SETTINGS | NEVER | OTHERS


def check(url: URL) -> None:
    """Raise ValueError for a parameter in the URL that asyncpg cannot honour."""
    for name, value in url.query.items():
        encoding = name == "client_encoding" and str(value).lower() not in ("utf8", "utf-8", "auto")
        if name not in KNOWN or (name in NEVER and value == "require") or encoding:
            raise ValueError(f"asyncpg cannot do '{name}={value}'; leave it out, or use +psycopg")


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
        result["timeout"] = float(result.pop("connect_timeout")) or None
    for name in NUMBERS.keys() & options.keys():
        result[name] = NUMBERS[name](options[name])
    return result


def connect(dialect: Dialect, options: dict[str, Any]) -> Any:
    """Open a connection with asyncpg that is like one that libpq opens with `options`."""
    connection = dialect.connect(**translate(options))
    opened = connection.driver_connection._transport.get_extra_info("socket")
    if opened is not None and opened.family in (socket.AF_INET, socket.AF_INET6):
        for name, value in {"keepalives": 1, **options}.items():
            level, option = KEEPALIVES.get(name, (0, None))
            if option is not None:
                opened.setsockopt(level, option, int(value))
    return connection
