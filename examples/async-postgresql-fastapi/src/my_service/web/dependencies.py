"""What path operations ask for by type."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, TypedDict

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncSession

from ..db import AsyncDatabaseManager


class State(TypedDict):
    """What every request finds in `request.state`."""

    db: AsyncDatabaseManager


async def gen_db_manager(request: Request) -> AsyncDatabaseManager:
    """Return the database manager of the process."""
    manager: AsyncDatabaseManager = request.state.db
    return manager


DatabaseManagerDependency = Annotated[AsyncDatabaseManager, Depends(gen_db_manager)]


@asynccontextmanager
async def make_db_session(manager: AsyncDatabaseManager) -> AsyncIterator[AsyncSession]:
    """Open a session that is committed at the end, or rolled back on any exception."""
    async with manager.Session() as session:
        yield session
        await session.commit()


async def gen_db_session(manager: DatabaseManagerDependency) -> AsyncIterator[AsyncSession]:
    """Yield a session that is committed when the path operation returns."""
    async with make_db_session(manager) as session:
        yield session


async def gen_read_session(manager: DatabaseManagerDependency) -> AsyncIterator[AsyncSession]:
    """Yield a session that only reads."""
    async with manager.ReadSession() as session:
        yield session


# As many as the pool has connections by default. More requests would not be served any faster, but
# they would wait where waiting has a time limit, and in the way of those that are being served.
CONCURRENCY = 15

# With this scope the commit comes before the response: a 2xx means that it succeeded.
DatabaseSession = Annotated[
    AsyncSession,
    Depends(gen_db_session, scope="function", max_concurrency=CONCURRENCY),
]
DatabaseReadSession = Annotated[
    AsyncSession,
    Depends(gen_read_session, scope="function", max_concurrency=CONCURRENCY),
]
