"""Fixtures for all tests: a database for each test, and settings that the environment lacks."""

import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncSession

from my_service.config import Settings
from my_service.db import AsyncDatabaseManager

from .databases import MIGRATIONS, database_server, temporary_database

# Settings for the tests, as environment variables. A setting without a default needs a value here.
ENVIRONMENT: dict[str, str] = {}


def pytest_configure() -> None:
    """Replace the settings in the environment, before a module reads them."""
    prefix = Settings.model_config.get("env_prefix", "")
    fields = Settings.model_fields.items()
    names = "|".join(str(field.validation_alias or prefix + name) for name, field in fields)
    for variable in list(os.environ):
        if re.fullmatch(rf"({names})(__.*)?", variable, re.IGNORECASE):
            del os.environ[variable]
    os.environ.update(ENVIRONMENT)


@pytest.fixture(scope="session", autouse=True)
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def no_settings_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hide the project's file `.env`."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
async def server() -> AsyncIterator[URL]:
    async with database_server() as url:
        yield url


@pytest.fixture(scope="session")
async def migrated(server: URL) -> AsyncIterator[URL]:
    """The URL of a database with all migrations applied, to be copied."""
    async with temporary_database(server) as url:
        async with AsyncDatabaseManager(url, MIGRATIONS) as manager:
            await manager.upgrade()
        yield url


@pytest.fixture
async def empty_url(server: URL) -> AsyncIterator[URL]:
    """The URL of an empty database."""
    async with temporary_database(server) as url:
        yield url


@pytest.fixture
async def url(server: URL, migrated: URL) -> AsyncIterator[URL]:
    """The URL of a database with all migrations applied."""
    async with temporary_database(server, migrated) as url:
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
