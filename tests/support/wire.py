"""A proxy in front of PostgreSQL that counts round trips.

A round trip ends with ReadyForQuery, the message by which the server says that it has answered
everything and waits for the client. The drivers wait for it before they send more, so the count is
exact, and the same on every machine.
"""

import asyncio
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from sqlalchemy import make_url

# SSLRequest and GSSENCRequest: the client waits for one byte before its start-up message.
ENCRYPTION_REQUESTS = {struct.pack("!ii", 8, code) for code in (80877103, 80877104)}
READY_FOR_QUERY = b"Z"


@dataclass
class Wire:
    """The URL through the proxy, and the round trips of all its connections so far."""

    url: str
    round_trips: int = 0

    @contextmanager
    def expect(self, count: int) -> Iterator[None]:
        """Check that what is done inside makes `count` round trips."""
        before = self.round_trips
        yield
        made = self.round_trips - before
        assert made == count, f"{made} round trips instead of {count}"


@contextmanager
def counting_proxy(
    server_url: str, *, delay: float = 0, host: str = "127.0.0.1", port: int = 0
) -> Iterator[Wire]:
    """Forward connections to the server of a URL, in clear text.

    What a client sends arrives `delay` seconds later. `host` and `port` are where the proxy listens, by
    default on a free port.
    """
    url = make_url(server_url)
    wire = Wire("")
    listening = threading.Event()
    loop = asyncio.new_event_loop()
    ended = asyncio.Event()

    async def main() -> None:
        listener = await asyncio.start_server(serve, host, port)
        chosen = listener.sockets[0].getsockname()[1]
        wire.url = url.set(host=host, port=chosen).render_as_string(hide_password=False)
        listening.set()
        await ended.wait()
        listener.close()

    async def serve(client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            start = await client.readexactly(8)
            while start in ENCRYPTION_REQUESTS:
                to_client.write(b"N")
                start = await client.readexactly(8)
            server, to_server = await asyncio.open_connection(url.host, url.port)
            to_server.write(start)
            await asyncio.gather(ask(client, to_server), answer(server, to_client))
        to_client.close()

    async def ask(client: asyncio.StreamReader, to_server: asyncio.StreamWriter) -> None:
        try:
            while data := await client.read(65536):
                if delay:
                    await asyncio.sleep(delay)
                to_server.write(data)
                await to_server.drain()
        finally:
            to_server.close()

    async def answer(server: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        while True:
            head = await server.readexactly(5)
            message = head + await server.readexactly(int.from_bytes(head[1:]) - 4)
            # Before it is passed on, so that who has the answer finds it counted.
            wire.round_trips += head.startswith(READY_FOR_QUERY)
            to_client.write(message)
            await to_client.drain()

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(main())

    thread = threading.Thread(target=run)
    thread.start()
    listening.wait()
    try:
        yield wire
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()
