"""The migrations make the schema of the models."""

import logging

import pytest
from alembic import command
from alembic.config import main as alembic
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect

from my_service.db import DatabaseManager

from .databases import MIGRATIONS

INI = str(MIGRATIONS / "alembic.ini")


def existing_names(connection: Connection) -> list[str]:
    """Return the names of the tables."""
    return inspect(connection).get_table_names()


def test_there_is_one_head() -> None:
    # Without a database, because several heads could not be migrated.
    heads = ScriptDirectory(MIGRATIONS).get_heads()
    assert len(heads) <= 1, 'merge them: uv run alembic merge heads -m "Merge"'


def test_up_down_and_up_leaves_no_trace(empty_manager: DatabaseManager) -> None:
    for _ in range(2):
        empty_manager.upgrade()
        empty_manager.downgrade("base")
        with empty_manager.engine.connect() as connection:
            names = existing_names(connection)
        assert names == ["alembic_version"]
    empty_manager.upgrade()


def test_the_migrations_make_the_schema_of_the_models(manager: DatabaseManager) -> None:
    command.check(manager.alembic_cfg)


def test_alembic_can_be_called_from_running_code(manager: DatabaseManager) -> None:
    command.downgrade(manager.alembic_cfg, "base")
    assert manager.get_current_revision() is None
    command.upgrade(manager.alembic_cfg, "head")
    assert manager.get_current_revision() == manager.get_latest_revision()


def test_the_alembic_command_migrates_the_configured_database(
    empty_manager: DatabaseManager,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = empty_manager.engine.url.render_as_string(hide_password=False)
    monkeypatch.setenv("DATABASE_URL", url)
    alembic(["-c", INI, "upgrade", "head"])
    assert empty_manager.get_current_revision() == empty_manager.get_latest_revision()
    alembic(["-c", INI, "check"])
    alembic(["-c", INI, "downgrade", "base"])
    assert empty_manager.get_current_revision() is None


def test_logging_stays_as_the_application_set_it_up(
    empty_manager: DatabaseManager,
) -> None:
    logger = logging.getLogger("application")
    handlers = list(logging.getLogger().handlers)
    empty_manager.upgrade()
    assert not logger.disabled
    assert logging.getLogger().handlers == handlers
