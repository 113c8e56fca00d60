"""Run migrations on behalf of `migrations/env.py`, for `alembic` and for the manager alike."""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

from alembic import context
from alembic.config import Config
from alembic.util import CommandError, to_tuple
from sqlalchemy import URL, Connection, MetaData

from . import schema
from .engine import make_engine
from .errors import SchemaError
from .postgresql import MIGRATION_OPTIONS
from .types import UTCDateTime
from .urls import driver_url


def run_migrations(config: Config, metadata: MetaData, open_manager: Any, **options: Any) -> None:
    """Run the command that Alembic was asked for, one process at a time if it changes anything.

    It runs on the connection that a manager hands over in `config.attributes`, or on the database
    of `sqlalchemy.url`, or on that of `open_manager()`. Autogeneration compares with `metadata`;
    `options` are arguments of `context.configure`.
    """
    options = {**MIGRATION_OPTIONS, "target_metadata": metadata, "render_item": _render, **options}
    connection = config.attributes.get("connection")
    if connection is not None:
        _migrate(connection, config, options)
        return
    url: str | URL | None = config.get_alembic_option("sqlalchemy.url")
    if not url:
        manager = open_manager()
        url = manager.engine.url
        config.attributes |= manager.alembic_cfg.attributes
    if context.is_offline_mode():
        options["dialect_opts"] = {"paramstyle": "named"}  # Others would double each %.
        context.configure(url=driver_url(url), literal_binds=True, **options)
        try:
            with context.begin_transaction():
                context.run_migrations()
        except Exception as error:
            raise CommandError(f"a migration fails without a connection: {error}") from error
        return
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(_connect_and_migrate(url, config, options))
    else:
        with ThreadPoolExecutor(max_workers=1) as executor:
            executor.submit(asyncio.run, _connect_and_migrate(url, config, options)).result()


async def _connect_and_migrate(url: str | URL, config: Config, options: dict[str, Any]) -> None:
    # Whoever has nothing to change waits for nobody.
    for read_only in (True, False):
        engine = make_engine(url, config.attributes.get("engine_args"), read_only=read_only)
        try:
            async with engine.connect() as connection:
                if await connection.run_sync(_migrate, config, options):
                    return
        except SchemaError as error:
            raise CommandError(str(error)) from error
        finally:
            await engine.dispose()


def _migrate(connection: Connection, config: Config, options: dict[str, Any]) -> bool:
    """Run the command, unless the connection only reads and the command changes something."""
    only_reads = connection.get_execution_options().get("read_only", False)

    def run() -> None:
        # Configured here, so that Alembic finds the transaction that holds the lock.
        ours = {"on_version_apply": schema.report_steps(), "dont_mutate": only_reads}
        context.configure(connection=connection, **{**ours, **options})
        with context.begin_transaction():
            context.run_migrations()

    if not only_reads:
        schema.change(connection, config, run)
    elif _changes_schema(connection):
        return False
    else:
        run()
    return True


def _changes_schema(connection: Connection) -> bool:
    try:
        target = to_tuple(context.get_revision_argument(), default=())
    except KeyError:
        return False  # a command that only reads
    except CommandError:
        return True  # a relative revision, such as -1
    current = schema.current_heads(connection)
    return not current or {*current} != {*target}


def _render(kind: str, item: Any, autogen_context: object) -> str | Literal[False]:
    """Write our own types as plain ones, so that migrations do not depend on this code."""
    if kind == "type" and isinstance(item, UTCDateTime):
        return "sa.DateTime(timezone=True)"
    return False
