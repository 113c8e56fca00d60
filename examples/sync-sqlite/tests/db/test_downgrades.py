from alembic.script import ScriptDirectory
from sqlalchemy import text

from my_service.db import DatabaseManager, schema


def test_a_table_or_column_with_rows_is_among_the_losses_of_a_downgrade(
    manager: DatabaseManager,
) -> None:
    undone = [*ScriptDirectory.from_config(manager.alembic_cfg).walk_revisions()]
    with manager.engine.connect() as connection:
        before = schema.find_losses(connection, undone)
        connection.execute(text("INSERT INTO layer_test_pages (path) VALUES ('/')"))
        after = schema.find_losses(connection, undone)
    assert before == []
    assert after == ["layer_test_pages.title", "layer_test_pages"]


def test_a_table_that_another_downgrade_creates_has_no_rows(
    empty_manager: DatabaseManager,
) -> None:
    undone = [*ScriptDirectory.from_config(empty_manager.alembic_cfg).walk_revisions()]
    with empty_manager.engine.connect() as connection:
        losses = schema.find_losses(connection, undone)
    assert losses == []
