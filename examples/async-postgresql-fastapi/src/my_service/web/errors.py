"""Which answer a failure of the database gets."""

import logging

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from sqlalchemy.exc import SQLAlchemyError

from ..db import Failure, failure_of

log = logging.getLogger(__name__)


def install(app: FastAPI) -> None:
    """Let the application answer failures of the database."""
    app.add_exception_handler(SQLAlchemyError, answer)


def answer(request: Request, error: Exception) -> JSONResponse:
    """Answer 409 for a duplicate and 503 for what may pass; anything else is raised again."""
    failure = failure_of(error)
    if failure is None:
        raise error
    if failure is Failure.UNIQUE_VIOLATION:
        return JSONResponse({"detail": "There is one already."}, 409)
    log.warning("%s %s: %s", request.method, request.url.path, error)
    detail = "The database is not available; try again."
    return JSONResponse({"detail": detail}, 503, {"Retry-After": "1"})
