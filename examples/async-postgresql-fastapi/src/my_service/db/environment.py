"""Run migrations for `migrations/env.py`."""

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
    """Run Alembic's current command, under the migration lock if it changes the schema.

    It runs on the connection in `config.attributes`, if a manager has set one there, or else on the
    database of `sqlalchemy.url` or of `open_manager()`. Autogeneration compares with `metadata`;
    `options` are arguments of `context.configure`.
    """
    options = {**MIGRATION_OPTIONS, "target_metadata": metadata, "render_item": _render, **options}
    if "connection" in config.attributes:
        _migrate(config.attributes["connection"], config, options)
        return
    url: str | URL | None = config.get_alembic_option("sqlalchemy.url")
    if not url:
        manager = open_manager()
        url = manager.engine.url
        config.attributes |= manager.alembic_cfg.attributes
    if context.is_offline_mode():
        options["dialect_opts"] = {"paramstyle": "named"}  # Another style would double each %.
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
    # First for reading, so that a command that changes nothing does not wait for the lock.
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
    """Run the command; return False if the connection is for reading and the command writes."""
    only_reads = connection.get_execution_options().get("read_only", False)

    def run() -> None:
        # Under the lock, so that Alembic uses the transaction that has it.
        defaults = {"on_version_apply": schema.report_steps(), "dont_mutate": only_reads}
        context.configure(connection=connection, **{**defaults, **options})
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
        return False  # a command that does not migrate
    except CommandError:
        return True  # a relative revision, such as -1
    current = schema.current_heads(connection)
    return not current or {*current} != {*target}


def _render(kind: str, item: Any, autogen_context: object) -> str | Literal[False]:
    """Write the layer's types as SQLAlchemy's, so that migrations do not depend on this code."""
    is_ours = kind == "type" and isinstance(item, UTCDateTime)
    return "sa.DateTime(timezone=True)" if is_ours else False
