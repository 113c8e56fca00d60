"""Health checks, for whatever starts, stops and routes to the service."""

import logging

from fastapi import APIRouter, Response
from pydantic import BaseModel
from sqlalchemy.exc import SQLAlchemyError

from ..db import DatabaseStatus
from .dependencies import DatabaseManagerDependency

router = APIRouter(tags=["health"])
log = logging.getLogger(__name__)

# A database that is ahead has been migrated by a newer version, which is being rolled out.
READY = {DatabaseStatus.UP_TO_DATE, DatabaseStatus.AHEAD}


class Health(BaseModel):
    """The answer of a health check."""

    status: str


@router.get("/livez")
async def livez() -> Health:
    """Tell that the process answers. Where this fails, restart it."""
    return Health(status="ok")


@router.get("/readyz", responses={503: {"model": Health}})
async def readyz(manager: DatabaseManagerDependency, response: Response) -> Health:
    """Tell whether the database answers and has been migrated. Where this fails, wait."""
    try:
        status = await manager.get_status(reread=False)
    except SQLAlchemyError as error:
        log.warning("Not ready: %s", error)
        response.status_code = 503
        return Health(status="unreachable")
    if status not in READY:
        response.status_code = 503
    return Health(status=status.value)
