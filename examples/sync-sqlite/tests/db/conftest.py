"""A database for each test, with tables and migrations of the tests' own."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL
from sqlalchemy.orm import Session

from my_service.db import DatabaseManager

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
def empty_manager(empty_url: URL, migrations: Path) -> Iterator[DatabaseManager]:
    with DatabaseManager(empty_url, migrations, base_model=TableBase) as manager:
        yield manager


@pytest.fixture(scope="session")
def migrated(server: URL, migrations: Path) -> Iterator[URL]:
    """The URL of a database with the migrations applied, to be copied."""
    with temporary_database(server) as url:
        with DatabaseManager(url, migrations, base_model=TableBase) as manager:
            manager.upgrade()
        yield url


@pytest.fixture
def manager(url: URL, migrations: Path) -> Iterator[DatabaseManager]:
    with DatabaseManager(url, migrations, base_model=TableBase) as manager:
        yield manager


@pytest.fixture(scope="session")
def created(server: URL, migrations: Path) -> Iterator[URL]:
    """The URL of a database with the tables of this folder's models, to be copied."""
    with temporary_database(server) as url:
        with DatabaseManager(url, migrations, base_model=TableBase) as manager:
            manager.create()
        yield url


@pytest.fixture
def tables(
    server: URL,
    created: URL,
    migrations: Path,
) -> Iterator[DatabaseManager]:
    """The manager of a database with the tables of this folder's models."""
    engine_args = {"pool_size": 32, "pool_timeout": 60}
    with (
        temporary_database(server, created) as url,
        DatabaseManager(
            url,
            migrations,
            engine_args=engine_args,
            base_model=TableBase,
        ) as manager,
    ):
        yield manager


@pytest.fixture
def pages(
    tables: DatabaseManager,
    migrations: Path,
) -> Iterator[DatabaseManager]:
    """A manager that waits a second for a lock or a connection, and a page without visits."""
    url = tables.engine.url
    engine_args = {"pool_timeout": 1, "busy_timeout": 1}
    with DatabaseManager(
        url,
        migrations,
        engine_args=engine_args,
        base_model=TableBase,
    ) as manager:
        with manager.Session.begin() as session:
            session.add(Page(path="/", visits=0))
        yield manager


@pytest.fixture
def table_session(tables: DatabaseManager) -> Iterator[Session]:
    with tables.Session() as session:
        yield session
