"""The command line."""

import click

from .errors import ErrorHandlingGroup, LazyCommand


@click.group(cls=ErrorHandlingGroup)
@click.version_option(package_name="my-service")
def main() -> None:
    """Run and manage the service."""
    from ..config import get_settings, set_up_logging

    set_up_logging(get_settings().log_level)


main.add_command(LazyCommand("db", ".db", "Manage the schema of the database."))
main.add_command(LazyCommand("users", ".users", "Manage users."))
