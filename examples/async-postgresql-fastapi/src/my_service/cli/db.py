"""The commands for the database's schema."""

import json
import re
from itertools import islice

import click
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from ..config import get_settings
from ..database import manager_from_config
from ..db import DatabaseStatus, SyncResult
from .coroutine import coroutine

MESSAGES = {
    SyncResult.CREATED: "Database created.",
    SyncResult.UPGRADED: "Database upgraded.",
    SyncResult.ALREADY_UP_TO_DATE: "Database already up-to-date.",
    SyncResult.AHEAD: "Database is newer than this code.",
}
EXIT_CODES = {
    DatabaseStatus.UP_TO_DATE: 0,
    DatabaseStatus.AHEAD: 0,
    DatabaseStatus.EMPTY: 3,
    DatabaseStatus.BEHIND: 4,
    DatabaseStatus.DIVERGED: 5,
}


@click.group()
def db() -> None:
    """Look after the database's schema."""


@db.command()
@coroutine
async def sync() -> None:
    """Create the schema or bring it up to date."""
    async with manager_from_config(get_settings()) as manager:
        result = await manager.sync()
    click.echo(MESSAGES[result])


@db.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
@coroutine
async def status(context: click.Context, as_json: bool) -> None:
    """Tell how the schema stands to the migrations.

    Exits with 0 if the service can run on it, 3 if it is empty, 4 if it is behind, 5 if it has
    diverged, and 1 if the database cannot be asked.
    """
    async with manager_from_config(get_settings()) as manager:
        found = await manager.get_status()
        current = await manager.get_current_revision()
        latest = await manager.get_latest_revision()
    if as_json:
        click.echo(json.dumps({"status": found.value, "current": current, "latest": latest}))
    else:
        click.echo(f"Database is {found.value}: at {current or 'no revision'}, newest is {latest}.")
    context.exit(EXIT_CODES[found])


@db.command()
@click.argument("revision", default="head")
@click.option("--sql", is_flag=True, help="Print the statements instead of running them.")
@coroutine
async def upgrade(revision: str, sql: bool) -> None:
    """Run the migrations up to REVISION, by default all of them."""
    async with manager_from_config(get_settings()) as manager:
        if sql:
            command.upgrade(manager.alembic_cfg, revision, sql=True)
        else:
            await manager.upgrade(revision)


@db.command(context_settings={"ignore_unknown_options": True})
@click.argument("revision")
@coroutine
async def downgrade(revision: str) -> None:
    """Undo the migrations down to REVISION, such as -1 or base."""
    async with manager_from_config(get_settings()) as manager:
        current = await manager.get_current_revision()
        scripts = ScriptDirectory.from_config(manager.alembic_cfg)
        relative = re.fullmatch(r"-(\d+)", revision)
        undone = scripts.iterate_revisions(current or "base", "base" if relative else revision)
        for script in islice(undone, int(relative[1]) if relative else None):
            click.echo(f"About to undo {script.revision}, {script.doc}")
        await manager.downgrade(revision)


@db.command()
@click.option("-m", "--message", required=True, help="What the migration does.")
@click.option("--autogenerate/--empty", default=True, help="Take it from the models, or not.")
def revision(message: str, autogenerate: bool) -> None:
    """Write a new migration, by default with what the models have and the database lacks."""
    command.revision(_alembic_config(), message, autogenerate=autogenerate)


@db.command()
def check() -> None:
    """Fail if the models say something that no migration makes."""
    command.check(_alembic_config())


@db.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--even-in-production", is_flag=True, help="Do it where PRODUCTION is set, too.")
@coroutine
async def drop(yes: bool, even_in_production: bool) -> None:
    """Drop all tables, with everything in them."""
    settings = get_settings()
    if settings.production and not even_in_production:
        raise click.ClickException("This is production. Is it meant? Add --even-in-production.")
    async with manager_from_config(settings) as manager:
        if not yes:
            click.confirm(f"Drop all tables of {manager.engine.url!r}?", abort=True)
        await manager.drop()
    click.echo("Database dropped.")


def _alembic_config() -> Config:
    config = manager_from_config(get_settings()).alembic_cfg
    # How files are named and formatted stands there.
    config.toml_file_name = "pyproject.toml"
    return config
