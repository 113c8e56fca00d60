"""The migrations make the schema of the models."""

import logging
from io import StringIO

import pytest
from alembic import command
from alembic.config import Config
from alembic.config import main as alembic
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, inspect, text

from my_service.db import AsyncDatabaseManager

from .databases import MIGRATIONS

INI = str(MIGRATIONS / "alembic.ini")


def existing_names(connection: Connection) -> list[str]:
    """Return the names of the tables, and of native enum types."""
    enums = connection.execute(text("SELECT typname FROM pg_type WHERE typtype = 'e'"))
    return [*inspect(connection).get_table_names(), *enums.scalars()]


def test_there_is_one_head() -> None:
    # Without a database, because several heads could not be migrated.
    heads = ScriptDirectory(MIGRATIONS).get_heads()
    assert len(heads) <= 1, 'merge them: uv run alembic merge heads -m "Merge"'


async def test_up_down_and_up_leaves_no_trace(empty_manager: AsyncDatabaseManager) -> None:
    for _ in range(2):
        await empty_manager.upgrade()
        await empty_manager.downgrade("base")
        async with empty_manager.engine.connect() as connection:
            names = await connection.run_sync(existing_names)
        assert names == ["alembic_version"]
    await empty_manager.upgrade()


def test_the_migrations_make_the_schema_of_the_models(manager: AsyncDatabaseManager) -> None:
    command.check(manager.alembic_cfg)


async def test_alembic_can_be_called_from_running_code(manager: AsyncDatabaseManager) -> None:
    command.downgrade(manager.alembic_cfg, "base")
    assert await manager.get_current_revision() is None
    command.upgrade(manager.alembic_cfg, "head")
    assert await manager.get_current_revision() == await manager.get_latest_revision()


async def test_the_alembic_command_migrates_the_configured_database(
    empty_manager: AsyncDatabaseManager,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = empty_manager.engine.url.render_as_string(hide_password=False)
    monkeypatch.setenv("DATABASE_URL", url)
    alembic(["-c", INI, "upgrade", "head"])
    assert await empty_manager.get_current_revision() == await empty_manager.get_latest_revision()
    alembic(["-c", INI, "check"])
    alembic(["-c", INI, "downgrade", "base"])
    assert await empty_manager.get_current_revision() is None


async def test_logging_stays_as_the_application_set_it_up(
    empty_manager: AsyncDatabaseManager,
) -> None:
    logger = logging.getLogger("application")
    handlers = list(logging.getLogger().handlers)
    await empty_manager.upgrade()
    assert not logger.disabled
    assert logging.getLogger().handlers == handlers


def test_alembic_prints_the_sql_of_the_configured_database(
    empty_url: URL,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE_URL", empty_url.render_as_string(hide_password=False))
    output = StringIO()
    command.upgrade(Config(INI, output_buffer=output), "head", sql=True)
    assert "INSERT INTO alembic_version" in output.getvalue()
