"""Commands for users: an example to replace."""

import click
from sqlalchemy import select
from sqlalchemy.exc import NoResultFound

from ..config import get_settings
from ..database import manager_from_config
from ..models import User


@click.group()
def users() -> None:
    """Manage users."""


@users.command()
@click.argument("name")
@click.option("--full-name", help="The name in full.")
def add(name: str, full_name: str | None) -> None:
    """Add a user called NAME, unless there is one."""
    if not 0 < len(name.strip()) <= 100:
        raise click.BadParameter("a name has 1 to 100 characters")
    with manager_from_config(get_settings()) as manager, manager.Session.begin() as session:
        user, created = User.get_or_create(session, {"full_name": full_name}, name=name)
    click.echo(f"{'Added' if created else 'There is already'} {user.name} (id {user.id}).")


@users.command("list")
def list_users() -> None:
    """List the users by name."""
    statement = select(User).where(User.deleted_at.is_(None)).order_by(User.name)
    with manager_from_config(get_settings()) as manager, manager.ReadSession() as session:
        found = session.scalars(statement)
        for user in found:
            click.echo(f"{user.id}\t{user.name}\t{user.full_name or ''}")


@users.command()
@click.argument("name")
def show(name: str) -> None:
    """Show the user called NAME."""
    try:
        with manager_from_config(get_settings()) as manager, manager.ReadSession() as session:
            user = User.get_one(session, name=name, deleted_at=None)
    except NoResultFound:
        raise click.ClickException(f"There is no user called {name}.") from None
    click.echo(f"id: {user.id}\nname: {user.name}\nfull name: {user.full_name or ''}")
    click.echo(f"created at: {user.created_at.isoformat()}")
