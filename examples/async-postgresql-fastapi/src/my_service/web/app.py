"""The application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from ..config import Settings, get_settings, set_up_logging
from ..database import manager_from_config
from . import errors, health, users
from .dependencies import State


def create_app(settings: Settings | None = None) -> FastAPI:
    """Return the application; its settings come from the environment unless they are given.

    A path operation gets them by `Depends(get_settings)`.
    """
    chosen = settings or get_settings()
    set_up_logging(chosen.log_level)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[State]:
        async with manager_from_config(chosen) as manager:
            yield {"db": manager}

    app = FastAPI(
        title="My Service",
        lifespan=lifespan,
    )
    app.dependency_overrides[get_settings] = lambda: chosen
    errors.install(app)
    app.include_router(health.router)
    app.include_router(users.router)
    return app
