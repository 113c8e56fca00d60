"""Health checks for orchestrators and load balancers."""

import asyncio
import logging
import signal
import threading
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel
from sqlalchemy.exc import SQLAlchemyError

from ..db import AsyncDatabaseManager
from .errors import reason_of
from .limits import time_limit

router = APIRouter(tags=["health"])
log = logging.getLogger(__name__)

# A database is ahead while a newer version of the service is being rolled out.
READY = {"up to date", "ahead"}
# Seconds until `/readyz` answers that the database is unreachable.
TIME_LIMIT = 1.5


class Health(BaseModel):
    """Response body of a health check, with the revisions of a database that is behind."""

    status: str
    current: str | None = None
    latest: str | None = None


class Probe:
    """State of the service and of its schema."""

    def __init__(self, manager: AsyncDatabaseManager) -> None:
        self.is_draining = False
        self._manager = manager
        self._task: asyncio.Task[dict[str, Any]] | None = None

    async def explain(self) -> dict[str, Any]:
        """Return the schema state, or the status `unreachable`. Concurrent calls share a query."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._explain())
        done, _ = await asyncio.wait([self._task], timeout=TIME_LIMIT)
        return done.pop().result() if done else {"status": "unreachable"}

    def drain_on_sigterm(self, seconds: float) -> None:
        """On SIGTERM, make `/readyz` answer 503 for a number of seconds before the server stops."""
        stop, loop = signal.getsignal(signal.SIGTERM), asyncio.get_running_loop()
        # Python sets signal handlers in the main thread only.
        if not callable(stop) or threading.current_thread() is not threading.main_thread():
            return

        def drain(*received: Any) -> None:
            self.is_draining = True
            loop.call_soon_threadsafe(loop.call_later, seconds, stop, *received)

        signal.signal(signal.SIGTERM, drain)

    async def _explain(self) -> dict[str, Any]:
        try:
            with time_limit(TIME_LIMIT):
                return await self._manager.explain(reread=False)
        except SQLAlchemyError as error:
            log.warning("Not ready: %s", reason_of(error))
            return {"status": "unreachable"}


@router.get("/livez")
async def livez() -> dict[str, str]:
    """Return 200 while the process runs. If this fails, restart the process."""
    return {"status": "ok"}


@router.get("/readyz", response_model_exclude_none=True, responses={503: {"model": Health}})
async def readyz(request: Request, response: Response) -> Health:
    """Return 200 if the database is reachable and migrated. If this fails, send no requests."""
    probe: Probe = request.state.probe
    state = {"status": "draining"} if probe.is_draining else await probe.explain()
    if state["status"] not in READY:
        response.status_code = 503
    is_behind = state["status"] == "behind"
    return Health.model_validate(state if is_behind else {"status": state["status"]})
