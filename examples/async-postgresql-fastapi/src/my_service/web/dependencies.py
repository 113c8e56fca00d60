"""FastAPI dependencies."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, TypedDict

from fastapi import Depends
from fastapi.requests import HTTPConnection
from sqlalchemy.ext.asyncio import AsyncSession

from ..db import AsyncDatabaseManager
from .health import Probe
from .limits import Admission


class State(TypedDict):
    """Objects of the application in `request.state`."""

    db: AsyncDatabaseManager
    writers: Admission
    readers: Admission
    probe: Probe


async def gen_db_manager(connection: HTTPConnection) -> AsyncDatabaseManager:
    """Return the database manager of the process."""
    manager: AsyncDatabaseManager = connection.state.db
    return manager


DatabaseManagerDependency = Annotated[AsyncDatabaseManager, Depends(gen_db_manager)]


@asynccontextmanager
async def make_db_session(manager: AsyncDatabaseManager) -> AsyncIterator[AsyncSession]:
    """Open a session that is committed at the end, or rolled back on any exception."""
    async with manager.Session() as session:
        yield session
        await session.commit()


async def gen_db_session(
    manager: DatabaseManagerDependency, connection: HTTPConnection
) -> AsyncIterator[AsyncSession]:
    """Yield a session that is committed when the path operation returns."""
    async with connection.state.writers.admit(connection), make_db_session(manager) as session:
        yield session


async def gen_read_session(
    manager: DatabaseManagerDependency, connection: HTTPConnection
) -> AsyncIterator[AsyncSession]:
    """Yield a session that only reads."""
    async with connection.state.readers.admit(connection), manager.ReadSession() as session:
        yield session


# The scope makes the commit precede the response: a 2xx means that the data is committed.
DatabaseSession = Annotated[AsyncSession, Depends(gen_db_session, scope="function")]
DatabaseReadSession = Annotated[AsyncSession, Depends(gen_read_session, scope="function")]
