"""A server that closes connections as soon as it has opened them, as one that is being stopped."""

import asyncio
import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from .support.layers import Driver

pytestmark = pytest.mark.slow

AT_ONCE = 50


def message(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("!i", len(content) + 4) + content


# What a server sends that asks for no password: from there on, the connection is open.
WELCOME = b"".join(
    [
        message(b"R", struct.pack("!i", 0)),
        message(b"S", b"server_version\x0018.0\0"),
        message(b"S", b"client_encoding\0UTF8\0"),
        message(b"K", struct.pack("!ii", 1, 2)),
        message(b"Z", b"I"),
    ]
)


@pytest.fixture
def url() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0), backlog=AT_ONCE) as listener:
        ended = threading.Event()

        def serve() -> None:
            while True:
                client, _ = listener.accept()
                with client:
                    if ended.is_set():
                        return
                    client.recv(65536)
                    client.sendall(WELCOME)

        thread = threading.Thread(target=serve)
        thread.start()
        port = listener.getsockname()[1]
        yield f"postgresql://ada:x@127.0.0.1:{port}/x?sslmode=disable"
        ended.set()
        socket.create_connection(("127.0.0.1", port)).close()
        thread.join()


@pytest.mark.parametrize("label", ["asyncpg", "psycopg-async"])
def test_every_failure_has_a_name(label: str, url: str, rendered: Mapping[str, Path]) -> None:
    driver = Driver(label, rendered)
    found: Counter[str] = Counter()

    async def connect(engine: Any) -> None:
        try:
            async with engine.connect():
                pass
        except Exception as error:
            failure = driver.failures.failure_of(error)
            found[failure.name if failure else repr(error)] += 1

    async def main() -> None:
        engine = driver.engine.make_engine(driver.url(url), {"pool_size": AT_ONCE})
        await asyncio.gather(*(connect(engine) for _ in range(AT_ONCE)))
        await engine.dispose()

    asyncio.run(main())
    assert found.keys() <= {"UNREACHABLE", "DISCONNECTED"}
    assert found.total() == AT_ONCE
