"""Temporary databases on a real server."""

import os
import uuid
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

from sqlalchemy import URL, make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine

from my_service.config import AlembicSettings
from my_service.db.engine import make_engine

from .postgres import postgres_server

MIGRATIONS = AlembicSettings().migrations_path
# Engines that create databases, by the URL of the server. They keep their connections, because
# opening one takes as long as creating a database.
engines: dict[URL, AsyncEngine] = {}


@asynccontextmanager
async def database_server() -> AsyncIterator[URL]:
    """Yield the URL in TEST_DATABASE_URL, or else that of a temporary server."""
    with ExitStack() as stack:
        given = os.environ.get("TEST_DATABASE_URL")
        url = make_url(given or stack.enter_context(postgres_server()))
        engines[url] = make_engine(url, {"isolation_level": "AUTOCOMMIT"})
        yield url
        await engines.pop(url).dispose()


@asynccontextmanager
async def temporary_database(server: URL, template: URL | None = None) -> AsyncIterator[URL]:
    """Create a database, empty or as a copy of another, and drop it at the end."""
    name = f"test_{uuid.uuid4().hex}"
    origin = template.database if template else "template0"
    # Copying the files takes half the time of copying by WAL, the default.
    copy = f'CREATE DATABASE "{name}" TEMPLATE "{origin}" STRATEGY FILE_COPY'
    async with engines[server].connect() as connection:
        await connection.execute(text(copy))
    yield server.set(database=name)
    async with engines[server].connect() as connection:
        await connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))
