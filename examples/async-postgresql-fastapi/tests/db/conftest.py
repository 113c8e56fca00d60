from collections.abc import AsyncIterator

import pytest
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncSession

from my_service.db import AsyncDatabaseManager

from ..conftest import MIGRATIONS
from .models import TableBase


@pytest.fixture
async def tables(empty_url: URL) -> AsyncIterator[AsyncDatabaseManager]:
    """The manager of a database with the tables of this folder's models."""
    engine_args = {"pool_size": 32, "pool_timeout": 60}
    async with AsyncDatabaseManager(
        empty_url,
        MIGRATIONS,
        engine_args=engine_args,
        base_model=TableBase,
    ) as manager:
        await manager.create()
        yield manager


@pytest.fixture
async def table_session(tables: AsyncDatabaseManager) -> AsyncIterator[AsyncSession]:
    async with tables.Session() as session:
        yield session
