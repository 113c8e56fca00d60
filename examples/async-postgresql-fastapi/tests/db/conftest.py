"""A database for each test, with tables and migrations of the tests' own."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncSession

from my_service.db import AsyncDatabaseManager

from ..databases import MIGRATIONS, temporary_database
from .models import Page, TableBase


@pytest.fixture(scope="session")
def migrations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the service's `env.py` and the migrations in `versions/`."""
    folder = tmp_path_factory.mktemp("migrations")
    for name in ("env.py", "script.py.mako", "alembic.ini"):
        shutil.copy(MIGRATIONS / name, folder)
    shutil.copytree(Path(__file__).with_name("versions"), folder / "versions")
    return folder


@pytest.fixture
async def empty_manager(empty_url: URL, migrations: Path) -> AsyncIterator[AsyncDatabaseManager]:
    async with AsyncDatabaseManager(empty_url, migrations, base_model=TableBase) as manager:
        yield manager


@pytest.fixture(scope="session")
async def migrated(server: URL, migrations: Path) -> AsyncIterator[URL]:
    """The URL of a database with the migrations applied, to be copied."""
    async with temporary_database(server) as url:
        async with AsyncDatabaseManager(url, migrations, base_model=TableBase) as manager:
            await manager.upgrade()
        yield url


@pytest.fixture
async def manager(url: URL, migrations: Path) -> AsyncIterator[AsyncDatabaseManager]:
    async with AsyncDatabaseManager(url, migrations, base_model=TableBase) as manager:
        yield manager


@pytest.fixture(scope="session")
async def created(server: URL, migrations: Path) -> AsyncIterator[URL]:
    """The URL of a database with the tables of this folder's models, to be copied."""
    async with temporary_database(server) as url:
        async with AsyncDatabaseManager(url, migrations, base_model=TableBase) as manager:
            await manager.create()
        yield url


@pytest.fixture
async def tables(
    server: URL,
    created: URL,
    migrations: Path,
) -> AsyncIterator[AsyncDatabaseManager]:
    """The manager of a database with the tables of this folder's models."""
    engine_args = {"pool_size": 32, "pool_timeout": 60}
    async with (
        temporary_database(server, created) as url,
        AsyncDatabaseManager(
            url,
            migrations,
            engine_args=engine_args,
            base_model=TableBase,
        ) as manager,
    ):
        yield manager


@pytest.fixture
async def pages(
    tables: AsyncDatabaseManager,
    migrations: Path,
) -> AsyncIterator[AsyncDatabaseManager]:
    """A manager that waits a second for a lock or a connection, and a page without visits."""
    url = tables.engine.url
    # Because asyncpg reports an error that nobody awaits if it is cancelled while it sets up TLS.
    url = url.update_query_dict({"sslmode": "allow"})
    engine_args = {"pool_timeout": 1, "statement_timeout": 1}
    async with AsyncDatabaseManager(
        url,
        migrations,
        engine_args=engine_args,
        base_model=TableBase,
    ) as manager:
        async with manager.Session.begin() as session:
            session.add(Page(path="/", visits=0))
        yield manager


@pytest.fixture
async def table_session(tables: AsyncDatabaseManager) -> AsyncIterator[AsyncSession]:
    async with tables.Session() as session:
        yield session
