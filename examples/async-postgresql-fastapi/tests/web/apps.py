"""Applications with settings of a test's own."""

from typing import Any

from fastapi import FastAPI
from sqlalchemy import URL

from my_service.config import Settings
from my_service.web.app import create_app


def app_for(url: URL, engine_args: Any = None, alembic: Any = None, **settings: Any) -> FastAPI:
    """Return an application that uses a database and further settings."""
    sqlalchemy = {"url": url.render_as_string(hide_password=False), **(engine_args or {})}
    database = {"sqlalchemy": sqlalchemy, "alembic": alembic or {}}
    return create_app(Settings.model_validate({"database": database, **settings}))
