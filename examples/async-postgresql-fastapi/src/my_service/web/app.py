"""The application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from ..config import Settings, get_settings
from ..database import manager_from_config
from . import errors, health, users
from .dependencies import State


def create_app(settings: Settings | None = None) -> FastAPI:
    """Return the application; its settings come from the environment unless they are given.

    While it runs, it owns the one database manager of the process.
    """
    chosen = settings or get_settings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[State]:
        async with manager_from_config(chosen) as manager:
            yield {"db": manager}

    app = FastAPI(
        title="My Service",
        lifespan=lifespan,
    )
    errors.install(app)
    app.include_router(health.router)
    app.include_router(users.router)
    return app
