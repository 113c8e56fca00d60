"""The application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi_offline import FastAPIOffline

from ..config import Settings, get_settings
from ..database import manager_from_config
from . import errors, health, users
from .dependencies import State
from .limits import Admission, BodyLimitMiddleware, apply_time_limits
from .logs import log_requests, log_slow_statements


def create_app(settings: Settings | None = None) -> FastAPI:
    """Return the application. Without `settings`, they are read from the environment.

    Path operations get them by `Depends(get_settings)`.
    """
    chosen = settings or get_settings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[State]:
        sqlalchemy = chosen.database.sqlalchemy
        async with manager_from_config(chosen) as manager:
            for engine in {manager.engine, manager.read_engine, manager.schema_engine}:
                apply_time_limits(engine.sync_engine)
                if chosen.slow_statement:
                    log_slow_statements(engine.sync_engine, chosen.slow_statement)
            probe = health.Probe(manager)
            probe.drain_on_sigterm(chosen.shutdown_delay)
            yield {
                "db": manager,
                "writers": Admission(sqlalchemy.connections, sqlalchemy),
                "readers": Admission(sqlalchemy.connections, sqlalchemy),
                "probe": probe,
            }

    make_app = FastAPIOffline if chosen.docs else partial(FastAPI, openapi_url=None)
    app = make_app(
        title="My Service",
        lifespan=lifespan,
        responses=errors.RESPONSES,
    )
    if settings:
        # Not by default, because any override makes FastAPI inspect dependencies in each request.
        app.dependency_overrides[get_settings] = lambda: settings
    errors.register_exception_handlers(app)
    app.add_middleware(BodyLimitMiddleware, max_body_size=chosen.max_body_size)
    if origins := chosen.cors_origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=origins, allow_methods=["*"], allow_headers=["*"]
        )
    log_requests(app, chosen)
    app.include_router(health.router)
    app.include_router(users.router)
    return app
