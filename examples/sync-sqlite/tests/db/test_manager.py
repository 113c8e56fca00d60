import shutil
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import URL, text

from my_service.db import DatabaseManager, DatabaseStatus, SchemaError, SyncResult, exists_in_db

from ..concurrency import run_concurrently
from ..databases import temporary_database
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
) -> None:
    empty_manager.upgrade("layer_test_1")
    assert empty_manager.get_status() is DatabaseStatus.BEHIND
    assert empty_manager.sync() is SyncResult.UPGRADED
    assert empty_manager.get_current_revision() == "layer_test_2"
    empty_manager.downgrade("-1")
    assert empty_manager.get_current_revision() == "layer_test_1"


def test_a_migration_that_was_just_written_is_found(
    empty_url: URL,
    migrations: Path,
    tmp_path: Path,
) -> None:
    folder = Path(shutil.copytree(migrations, tmp_path / "migrations"))
    with DatabaseManager(empty_url, folder, base_model=TableBase) as manager:
        manager.sync()
        assert manager.get_status() is DatabaseStatus.UP_TO_DATE
        command.revision(manager.alembic_cfg, "later", rev_id="later")
        assert manager.get_status(reread=False) is DatabaseStatus.UP_TO_DATE
        assert manager.get_status() is DatabaseStatus.BEHIND
        assert manager.sync() is SyncResult.UPGRADED
        assert manager.get_current_revision() == "later"


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
    assert has_table(tables, "layer_test_pages")
    assert has_table(tables, "layer_test_pages", "title")
    assert not has_table(tables, "layer_test_pages", "nosuch")
    assert not has_table(tables, "nosuch")
    assert tables.get_status() is DatabaseStatus.UP_TO_DATE


def test_drop_removes_everything_and_takes_an_empty_database(
    tables: DatabaseManager,
) -> None:
    for _ in range(2):
        tables.drop()
        assert not has_table(tables, "layer_test_pages")
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
    migrations: Path,
) -> None:
    def sync(number: int) -> SyncResult:
        with DatabaseManager(empty_manager.engine.url, migrations) as manager:
            return manager.sync()

    run_concurrently(sync, range(8))
    assert empty_manager.get_status() is DatabaseStatus.UP_TO_DATE


def test_several_databases_may_be_migrated_at_once(server: URL, migrations: Path) -> None:
    def sync(url: URL) -> SyncResult:
        with DatabaseManager(url, migrations) as manager:
            return manager.sync()

    with temporary_database(server) as one, temporary_database(server) as other:
        results = run_concurrently(sync, [one, other] * 4)
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
        assert has_table(manager, "layer_test_pages")
