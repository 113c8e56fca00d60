from alembic.script import ScriptDirectory
from sqlalchemy import text

from my_service.db import AsyncDatabaseManager, schema


async def test_a_table_or_column_with_rows_is_among_the_losses_of_a_downgrade(
    manager: AsyncDatabaseManager,
) -> None:
    undone = [*ScriptDirectory.from_config(manager.alembic_cfg).walk_revisions()]
    async with manager.engine.connect() as connection:
        before = await connection.run_sync(schema.find_losses, undone)
        await connection.execute(text("INSERT INTO layer_test_pages (path) VALUES ('/')"))
        after = await connection.run_sync(schema.find_losses, undone)
    assert before == []
    assert after == ["layer_test_pages.title", "layer_test_pages"]


async def test_a_table_that_another_downgrade_creates_has_no_rows(
    empty_manager: AsyncDatabaseManager,
) -> None:
    undone = [*ScriptDirectory.from_config(empty_manager.alembic_cfg).walk_revisions()]
    async with empty_manager.engine.connect() as connection:
        losses = await connection.run_sync(schema.find_losses, undone)
    assert losses == []
