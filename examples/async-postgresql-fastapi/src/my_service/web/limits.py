"""Admit requests to the database, and limit their time."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar

import anyio
from fastapi import HTTPException, Request
from fastapi.requests import HTTPConnection
from sqlalchemy import Engine, event
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import ConnectionPoolEntry

from ..db.postgresql import shut_down

# The pool's entries of the connections that a request uses.
_in_use: ContextVar[set[ConnectionPoolEntry] | None] = ContextVar("in_use", default=None)


class Admission:
    """Admits as many requests at a time as a pool has connections, first come, first served."""

    def __init__(self, places: float, wait: float, limit: float) -> None:
        """Take the number of connections, and how many seconds a request may wait and use one."""
        self._places = anyio.CapacityLimiter(places)
        self._wait, self._limit = wait, limit

    @asynccontextmanager
    async def admit(self, connection: HTTPConnection) -> AsyncIterator[None]:
        """Hold a place. Raises sqlalchemy.exc.TimeoutError if none becomes free in time."""
        place = object()
        is_waiting = False
        try:
            self._places.acquire_on_behalf_of_nowait(place)
        except anyio.WouldBlock:
            is_waiting = True
            with anyio.move_on_after(self._wait) as scope:
                await self._places.acquire_on_behalf_of(place)
            if scope.cancelled_caught:
                message = f"all connections were in use for {self._wait:g} s (pool_timeout)"
                raise PoolTimeout(message) from None
        try:
            if is_waiting and await _has_gone(connection):
                raise HTTPException(499, "The client has gone.")
            with time_limit(self._limit):
                yield
        finally:
            self._places.release_on_behalf_of(place)


async def admit_writer(connection: HTTPConnection) -> AsyncIterator[None]:
    """Admit a request to the connections that may write."""
    async with connection.state.writers.admit(connection):
        yield


async def admit_reader(connection: HTTPConnection) -> AsyncIterator[None]:
    """Admit a request to the connections that only read."""
    async with connection.state.readers.admit(connection):
        yield


async def _has_gone(connection: HTTPConnection) -> bool:
    if not isinstance(connection, Request):
        return False
    # Otherwise a part of the body could be taken for the answer. A form has been read before.
    with suppress(RuntimeError):
        await connection.body()
    return await connection.is_disconnected()


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Close the connections that the block uses after a number of seconds.

    What waits for them fails then, also if the server is frozen, where its own limits do not run.
    """
    in_use: set[ConnectionPoolEntry] = set()
    token = _in_use.set(in_use)
    timer = asyncio.get_running_loop().call_later(seconds, _close, in_use)
    try:
        yield
    finally:
        timer.cancel()
        _in_use.reset(token)


def watch(engine: Engine) -> None:
    """Make the connections of an engine known to `time_limit`."""
    # First of all, because testing a connection may take forever.
    event.listen(engine, "checkout", _check_out, insert=True)
    event.listen(engine, "checkin", _check_in)


def _check_out(connection: object, entry: ConnectionPoolEntry, proxy: object) -> None:
    in_use = _in_use.get()
    if in_use is not None:
        entry.info["in_use"] = in_use
        in_use.add(entry)


def _check_in(connection: object, entry: ConnectionPoolEntry) -> None:
    entry.info.pop("in_use", set()).discard(entry)


def _close(in_use: set[ConnectionPoolEntry]) -> None:
    for entry in in_use:
        if entry.info.get("in_use") is in_use and entry.driver_connection:
            shut_down(entry.driver_connection)
