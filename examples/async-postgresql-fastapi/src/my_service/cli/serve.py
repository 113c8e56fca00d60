"""Commands that serve HTTP."""

import logging
import os
import signal
import sys

import click
import uvicorn

from ..config import get_settings
from .db import sync

APP = "my_service.web.app:create_app"
PORT = click.IntRange(0, 65535)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, envvar="HOST")
@click.option("--port", default=8000, type=PORT, show_default=True, envvar="PORT")
@click.option("--workers", default=1, type=click.IntRange(1), show_default=True)
def serve(host: str, port: int, workers: int) -> None:
    """Serve HTTP. Workers share the connections that the settings allow."""
    settings = get_settings()
    sqlalchemy = settings.database.sqlalchemy
    if workers > 1:
        # The workers read these settings from their environment.
        for name in ("pool_size", "max_overflow"):
            size = getattr(sqlalchemy, name)
            share = max(size // workers, min(size, 1))
            os.environ[f"DATABASE__SQLALCHEMY__{name.upper()}"] = str(share)
    # Uvicorn raises the signal again after it has stopped; the exit code has to be 0.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    timeout = settings.shutdown_timeout
    uvicorn.run(
        APP, factory=True, host=host, port=port, workers=workers, timeout_graceful_shutdown=timeout
    )


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8000, type=PORT, show_default=True)
@click.pass_context
def dev(context: click.Context, host: str, port: int) -> None:
    """Bring the database up to date, then serve HTTP and reload when the code changes."""
    context.invoke(sync)
    os.environ.setdefault("SHUTDOWN_DELAY", "0")
    # It counts changes of any file, such as those in the virtual environment.
    logging.getLogger("watchfiles").setLevel(logging.WARNING)
    uvicorn.run(APP, factory=True, host=host, port=port, reload=True)
