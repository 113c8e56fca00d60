"""The command line."""

import logging
from typing import Any

import click
from alembic.util import CommandError
from sqlalchemy.exc import SQLAlchemyError

from ..config import get_settings
from .db import db
from .serve import dev, serve
from .users import users


class Main(click.Group):
    """Ends a command with a message, not a traceback, for what its user can mend."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (CommandError, SQLAlchemyError, ValueError) as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=Main)
@click.version_option(package_name="my-service")
def main() -> None:
    """Run and look after the service."""
    logging.basicConfig(level=get_settings().log_level, format="%(levelname)s: %(message)s")
    # It says what it is about to do; the database layer says what has been done.
    logging.getLogger("alembic").setLevel(logging.WARNING)


main.add_command(db)
main.add_command(dev)
main.add_command(serve)
main.add_command(users)
