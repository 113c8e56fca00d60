"""Limits on concurrent requests to the database, their time and the request body."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar

from fastapi import HTTPException, Request
from fastapi.requests import HTTPConnection
from sqlalchemy import Engine, event
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import ConnectionPoolEntry
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..config import SQLAlchemySettings
from ..db.postgresql import shut_down

# Pool entries of the connections that a request has checked out.
_checked_out: ContextVar[set[ConnectionPoolEntry] | None] = ContextVar("checked_out", default=None)


class Admission:
    """Admits as many requests at a time as there are connections, first come, first served."""

    def __init__(self, connections: int, settings: SQLAlchemySettings) -> None:
        self._semaphore = asyncio.Semaphore(connections)
        self._settings = settings

    @asynccontextmanager
    async def admit(self, connection: HTTPConnection) -> AsyncIterator[None]:
        """Admit a request. Raises sqlalchemy.exc.TimeoutError after `pool_timeout` seconds."""
        has_waited = self._semaphore.locked()
        try:
            async with asyncio.timeout(self._settings.pool_timeout):
                await self._semaphore.acquire()
        except TimeoutError:
            raise PoolTimeout("timed out waiting for a connection (pool_timeout)") from None
        try:
            if has_waited and await _is_disconnected(connection):
                raise HTTPException(499, "The client has disconnected.")
            with time_limit(self._settings.time_limit):
                yield
        finally:
            self._semaphore.release()


async def _is_disconnected(connection: HTTPConnection) -> bool:
    if not isinstance(connection, Request):
        return False
    # The body is read first because is_disconnected() would lose a part of it. It raises
    # RuntimeError if a form has been read.
    with suppress(RuntimeError):
        await connection.body()
    return await connection.is_disconnected()


class BodyLimitMiddleware:
    """Answers 413 if a request body is too large, as problem details unlike FastAPI's own limit."""

    def __init__(self, app: ASGIApp, max_body_size: int) -> None:
        self.app, self.max_body_size = app, max_body_size

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        size = 0

        async def receive_within_limit() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > self.max_body_size:
                raise HTTPException(413, f"The limit is {self.max_body_size} bytes.")
            return message

        await self.app(scope, receive_within_limit, send)


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Close the connections that the block has checked out after a number of seconds.

    Operations on them then fail. The server's own timeouts do not run while it is frozen.
    """
    entries: set[ConnectionPoolEntry] = set()
    token = _checked_out.set(entries)
    timer = asyncio.get_running_loop().call_later(seconds, _close, entries)
    try:
        yield
    finally:
        timer.cancel()
        entries.clear()
        _checked_out.reset(token)


def apply_time_limits(engine: Engine) -> None:
    """Make `time_limit` apply to the connections of an engine."""
    # Inserted first because the listener that tests connections may block.
    event.listen(engine, "checkout", _check_out, insert=True)


def _check_out(connection: object, entry: ConnectionPoolEntry, proxy: object) -> None:
    entry.info["entries"] = entries = _checked_out.get()
    if entries is not None:
        entries.add(entry)


def _close(entries: set[ConnectionPoolEntry]) -> None:
    for entry in entries:
        is_ours = entry.in_use and entry.info.get("entries") is entries
        if is_ours and entry.driver_connection:
            shut_down(entry.driver_connection)
