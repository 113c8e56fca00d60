from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import URL

from my_service.db import AsyncDatabaseManager

from ..db.models import TableBase
from .apps import app_for


@pytest.fixture
def app(url: URL) -> FastAPI:
    return app_for(url)


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app) as client:
        yield client


@pytest.fixture
async def manager_with_tables(manager: AsyncDatabaseManager) -> AsyncDatabaseManager:
    """The manager of the application's database, which also has the tables of the tests."""
    async with manager.engine.begin() as connection:
        await connection.run_sync(TableBase.metadata.create_all)
    return manager
