"""Report expected errors of commands without a traceback."""

from typing import Any

import click
from alembic.script.revision import RevisionError
from alembic.util import CommandError
from pydantic import ValidationError
from pydantic_settings import SettingsError
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from ..db import ConfigurationError
from .db import read_state


class ErrorHandlingGroup(click.Group):
    """Ends a command with a message for expected errors; any other keeps its traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (CommandError, DBAPIError, RevisionError) as error:
            reason = error.orig if isinstance(error, DBAPIError) else error
            raise click.ClickException(f"{reason}\n{read_state()['message']}") from error
        except (ConfigurationError, SettingsError, SQLAlchemyError) as error:
            raise click.ClickException(str(error)) from error
        except ValidationError as error:
            if error.title not in ("DatabaseSettings", "Settings"):
                raise
            lines = [f"{'__'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors()]
            raise click.ClickException("\n".join(lines)) from error
