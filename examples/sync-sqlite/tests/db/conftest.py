from collections.abc import Iterator

import pytest
from sqlalchemy import URL
from sqlalchemy.orm import Session

from my_service.db import DatabaseManager

from ..conftest import MIGRATIONS
from .models import TableBase


@pytest.fixture
def tables(empty_url: URL) -> Iterator[DatabaseManager]:
    """The manager of a database with the tables of this folder's models."""
    engine_args = {"pool_size": 32, "pool_timeout": 60}
    with DatabaseManager(
        empty_url,
        MIGRATIONS,
        engine_args=engine_args,
        base_model=TableBase,
    ) as manager:
        manager.create()
        yield manager


@pytest.fixture
def table_session(tables: DatabaseManager) -> Iterator[Session]:
    with tables.Session() as session:
        yield session
