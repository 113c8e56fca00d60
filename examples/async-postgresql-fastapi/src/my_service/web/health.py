"""Health checks, for whatever starts, stops and routes to the service."""

import asyncio
import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel
from sqlalchemy.exc import SQLAlchemyError

from ..db import AsyncDatabaseManager
from .errors import reason_of
from .limits import time_limit

router = APIRouter(tags=["health"])
log = logging.getLogger(__name__)

# A database that is ahead has been migrated by a newer version, which is being rolled out.
READY = {"up to date", "ahead"}
# How many seconds `/readyz` waits for the database.
TIME_LIMIT = 1.5


class Health(BaseModel):
    """Response body of a health check."""

    status: str


class Readiness(Health):
    """Response body of `/readyz`, with the revisions of a database that is behind."""

    current: str | None = None
    latest: str | None = None


class Probe:
    """Looks at the state of the schema, once for all requests that ask at the same time."""

    def __init__(self, manager: AsyncDatabaseManager) -> None:
        self.is_draining = False
        self._manager = manager
        self._task: asyncio.Task[dict[str, Any]] | None = None

    async def explain(self) -> dict[str, Any]:
        """Return the state of the schema, or the status `unreachable`."""
        task = self._task
        if task is None or task.done():
            self._task = task = asyncio.create_task(self._explain())
        done, _ = await asyncio.wait([task], timeout=TIME_LIMIT)
        return task.result() if done else {"status": "unreachable"}

    @contextmanager
    def drain(self, seconds: float) -> Iterator[None]:
        """On SIGTERM, let `/readyz` answer 503 for a number of seconds before the server stops."""
        stop = signal.getsignal(signal.SIGTERM)
        loop = asyncio.get_running_loop()

        def drain(*received: Any) -> None:
            self.is_draining = True
            if callable(stop):
                loop.call_soon_threadsafe(loop.call_later, seconds, stop, *received)

        if threading.current_thread() is not threading.main_thread():
            # Python handles signals in the main thread only.
            yield
            return
        signal.signal(signal.SIGTERM, drain)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, stop)

    async def _explain(self) -> dict[str, Any]:
        try:
            with time_limit(TIME_LIMIT):
                return await self._manager.explain(reread=False)
        except SQLAlchemyError as error:
            log.warning("Not ready: %s", reason_of(error))
            return {"status": "unreachable"}


@router.get("/livez")
async def livez() -> Health:
    """Tell that the process answers. Where this fails, restart it."""
    return Health(status="ok")


@router.get("/readyz", response_model_exclude_none=True, responses={503: {"model": Readiness}})
async def readyz(request: Request, response: Response) -> Readiness:
    """Tell whether the database answers and has been migrated. Where this fails, wait."""
    probe: Probe = request.state.probe
    state = {"status": "draining"} if probe.is_draining else await probe.explain()
    if state["status"] not in READY:
        response.status_code = 503
    is_behind = state["status"] == "behind"
    return Readiness.model_validate(state if is_behind else {"status": state["status"]})
