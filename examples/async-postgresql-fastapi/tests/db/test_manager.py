import shutil
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import URL, select, text

from my_service.db import (
    AsyncDatabaseManager,
    DatabaseStatus,
    SchemaError,
    SyncResult,
    exists_in_db,
)

from ..concurrency import run_concurrently
from ..databases import temporary_database
from .models import Page, TableBase


async def has_table(manager: AsyncDatabaseManager, *names: str) -> bool:
    async with manager.engine.connect() as connection:
        return await connection.run_sync(exists_in_db, *names)


async def stamp(manager: AsyncDatabaseManager, revision: str) -> None:
    async with manager.engine.begin() as connection:
        await connection.execute(
            text("UPDATE alembic_version SET version_num = :revision"),
            {"revision": revision},
        )


async def test_sync_creates_then_has_nothing_to_do(empty_manager: AsyncDatabaseManager) -> None:
    assert await empty_manager.get_status() is DatabaseStatus.EMPTY
    assert await empty_manager.get_current_revision() is None
    assert await empty_manager.sync() is SyncResult.CREATED
    assert await empty_manager.sync() is SyncResult.ALREADY_UP_TO_DATE
    assert await empty_manager.get_status() is DatabaseStatus.UP_TO_DATE
    latest = await empty_manager.get_latest_revision()
    assert await empty_manager.get_current_revision() == latest


async def test_sync_upgrades_a_database_that_is_behind(
    empty_manager: AsyncDatabaseManager,
) -> None:
    await empty_manager.upgrade("layer_test_1")
    assert await empty_manager.get_status() is DatabaseStatus.BEHIND
    assert await empty_manager.sync() is SyncResult.UPGRADED
    assert await empty_manager.get_current_revision() == "layer_test_2"
    await empty_manager.downgrade("-1")
    assert await empty_manager.get_current_revision() == "layer_test_1"


async def test_a_migration_that_was_just_written_is_found(
    empty_url: URL,
    migrations: Path,
    tmp_path: Path,
) -> None:
    folder = Path(shutil.copytree(migrations, tmp_path / "migrations"))
    async with AsyncDatabaseManager(empty_url, folder, base_model=TableBase) as manager:
        await manager.sync()
        assert await manager.get_status() is DatabaseStatus.UP_TO_DATE
        command.revision(manager.alembic_cfg, "later", rev_id="later")
        assert await manager.get_status(reread=False) is DatabaseStatus.UP_TO_DATE
        assert await manager.get_status() is DatabaseStatus.BEHIND
        assert await manager.sync() is SyncResult.UPGRADED
        assert await manager.get_current_revision() == "later"


async def test_a_database_that_is_ahead_is_left_alone(manager: AsyncDatabaseManager) -> None:
    await stamp(manager, "from_the_future")
    assert await manager.get_status() is DatabaseStatus.AHEAD
    assert await manager.sync() is SyncResult.AHEAD


async def test_tables_without_a_history_are_refused(manager: AsyncDatabaseManager) -> None:
    async with manager.engine.begin() as connection:
        await connection.execute(text("DROP TABLE alembic_version"))
    assert await manager.get_status() is DatabaseStatus.DIVERGED
    with pytest.raises(SchemaError, match="without a history"):
        await manager.sync()
    with pytest.raises(SchemaError, match="not empty"):
        await manager.create()


async def test_create_makes_the_tables_and_records_the_revision(
    tables: AsyncDatabaseManager,
) -> None:
    assert await has_table(tables, "layer_test_pages")
    assert await has_table(tables, "layer_test_pages", "title")
    assert not await has_table(tables, "layer_test_pages", "nosuch")
    assert not await has_table(tables, "nosuch")
    assert await tables.get_status() is DatabaseStatus.UP_TO_DATE


async def test_drop_removes_everything_and_takes_an_empty_database(
    tables: AsyncDatabaseManager,
) -> None:
    for _ in range(2):
        await tables.drop()
        assert not await has_table(tables, "layer_test_pages")
        assert await tables.get_status() is DatabaseStatus.EMPTY


async def test_reading_the_revision_leaves_the_transaction_usable(
    empty_manager: AsyncDatabaseManager,
) -> None:
    async with empty_manager.Session.begin() as session:
        await session.execute(text("CREATE TABLE work (id INTEGER)"))
        assert await empty_manager.get_current_revision(session) is None
        await session.execute(text("INSERT INTO work VALUES (1)"))
    assert await has_table(empty_manager, "work")


async def test_concurrent_syncs_apply_each_migration_once(
    empty_manager: AsyncDatabaseManager,
    migrations: Path,
) -> None:
    async def sync(number: int) -> SyncResult:
        async with AsyncDatabaseManager(empty_manager.engine.url, migrations) as manager:
            return await manager.sync()

    await run_concurrently(sync, range(8))
    assert await empty_manager.get_status() is DatabaseStatus.UP_TO_DATE


async def test_several_databases_may_be_migrated_at_once(server: URL, migrations: Path) -> None:
    async def sync(url: URL) -> SyncResult:
        async with AsyncDatabaseManager(url, migrations) as manager:
            return await manager.sync()

    async with temporary_database(server) as one, temporary_database(server) as other:
        results = await run_concurrently(sync, [one, other] * 4)
    for of_one_database in (results[::2], results[1::2]):
        assert SyncResult.CREATED in of_one_database


async def test_the_migrations_may_be_in_a_folder_with_any_name(
    empty_manager: AsyncDatabaseManager,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "100 % (here)s"
    folder.mkdir()
    async with AsyncDatabaseManager(
        empty_manager.engine.url,
        folder,
        base_model=TableBase,
    ) as manager:
        assert await manager.get_latest_revision() is None
        await manager.create()
        assert await has_table(manager, "layer_test_pages")


async def test_each_tenant_may_have_a_schema_of_its_own(
    manager: AsyncDatabaseManager,
    migrations: Path,
) -> None:
    async with manager.engine.begin() as connection:
        await connection.execute(text("CREATE SCHEMA acme"))
    connect_args = {"server_settings": {"search_path": "acme"}}
    async with AsyncDatabaseManager(
        manager.engine.url,
        migrations,
        engine_args={"connect_args": connect_args},
        base_model=TableBase,
    ) as tenant:
        assert await tenant.sync() is SyncResult.CREATED
    async with manager.engine.connect() as connection:
        translated = await connection.execution_options(schema_translate_map={None: "acme"})
        await translated.execute(select(Page.path))
        found = await translated.execute(text("SELECT count(*) FROM acme.alembic_version"))
        assert found.scalar() == 1
