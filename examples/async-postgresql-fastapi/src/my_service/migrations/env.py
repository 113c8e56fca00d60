"""Runs the migrations, for the `alembic` command and for the manager alike.

The manager hands its connection over in `config.attributes`. Otherwise the database is the one that
the configuration names, or else the one of the settings.
"""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

from alembic import context
from alembic.util import CommandError, to_tuple
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

from my_service.config import get_settings
from my_service.database import Base, manager_from_config
from my_service.db import UTCDateTime, is_sqlite, schema
from my_service.db.engine import make_engine
from my_service.db.lock import run_alone

config = context.config


def open_engine() -> AsyncEngine:
    """Return an engine for the database to migrate."""
    url = config.get_alembic_option("sqlalchemy.url")
    if url:
        return make_engine(url, config.attributes.get("engine_args"))
    manager = manager_from_config(get_settings())
    config.attributes |= manager.alembic_cfg.attributes
    return manager.engine


def render_item(kind: str, item: Any, autogen_context: object) -> str | Literal[False]:
    """Write our own types as plain ones, so that migrations do not depend on this code."""
    if kind == "type" and isinstance(item, UTCDateTime):
        return "sa.DateTime(timezone=True)"
    return False


def migrate(connection: Connection) -> None:
    """Run what Alembic was asked for on a connection, one process at a time."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_item=render_item,
        render_as_batch=is_sqlite(connection),
        # Alembic does not know that our connections to SQLite have real transactions.
        transactional_ddl=is_sqlite(connection) or None,
        # Otherwise the lock lives in the transaction, which spans all migrations.
        transaction_per_migration=not (
            is_sqlite(connection) or config.attributes.get("transaction_lock")
        ),
        on_version_apply=schema.report_steps(),
    )

    def run() -> None:
        with context.begin_transaction():
            context.run_migrations()
            schema.check_foreign_keys(connection)

    if changes_something(connection):
        run_alone(connection, run, config.attributes)
    else:
        run()


def changes_something(connection: Connection) -> bool:
    """Tell whether the revision asked for is another one than the database stands at."""
    try:
        target = to_tuple(context.get_revision_argument(), default=())
    except KeyError:
        return False  # a command that only looks
    except CommandError:
        return True  # a relative one, such as -1
    current = schema.current_heads(connection)
    connection.rollback()
    # Without any, Alembic may write its table first.
    return not current or set(current) != set(target)


def print_sql() -> None:
    """Print the statements instead of executing them."""
    context.configure(
        dialect_name=open_engine().dialect.name,
        target_metadata=Base.metadata,
        literal_binds=True,
    )
    with context.begin_transaction():
        context.run_migrations()


async def connect_and_migrate() -> None:
    """Open a connection of our own and migrate on it."""
    engine = open_engine()
    try:
        async with engine.execution_options(sqlite_begin="DEFERRED").connect() as connection:
            await connection.run_sync(migrate)
    finally:
        await engine.dispose()


if context.is_offline_mode():
    print_sql()
elif "connection" in config.attributes:
    migrate(config.attributes["connection"])
else:
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    # In a thread of its own, for callers that already run an event loop.
    with ThreadPoolExecutor(max_workers=1) as executor:
        executor.submit(asyncio.run, connect_and_migrate()).result()
