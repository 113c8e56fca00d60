"""Operations on the schema: status, create, upgrade, downgrade, drop."""

import enum
import io
import logging
import re
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from os import PathLike
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext, MigrationInfo
from alembic.script import Script, ScriptDirectory
from sqlalchemy import URL, Connection, Engine, MetaData, inspect, select, text
from sqlalchemy.orm import Session

from .errors import SchemaError
from .sqlite import DIALECT, run_with_migration_lock

log = logging.getLogger(__name__)

DROP = re.compile(r'(?:DROP|ALTER) TABLE (?:IF EXISTS )?(".+?"|\S+?)(?: DROP COLUMN (.+?))?;', re.I)


class DatabaseStatus(enum.Enum):
    """Schema state relative to the migrations."""

    EMPTY = "empty"
    BEHIND = "behind"
    UP_TO_DATE = "up to date"
    AHEAD = "ahead"
    DIVERGED = "diverged"
    # Their names in sqlalchemy-helpers.
    NO_INFO = EMPTY
    UPGRADE_AVAILABLE = BEHIND


class SyncResult(enum.Enum):
    """The result of `sync`."""

    CREATED = "created"
    UPGRADED = "upgraded"
    ALREADY_UP_TO_DATE = "already up to date"
    AHEAD = "ahead"


def alembic_config(location: str | PathLike[str], url: URL, engine_args: Any = None) -> Config:
    """Return the Alembic configuration for a database and the migrations in a folder."""
    folder = Path(location).absolute()
    config = Config(folder / "alembic.ini", attributes={"engine_args": engine_args})
    url_string = url.render_as_string(hide_password=False)
    for name, value in (("script_location", str(folder)), ("sqlalchemy.url", url_string)):
        # ConfigParser takes a single % for the beginning of a reference.
        config.set_main_option(name, value.replace("%", "%%"))
    return config


def current_heads(connection: Connection) -> tuple[str, ...]:
    """Return the current revisions of the database, sorted; none before the first migration."""
    return tuple(sorted(MigrationContext.configure(connection).get_current_heads()))


def read_revisions(config: Config) -> dict[str, bool]:
    """Return the revisions of the migrations, each with whether it is a head. Raises SchemaError."""
    scripts = ScriptDirectory.from_config(config)
    try:
        return {script.revision: script.is_head for script in scripts.walk_revisions()}
    except KeyError as error:
        raise SchemaError(f"the file of revision {error} is missing; restore it") from error


def explain(connection: Connection, known: dict[str, bool], metadata: MetaData) -> dict[str, Any]:
    """Return `status`, `current` and `latest` revision, and a `message` with the next step."""
    latest = tuple(sorted(revision for revision, is_head in known.items() if is_head))
    current = current_heads(connection)
    tables = [] if current else _existing_tables(connection, metadata)
    if tables:
        # Another process may have migrated in between.
        current = current_heads(connection)
    status, step = "behind", " `db sync` brings it up to date."
    if len(latest) > 1 and current != latest:
        status, step = "diverged", ' Merge them: uv run alembic merge heads -m "Merge"'
    elif not current and not tables:
        status = "empty"
    elif not current:
        status, step = "diverged", f" Tables without a history: {', '.join(tables)}. If a revision"
        step += " makes them, run `uv run alembic stamp <revision>`; otherwise use an empty schema."
    elif current == latest:
        status, step = "up to date", ""
    elif not known.keys() >= {*current}:
        status = "diverged" if len(current) > 1 else "ahead"
        step = " Newer code has migrated it, or the file of a migration is missing."
    at, newest = ", ".join(current) or None, ", ".join(latest) or None
    message = f"Database is {status}: at {at or 'no revision'}, newest is {newest}.{step}"
    return {"status": status, "current": at, "latest": newest, "message": message}


def create(connection: Connection, config: Config, metadata: MetaData) -> None:
    """Create the tables of `metadata`, and stamp them with the newest revision."""

    def work() -> None:
        tables = _existing_tables(connection, metadata)
        if tables or current_heads(connection):
            raise SchemaError(f"the database is not empty, it has {', '.join(tables)}; use sync")
        metadata.create_all(connection)
        scripts = ScriptDirectory.from_config(config)
        MigrationContext.configure(connection).stamp(scripts, "heads")

    change(connection, config, work)


def change(connection: Connection, config: Config, work: Callable[[], None]) -> None:
    """Call `work`, which changes the schema, and commit; under a lock on this project's database."""
    if connection.dialect.name == DIALECT:
        run_with_migration_lock(connection, work, config.attributes)
    else:
        work()
        connection.commit()


def migrate(connection: Connection, config: Config, command: Any, target: str) -> None:
    """Run Alembic's `command`, upgrade or downgrade, to `target`, on the connection."""
    attributes = {**config.attributes, "connection": connection}
    config_with_connection = Config(config.config_file_name, attributes=attributes)
    config_with_connection.file_config = config.file_config
    command(config_with_connection, target)


def migration_sql(migrate: Callable[[], None]) -> str:
    """Return the SQL of a migration on PostgreSQL; without COMMIT if it needs a connection."""
    buffer = io.StringIO()
    options = {"as_sql": True, "literal_binds": True, "output_buffer": buffer}
    context = MigrationContext.configure(dialect_name="postgresql", opts=options)
    with Operations.context(context), suppress(Exception), context.begin_transaction():
        migrate()
    return buffer.getvalue()


def find_losses(connection: Connection, undone: Iterable[Script]) -> list[str]:
    """Return the tables and columns with rows that undoing the migrations drops."""
    losses = []
    for script in undone:
        sql = migration_sql(script.module.downgrade)
        if not sql.endswith("COMMIT;\n\n"):
            losses.append(f"what {script.revision} reads from the database to drop")
        for table, column in DROP.findall(sql):
            *schema, name = table.replace('"', "").split(".")
            rows = select(text("1")).select_from(text(table)).limit(1)
            if inspect(connection).has_table(name, *schema) and connection.scalar(rows):
                losses.append(f"{table}.{column}" if column else table)
    return losses


def drop(connection: Connection, config: Config, metadata: MetaData) -> None:
    """Drop the tables of `metadata` that exist, and the record of the revision."""

    def work() -> None:
        metadata.drop_all(connection)
        connection.execute(text("DROP TABLE IF EXISTS alembic_version"))

    change(connection, config, work)


def report_steps() -> Callable[..., None]:
    """Return a callback that logs each migration with its duration."""
    started = time.perf_counter()

    def report(*, step: MigrationInfo, **_: object) -> None:
        nonlocal started
        seconds, started = time.perf_counter() - started, time.perf_counter()
        verb = "Applied" if step.is_upgrade else "Undid"
        title = getattr(step.up_revision, "doc", "")
        log.info("%s %s, %s (%.2f s)", verb, step.up_revision_id, title, seconds)

    return report


def is_sqlite(bind: Connection | Engine | Session) -> bool:
    """Return whether a connection, an engine or a session is for SQLite."""
    engine = bind.get_bind() if isinstance(bind, Session) else bind
    return engine.dialect.name == "sqlite"


def exists_in_db(bind: Connection | Engine, table: str, column: str | None = None) -> bool:
    """Return whether a table, or a column of it, exists in the database."""
    if column is None or not inspect(bind).has_table(table):
        return inspect(bind).has_table(table)
    return column in {existing["name"] for existing in inspect(bind).get_columns(table)}


def _existing_tables(connection: Connection, metadata: MetaData) -> list[str]:
    exists = inspect(connection).has_table
    return [table.fullname for table in metadata.sorted_tables if exists(table.name, table.schema)]
