from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import URL

from my_service.config import Settings
from my_service.db import AsyncDatabaseManager
from my_service.web.app import create_app

from ..db.models import TableBase


def app_for(url: URL) -> FastAPI:
    """Return the application for a database."""
    sqlalchemy = {"url": url.render_as_string(hide_password=False)}
    return create_app(Settings.model_validate({"database": {"sqlalchemy": sqlalchemy}}))


@pytest.fixture
def app(url: URL) -> FastAPI:
    return app_for(url)


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app) as client:
        yield client


@pytest.fixture
async def pages(manager: AsyncDatabaseManager) -> AsyncDatabaseManager:
    """The manager of the application's database, with tables for tests beside the service's own."""
    async with manager.engine.begin() as connection:
        await connection.run_sync(TableBase.metadata.create_all)
    return manager
