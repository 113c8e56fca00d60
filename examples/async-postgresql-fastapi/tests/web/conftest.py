from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import URL

from my_service.config import Settings
from my_service.db import AsyncDatabaseManager
from my_service.web.app import create_app

from ..db.models import TableBase


def app_for(url: URL, engine_args: Any = None, alembic: Any = None, **settings: Any) -> FastAPI:
    """Return an application that uses a database and further settings."""
    sqlalchemy = {"url": url.render_as_string(hide_password=False), **(engine_args or {})}
    database = {"sqlalchemy": sqlalchemy, "alembic": alembic or {}}
    return create_app(Settings.model_validate({"database": database, **settings}))


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
