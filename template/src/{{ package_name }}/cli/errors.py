"""Lazy imports of commands, and expected errors without a traceback."""

from importlib import import_module
from typing import Any

import click


class LazyCommand(click.Command):
    """A command or group whose module is imported when it runs, which makes `--help` fast."""

    def __init__(self, name: str, module: str, summary: str) -> None:
        super().__init__(name, help=summary)
        self.module = module


class ErrorHandlingGroup(click.Group):
    """Reports expected errors without a traceback."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        name, command, rest = super().resolve_command(ctx, args)
        if isinstance(command, LazyCommand):
            command = getattr(import_module(command.module, __package__), str(name))
        return name, command, rest

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except Exception as error:
            if (message := _message(error)) is None:
                raise
            raise click.ClickException(message) from error


def _message(error: Exception) -> str | None:
    from alembic.script.revision import RevisionError
    from alembic.util import CommandError
    from pydantic import ValidationError
    from pydantic_settings import SettingsError
    from sqlalchemy.exc import DBAPIError, SQLAlchemyError

    from ..db import ConfigurationError
    from .db import read_state

    if isinstance(error, CommandError | DBAPIError | RevisionError):
        reason = error.orig if isinstance(error, DBAPIError) else error
        return f"{reason}\n{read_state()['message']}"
    if isinstance(error, ValidationError) and error.title in ("DatabaseSettings", "Settings"):
        lines = [f"{'__'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors()]
        return "\n".join(lines)
    is_expected = isinstance(error, ConfigurationError | SettingsError | SQLAlchemyError)
    return str(error) if is_expected else None
