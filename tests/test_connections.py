"""The parameters of a PostgreSQL URL have the same effect with every driver."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from sqlalchemy import Connection

from .support.layers import Driver
from .support.tls import Server

pytestmark = pytest.mark.slow

# Not every system has them all.
TCP_OPTIONS = [
    getattr(socket, name)
    for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT")
    if hasattr(socket, name)
]


def address(server: Server, hosts: str = "localhost", port: int | None = None, **query: Any) -> str:
    """Return the URL of a server, with hosts written as they stand in URLs."""
    where = f"{hosts}:{port or server.url.port}"
    return f"postgresql://postgres:{server.url.password}@{where}/postgres?{urlencode(query)}"


def show(driver: Driver, url: str, *settings: str, **engine_args: Any) -> list[str]:
    def ask(connection: Connection) -> list[str]:
        shown = [connection.exec_driver_sql(f"SHOW {setting}").scalar_one() for setting in settings]
        return [str(value) for value in shown]

    return driver.connect(url, ask, **engine_args)


def failure(driver: Driver, url: str, **engine_args: Any) -> tuple[str, str]:
    """Return the name and the message of the failure to connect."""
    with pytest.raises(driver.errors.ConnectionFailed) as raised:
        show(driver, url, **engine_args)
    return raised.value.failure.name, str(raised.value)


@pytest.fixture
def silent() -> Iterator[int]:
    """Return a port where connections are accepted, and nothing is ever said."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        # Whoever waits without limit is cut off, and the test fails.
        end = threading.Timer(8, listener.close)
        end.start()
        yield listener.getsockname()[1]
        end.cancel()


def test_settings_of_a_session_come_from_the_url_and_from_the_engine(
    driver: Driver, server: Server
) -> None:
    names = (
        "application_name",
        "work_mem",
        "statement_timeout",
        "idle_in_transaction_session_timeout",
    )
    ours = {"statement_timeout": 7.5, "idle_in_transaction_session_timeout": 60}
    plain = address(server)
    assert show(driver, plain, *names, application_name="of-ours", **ours) == [
        *("of-ours", "4MB", "7500ms", "1min")
    ]
    said = address(server, application_name="its own", options="-c work_mem=9MB -c geqo=off")
    assert show(driver, said, *names, application_name="of-ours", **ours) == [
        *("its own", "9MB", "7500ms", "1min")
    ]
    wins = address(server, options="-c statement_timeout=3s")
    assert show(driver, wins, "statement_timeout", **ours) == ["3s"]


def test_a_server_that_accepts_and_says_nothing_is_given_up(
    driver: Driver, server: Server, silent: int
) -> None:
    started = time.monotonic()
    name, message = failure(driver, address(server, port=silent, connect_timeout=2))
    assert name == "TIMEOUT"
    assert "did not answer in time" in message
    assert 1.5 < time.monotonic() - started < 4


@pytest.mark.parametrize(
    ("wanted", "options", "fits"),
    [
        ("any", "", True),
        ("read-write", "", True),
        ("primary", "", True),
        ("prefer-standby", "", True),
        ("standby", "", False),
        ("read-only", "", False),
        ("read-write", "-c default_transaction_read_only=on", False),
        ("read-only", "-c default_transaction_read_only=on", True),
        ("nosuch", "", False),
    ],
)
@pytest.mark.parametrize("hosts", ["localhost", "127.0.0.1:1,localhost"])
def test_a_session_has_the_attributes_that_the_url_demands(
    driver: Driver, server: Server, hosts: str, wanted: str, options: str, fits: bool
) -> None:
    url = address(server, hosts, target_session_attrs=wanted, options=options)
    if fits:
        assert show(driver, url, "work_mem") == ["4MB"]
    else:
        assert failure(driver, url)[0] == "UNREACHABLE"


def test_a_host_that_is_dead_unknown_silent_or_refuses_makes_way_for_the_next(
    driver: Driver, server: Server, gated: Server, silent: int
) -> None:
    for first in ("127.0.0.1:1", "nosuch.invalid", f"127.0.0.1:{silent}"):
        url = address(server, f"{first},localhost", connect_timeout=2)
        assert show(driver, url, "work_mem") == ["4MB"]
    refusing = address(server, f"localhost:{gated.url.port},localhost", sslmode="disable")
    url = refusing.replace("/postgres?", "/gate_tls_only?")
    assert show(driver, url, "work_mem") == ["4MB"]


def test_a_folder_of_sockets_can_stand_for_a_host(driver: Driver, server: Server) -> None:
    def peer(connection: Connection) -> Any:
        return connection.exec_driver_sql("SELECT inet_client_addr()").scalar()

    port = str(server.url.port)
    query = {"host": str(server.sockets), "sslmode": "require"}
    assert driver.connect(server.url.set(host=None, query=query), peer) is None
    query |= {"port": port}
    assert driver.connect(server.url.set(host=None, port=None, query=query), peer) is None

    folder = quote(str(server.sockets), safe="")
    start = f"postgresql://postgres:{server.url.password}"
    for where, query_port in ((f"{folder}:{port}", ""), (folder, f"?port={port}")):
        assert driver.connect(f"{start}@{where}/postgres{query_port}", peer) is None


def test_the_user_the_password_and_the_database_may_stand_in_the_query(
    postgresql: Driver, server: Server
) -> None:
    def look(connection: Connection) -> tuple[Any, ...]:
        found = connection.exec_driver_sql("SELECT current_user, current_database()").one()
        return (*found, f"{connection.engine} {connection.engine.url!r}")

    password = str(server.url.password)
    query = urlencode({"user": "postgres", "password": password, "dbname": "template1"})
    for where in ("", "nosuch:wrong@"):
        url = f"postgresql://{where}localhost:{server.url.port}/nosuch?{query}"
        user, database, shown = postgresql.connect(url, look)
        assert (user, database) == ("postgres", "template1")
        assert password not in shown
    name, message = failure(postgresql, url.replace(password, "s3cret"))
    assert name == "WRONG_CREDENTIALS"
    assert "s3cret" not in message


# asyncpg does not support these parameters.
@pytest.mark.parametrize("driver", ["psycopg-async", "psycopg"], indirect=True)
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, (1, None, None, None)),
        ({"keepalives": 0}, (0, None, None, None)),
        (
            {"keepalives_idle": 31, "keepalives_interval": 7, "keepalives_count": 4},
            (1, 31, 7, 4),
        ),
    ],
)
def test_idle_connections_are_kept_alive_as_the_url_says(
    driver: Driver, server: Server, query: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    wanted = [
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
        *((socket.IPPROTO_TCP, option) for option in TCP_OPTIONS),
    ]

    def look(connection: Connection) -> list[int]:
        opened: Any = connection.connection.driver_connection
        with socket.socket(fileno=os.dup(opened.fileno())) as copy:
            return [copy.getsockopt(*option) for option in wanted]

    with socket.socket() as fresh:
        defaults = [fresh.getsockopt(*option) for option in wanted]
    found = driver.connect(address(server, **query), look)
    assert found == [
        default if value is None else value
        for value, default in zip(expected, defaults, strict=False)
    ]


@pytest.mark.parametrize("name", ["nosuch", "sslmode", "keepalives_idle", "channel_binding"])
def test_what_a_driver_cannot_do_is_refused_by_name(
    driver: Driver, server: Server, name: str
) -> None:
    refusals = (ValueError, driver.errors.ConnectionFailed)
    with pytest.raises(refusals, match=name) as raised:
        show(driver, f"{address(server)}{name}=nosuch")
    assert str(server.url.password) not in str(raised.value)


@pytest.mark.parametrize("host", ["x" * 64, "a..b"])
def test_a_host_that_cannot_be_looked_up_is_a_failure_to_connect(
    driver: Driver, server: Server, host: str
) -> None:
    assert failure(driver, address(server, host))[0] == "UNREACHABLE"


@pytest.mark.parametrize(
    "where",
    [
        *("h:-1/name", "h:0/name", "h:70000/name", f"h:{10**20}/name", "h:1,h:65536/name"),
        *("h/name?port=0", "h/name?port=65536", "/name?host=h&port=-1", "/name?host=h:70000"),
    ],
)
def test_a_port_that_is_out_of_range_is_refused_before_any_connection(
    postgresql: Driver, where: str
) -> None:
    url = postgresql.url(f"postgresql://user:s3cret@{where}")
    with pytest.raises(ValueError, match="a port has to be between 1 and 65535") as raised:
        postgresql.engine.make_engine(url)
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize("hosts", ["h1:abc,h2:1", "[::1:1,h2:1"])
def test_hosts_that_cannot_be_read_are_refused_before_any_connection(
    driver: Driver, hosts: str
) -> None:
    with pytest.raises(ValueError, match="the database URL cannot be") as raised:
        driver.engine.make_engine(driver.url(f"postgresql://user:s3cret@{hosts}/name"))
    assert "s3cret" not in str(raised.value)
