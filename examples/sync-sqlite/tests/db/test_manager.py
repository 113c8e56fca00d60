from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import URL, text

from my_service.db import (
    DatabaseManager,
    DatabaseStatus,
    SchemaError,
    SyncResult,
    exists_in_db,
)

from ..concurrency import together
from ..conftest import MIGRATIONS
from ..databases import new_database
from .models import TableBase


def has_table(manager: DatabaseManager, *names: str) -> bool:
    with manager.engine.connect() as connection:
        return exists_in_db(connection, *names)


def stamp(manager: DatabaseManager, revision: str) -> None:
    with manager.engine.begin() as connection:
        connection.execute(
            text("UPDATE alembic_version SET version_num = :revision"),
            {"revision": revision},
        )


def test_sync_creates_then_has_nothing_to_do(empty_manager: DatabaseManager) -> None:
    assert empty_manager.get_status() is DatabaseStatus.EMPTY
    assert empty_manager.get_current_revision() is None
    assert empty_manager.sync() is SyncResult.CREATED
    assert empty_manager.sync() is SyncResult.ALREADY_UP_TO_DATE
    assert empty_manager.get_status() is DatabaseStatus.UP_TO_DATE
    latest = empty_manager.get_latest_revision()
    assert empty_manager.get_current_revision() == latest


def test_sync_upgrades_a_database_that_is_behind(
    empty_manager: DatabaseManager,
    tmp_path: Path,
) -> None:
    empty_manager.sync()
    head = empty_manager.get_current_revision()
    later = tmp_path / "later"
    later.mkdir()
    for name in ("env.py", "script.py.mako", "alembic.ini"):
        (later / name).write_text((MIGRATIONS / name).read_text())
    versions = later / "versions"
    versions.mkdir()
    for path in (MIGRATIONS / "versions").glob("*.py"):
        (versions / path.name).write_text(path.read_text())
    with DatabaseManager(empty_manager.engine.url, later) as manager:
        command.revision(manager.alembic_cfg, "later", rev_id="later")
        assert manager.get_status() is DatabaseStatus.BEHIND
        assert manager.sync() is SyncResult.UPGRADED
        assert manager.get_current_revision() == "later"
        manager.downgrade("-1")
        assert manager.get_current_revision() == head


def test_a_database_that_is_ahead_is_left_alone(manager: DatabaseManager) -> None:
    stamp(manager, "from_the_future")
    assert manager.get_status() is DatabaseStatus.AHEAD
    assert manager.sync() is SyncResult.AHEAD


def test_tables_without_a_history_are_refused(manager: DatabaseManager) -> None:
    with manager.engine.begin() as connection:
        connection.execute(text("DROP TABLE alembic_version"))
    assert manager.get_status() is DatabaseStatus.DIVERGED
    with pytest.raises(SchemaError, match="without a history"):
        manager.sync()
    with pytest.raises(SchemaError, match="not empty"):
        manager.create()


def test_create_makes_the_tables_and_records_the_revision(
    tables: DatabaseManager,
) -> None:
    assert has_table(tables, "pages")
    assert has_table(tables, "pages", "title")
    assert not has_table(tables, "pages", "nosuch")
    assert not has_table(tables, "nosuch")
    assert tables.get_status() is DatabaseStatus.UP_TO_DATE


def test_drop_removes_everything_and_takes_an_empty_database(
    tables: DatabaseManager,
) -> None:
    for _ in range(2):
        tables.drop()
        assert not has_table(tables, "pages")
        assert tables.get_status() is DatabaseStatus.EMPTY


def test_reading_the_revision_leaves_the_transaction_usable(
    empty_manager: DatabaseManager,
) -> None:
    with empty_manager.Session.begin() as session:
        session.execute(text("CREATE TABLE work (id INTEGER)"))
        assert empty_manager.get_current_revision(session) is None
        session.execute(text("INSERT INTO work VALUES (1)"))
    assert has_table(empty_manager, "work")


def test_concurrent_syncs_apply_each_migration_once(
    empty_manager: DatabaseManager,
) -> None:
    def sync(number: int) -> SyncResult:
        with DatabaseManager(empty_manager.engine.url, MIGRATIONS) as manager:
            return manager.sync()

    together(sync, range(8))
    assert empty_manager.get_status() is DatabaseStatus.UP_TO_DATE


def test_several_databases_may_be_migrated_at_once(server: URL) -> None:
    def sync(url: URL) -> SyncResult:
        with DatabaseManager(url, MIGRATIONS) as manager:
            return manager.sync()

    with new_database(server) as one, new_database(server) as other:
        results = together(sync, [one, other] * 4)
    for of_one_database in (results[::2], results[1::2]):
        assert SyncResult.CREATED in of_one_database


def test_the_migrations_may_be_in_a_folder_with_any_name(
    empty_manager: DatabaseManager,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "100 % (here)s"
    folder.mkdir()
    with DatabaseManager(
        empty_manager.engine.url,
        folder,
        base_model=TableBase,
    ) as manager:
        assert manager.get_latest_revision() is None
        manager.create()
        assert has_table(manager, "pages")
