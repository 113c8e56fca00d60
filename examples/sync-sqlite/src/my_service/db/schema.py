"""What happens to the schema, on a connection: status, create, upgrade, downgrade, drop."""

import enum
import logging
import time
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext, MigrationInfo
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, MetaData, inspect, text
from sqlalchemy.orm import Session

from .errors import SchemaError
from .lock import run_alone

log = logging.getLogger(__name__)


class DatabaseStatus(enum.Enum):
    """How the schema of a database stands to the migrations of this code."""

    EMPTY = "empty"
    BEHIND = "behind"
    UP_TO_DATE = "up to date"
    AHEAD = "ahead"
    DIVERGED = "diverged"
    # As sqlalchemy-helpers calls them.
    NO_INFO = EMPTY
    UPGRADE_AVAILABLE = BEHIND


class SyncResult(enum.Enum):
    """What `sync` did."""

    CREATED = "created"
    UPGRADED = "upgraded"
    ALREADY_UP_TO_DATE = "already up to date"
    AHEAD = "ahead"


def alembic_config(
    location: str | PathLike[str],
    url: URL,
    engine_args: Mapping[str, Any] | None = None,
) -> Config:
    """Return the Alembic configuration for a database and the migrations in a folder."""
    folder = Path(location).absolute()
    config = Config(folder / "alembic.ini")
    # ConfigParser takes a % for the beginning of a reference.
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    shown = url.render_as_string(hide_password=False)
    config.set_main_option("sqlalchemy.url", shown.replace("%", "%%"))
    config.attributes["engine_args"] = engine_args
    return config


def current_heads(connection: Connection) -> tuple[str, ...]:
    """Return the revisions that the database is at, sorted; none where no migration has run."""
    return tuple(sorted(MigrationContext.configure(connection).get_current_heads()))


def latest_revision(config: Config) -> str | None:
    """Return the newest revision, or all heads with commas between, or None without migrations."""
    return ", ".join(sorted(ScriptDirectory.from_config(config).get_heads())) or None


def read_revisions(config: Config) -> dict[str, bool]:
    """Return the revisions among the migrations, and whether each is a head. Imports every file."""
    scripts = ScriptDirectory.from_config(config)
    return {script.revision: script.is_head for script in scripts.walk_revisions()}


def status(connection: Connection, known: dict[str, bool], metadata: MetaData) -> DatabaseStatus:
    """Return how the database stands to the revisions. Errors of the database are raised."""
    latest = {revision for revision, is_head in known.items() if is_head}
    current = set(current_heads(connection))
    if len(latest) > 1 and current != latest:
        return DatabaseStatus.DIVERGED
    if not current:
        if not _own_tables(connection, metadata):
            return DatabaseStatus.EMPTY
        # Another process may have migrated in between.
        current = set(current_heads(connection))
    if current and current == latest:
        return DatabaseStatus.UP_TO_DATE
    if current and current <= known.keys():
        return DatabaseStatus.BEHIND
    return DatabaseStatus.AHEAD if len(current) == 1 else DatabaseStatus.DIVERGED


def explain(connection: Connection, config: Config, metadata: MetaData) -> dict[str, str | None]:
    """Return `status`, the revisions `current` and `latest`, and a `message` with the next step."""
    found = status(connection, read_revisions(config), metadata)
    current, latest = ", ".join(current_heads(connection)) or None, latest_revision(config)
    if found is DatabaseStatus.UP_TO_DATE:
        step = ""
    elif found in (DatabaseStatus.EMPTY, DatabaseStatus.BEHIND):
        step = " `db sync` brings it up to date."
    elif ", " in (latest or ""):
        step = ' Merge the heads: uv run alembic merge heads -m "Merge"'
    elif current:
        step = " Newer code has migrated it, or the file of a migration is missing."
    else:
        tables = ", ".join(_own_tables(connection, metadata))
        step = f" Tables without a history: {tables}. If a revision makes the same, run"
        step += " `uv run alembic stamp <revision>`; otherwise use an empty schema."
    message = f"Database is {found.value}: at {current or 'no revision'}, newest is {latest}.{step}"
    return {"status": found.value, "current": current, "latest": latest, "message": message}


def create(connection: Connection, config: Config, metadata: MetaData) -> None:
    """Create the tables of `metadata` and record the newest revision, without any migration.

    For tests and experiments: data migrations do not run. Raises SchemaError when the database
    already holds tables of ours, or has a history.
    """

    def work() -> None:
        found = _own_tables(connection, metadata)
        if found or current_heads(connection):
            raise SchemaError(f"the database is not empty, it has {', '.join(found)}; use sync")
        metadata.create_all(connection)
        scripts = ScriptDirectory.from_config(config)
        MigrationContext.configure(connection).stamp(scripts, "heads")
        connection.commit()

    run_alone(connection, work, config.attributes)


def upgrade(connection: Connection, config: Config, target: str) -> None:
    """Run the migrations up to `target`."""
    command.upgrade(_handing_over(config, connection), target)


def downgrade(connection: Connection, config: Config, target: str) -> None:
    """Undo the migrations down to `target`."""
    command.downgrade(_handing_over(config, connection), target)


def sync(connection: Connection, config: Config, metadata: MetaData) -> SyncResult:
    """Bring the schema up to date, from wherever it stands.

    Raises SchemaError for a database that holds tables of ours without a history, or whose
    history is not that of the migrations.
    """
    before = status(connection, read_revisions(config), metadata)
    connection.rollback()
    if before is DatabaseStatus.UP_TO_DATE:
        return SyncResult.ALREADY_UP_TO_DATE
    if before is DatabaseStatus.AHEAD:
        return SyncResult.AHEAD
    if before is DatabaseStatus.DIVERGED:
        raise SchemaError(explain(connection, config, metadata)["message"])
    upgrade(connection, config, "head")
    return SyncResult.CREATED if before is DatabaseStatus.EMPTY else SyncResult.UPGRADED


def drop(connection: Connection, config: Config, metadata: MetaData) -> None:
    """Drop every table of `metadata` and the record of the revision. Nothing to drop is no error."""

    def work() -> None:
        metadata.drop_all(connection)
        connection.execute(text("DROP TABLE IF EXISTS alembic_version"))
        connection.commit()

    run_alone(connection, work, config.attributes)


def report_steps() -> Callable[..., None]:
    """Return a callback that logs each migration with the time that it took."""
    started = time.perf_counter()

    def report(*, step: MigrationInfo, **_: object) -> None:
        nonlocal started
        seconds, started = time.perf_counter() - started, time.perf_counter()
        verb = "Applied" if step.is_upgrade else "Undid"
        title = getattr(step.up_revision, "doc", "")
        log.info("%s %s, %s (%.2f s)", verb, step.up_revision_id, title, seconds)

    return report


def check_foreign_keys(connection: Connection) -> None:
    """Raise SchemaError if a migration has left rows on SQLite that refer to nothing."""
    if is_sqlite(connection):
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").scalars().all()
        if broken:
            raise SchemaError(f"{len(broken)} rows would refer to nothing: {', '.join({*broken})}")


def is_sqlite(bind: Connection | Engine | Session) -> bool:
    """Tell whether a connection, an engine or a session talks to SQLite."""
    engine = bind.get_bind() if isinstance(bind, Session) else bind
    return engine.dialect.name == "sqlite"


def exists_in_db(bind: Connection | Engine, table: str, column: str | None = None) -> bool:
    """Tell whether a table, or a column of it, exists in the database."""
    if column is None or not inspect(bind).has_table(table):
        return inspect(bind).has_table(table)
    return column in {found["name"] for found in inspect(bind).get_columns(table)}


def _handing_over(config: Config, connection: Connection) -> Config:
    """Return a copy of the configuration in which env.py finds the connection."""
    attributes = {**config.attributes, "connection": connection}
    copy = Config(config.config_file_name, attributes=attributes)
    copy.file_config = config.file_config
    return copy


def _own_tables(connection: Connection, metadata: MetaData) -> list[str]:
    exists = inspect(connection).has_table
    return [table.fullname for table in metadata.sorted_tables if exists(table.name, table.schema)]
