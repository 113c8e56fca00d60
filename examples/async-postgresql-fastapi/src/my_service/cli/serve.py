"""The commands that serve HTTP."""

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
    """Serve HTTP. Several workers share the connections of the settings."""
    settings = get_settings()
    sqlalchemy = settings.database.sqlalchemy
    if workers > 1:
        # For the processes, which read the settings anew.
        for name in ("pool_size", "max_overflow"):
            size = getattr(sqlalchemy, name)
            share = max(size // workers, min(size, 1))
            os.environ[f"DATABASE__SQLALCHEMY__{name.upper()}"] = str(share)
    # uvicorn stops by itself, and sends itself the signal again.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    uvicorn.run(
        APP,
        factory=True,
        host=host,
        port=port,
        workers=workers,
        timeout_graceful_shutdown=settings.shutdown_timeout,
    )


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8000, type=PORT, show_default=True)
@click.pass_context
def dev(context: click.Context, host: str, port: int) -> None:
    """Bring the database up to date, then serve HTTP and reload when the code changes."""
    context.invoke(sync)
    os.environ.setdefault("SHUTDOWN_DELAY", "0")
    uvicorn.run(APP, factory=True, host=host, port=port, reload=True)
