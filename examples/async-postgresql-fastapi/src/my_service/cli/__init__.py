"""The command line."""

import click

from ..config import get_settings, set_up_logging
from .db import db
from .errors import ErrorHandlingGroup
from .serve import dev, serve
from .users import users


@click.group(cls=ErrorHandlingGroup)
@click.version_option(package_name="my-service")
def main() -> None:
    """Run and manage the service."""
    set_up_logging(get_settings().log_level)


main.add_command(db)
main.add_command(dev)
main.add_command(serve)
main.add_command(users)
