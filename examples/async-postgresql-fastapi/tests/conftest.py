"""What all tests share: a database of their own for each, and none of the outer settings."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncSession

from my_service.config import AlembicSettings
from my_service.db import AsyncDatabaseManager

from .databases import database_server, new_database

MIGRATIONS = AlembicSettings().migrations_path


@pytest.fixture(scope="session", autouse=True)
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def no_outer_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hide the environment and the file .env, so that no test meets a database in use."""
    for name in os.environ:
        if name.upper().startswith("DATABASE"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def server() -> Iterator[URL]:
    with database_server() as url:
        yield url


@pytest.fixture(scope="session")
async def migrated(server: URL) -> AsyncIterator[URL]:
    async with new_database(server) as url:
        async with AsyncDatabaseManager(url, MIGRATIONS) as manager:
            await manager.upgrade()
        yield url


@pytest.fixture
async def empty_url(server: URL) -> AsyncIterator[URL]:
    """A database with nothing in it."""
    async with new_database(server) as url:
        yield url


@pytest.fixture
async def url(server: URL, migrated: URL) -> AsyncIterator[URL]:
    """A database with all migrations applied."""
    async with new_database(server, migrated) as url:
        yield url


@pytest.fixture
async def empty_manager(empty_url: URL) -> AsyncIterator[AsyncDatabaseManager]:
    async with AsyncDatabaseManager(empty_url, MIGRATIONS) as manager:
        yield manager


@pytest.fixture
async def manager(url: URL) -> AsyncIterator[AsyncDatabaseManager]:
    async with AsyncDatabaseManager(url, MIGRATIONS) as manager:
        yield manager


@pytest.fixture
async def session(manager: AsyncDatabaseManager) -> AsyncIterator[AsyncSession]:
    async with manager.Session() as session:
        yield session
