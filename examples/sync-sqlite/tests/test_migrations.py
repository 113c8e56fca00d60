"""The migrations and the models say the same."""

import logging
import os
import subprocess
import sys

from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, inspect

from my_service.db import DatabaseManager

from .conftest import MIGRATIONS


def alembic(url: URL, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command `alembic` as one would by hand, for a database."""
    return subprocess.run(
        [sys.executable, "-m", "alembic", "-c", MIGRATIONS / "alembic.ini", *arguments],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"DATABASE_URL": url.render_as_string(hide_password=False)},
    )


def what_there_is(connection: Connection) -> list[str]:
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
            names = what_there_is(connection)
        assert names == ["alembic_version"]
    empty_manager.upgrade()


def test_the_migrations_make_what_the_models_say(manager: DatabaseManager) -> None:
    command.check(manager.alembic_cfg)


def test_alembic_can_be_called_from_running_code(manager: DatabaseManager) -> None:
    command.downgrade(manager.alembic_cfg, "base")
    assert manager.get_current_revision() is None
    command.upgrade(manager.alembic_cfg, "head")
    assert manager.get_current_revision() == manager.get_latest_revision()


def test_the_alembic_command_migrates_the_configured_database(
    empty_manager: DatabaseManager,
) -> None:
    url = empty_manager.engine.url
    alembic(url, "upgrade", "head")
    assert empty_manager.get_current_revision() == empty_manager.get_latest_revision()
    assert "No new upgrade operations detected" in alembic(url, "check").stdout
    alembic(url, "downgrade", "base")
    assert empty_manager.get_current_revision() is None


def test_logging_stays_as_the_application_set_it_up(
    empty_manager: DatabaseManager,
) -> None:
    logger = logging.getLogger("application")
    handlers = list(logging.getLogger().handlers)
    empty_manager.upgrade()
    assert not logger.disabled
    assert logging.getLogger().handlers == handlers
