"""What all tests share: a database of their own for each, and none of the outer settings."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL
from sqlalchemy.orm import Session

from my_service.config import AlembicSettings
from my_service.db import DatabaseManager

from .databases import database_server, new_database

MIGRATIONS = AlembicSettings().migrations_path


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
def migrated(server: URL) -> Iterator[URL]:
    with new_database(server) as url:
        with DatabaseManager(url, MIGRATIONS) as manager:
            manager.upgrade()
        yield url


@pytest.fixture
def empty_url(server: URL) -> Iterator[URL]:
    """A database with nothing in it."""
    with new_database(server) as url:
        yield url


@pytest.fixture
def url(server: URL, migrated: URL) -> Iterator[URL]:
    """A database with all migrations applied."""
    with new_database(server, migrated) as url:
        yield url


@pytest.fixture
def empty_manager(empty_url: URL) -> Iterator[DatabaseManager]:
    with DatabaseManager(empty_url, MIGRATIONS) as manager:
        yield manager


@pytest.fixture
def manager(url: URL) -> Iterator[DatabaseManager]:
    with DatabaseManager(url, MIGRATIONS) as manager:
        yield manager


@pytest.fixture
def session(manager: DatabaseManager) -> Iterator[Session]:
    with manager.Session() as session:
        yield session
