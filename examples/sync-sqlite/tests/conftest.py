"""Fixtures for all tests: a database for each test, and settings that the environment lacks."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL
from sqlalchemy.orm import Session

from my_service.config import Settings
from my_service.db import DatabaseManager

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


@pytest.fixture(autouse=True)
def no_settings_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hide the project's file `.env`."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def server() -> Iterator[URL]:
    with database_server() as url:
        yield url


@pytest.fixture(scope="session")
def migrated(server: URL) -> Iterator[URL]:
    """The URL of a database with all migrations applied, to be copied."""
    with temporary_database(server) as url:
        with DatabaseManager(url, MIGRATIONS) as manager:
            manager.upgrade()
        yield url


@pytest.fixture
def empty_url(server: URL) -> Iterator[URL]:
    """The URL of an empty database."""
    with temporary_database(server) as url:
        yield url


@pytest.fixture
def url(server: URL, migrated: URL) -> Iterator[URL]:
    """The URL of a database with all migrations applied."""
    with temporary_database(server, migrated) as url:
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
