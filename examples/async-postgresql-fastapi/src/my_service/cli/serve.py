"""The commands that serve HTTP."""

import click
import uvicorn

from .db import sync

APP = "my_service.web.app:create_app"
PORT = click.IntRange(0, 65535)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, envvar="HOST")
@click.option("--port", default=8000, type=PORT, show_default=True, envvar="PORT")
def serve(host: str, port: int) -> None:
    """Serve HTTP."""
    uvicorn.run(APP, factory=True, host=host, port=port)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8000, type=PORT, show_default=True)
@click.pass_context
def dev(context: click.Context, host: str, port: int) -> None:
    """Bring the database up to date, then serve HTTP and reload when the code changes."""
    context.invoke(sync)
    uvicorn.run(APP, factory=True, host=host, port=port, reload=True)
