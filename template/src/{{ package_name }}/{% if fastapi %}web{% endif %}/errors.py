"""Exception handlers, which answer with problem details (RFC 9457)."""

import logging
import traceback
from http.client import responses
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.types import Message, Receive, Scope, Send

from ..db import Failure, columns_of, failure_of

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
VIOLATIONS = {
    Failure.UNIQUE_VIOLATION: (409, "There is one already"),
    Failure.FOREIGN_KEY_VIOLATION: (409, "It refers to what is not there, or is referred to"),
    Failure.CHECK_VIOLATION: (422, "A value is not allowed"),
    Failure.NOT_NULL_VIOLATION: (422, "A value is missing"),
}


class Problem(BaseModel):
    """Response body of an error."""

    type: str
    title: str
    status: int
    detail: Any


# What OpenAPI says about every path operation.
RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {
        "description": responses[status],
        "content": {MEDIA_TYPE: {"schema": Problem.model_json_schema()}},
    }
    for status in (400, 404, 409, 413, 422, 500, 503)
}


def install(app: FastAPI, max_body_size: int) -> None:
    """Answer errors, and request bodies of more than `max_body_size` bytes."""
    app.add_middleware(BodyLimitMiddleware, max_body_size=max_body_size)
    app.add_exception_handler(HTTPException, answer_http_error)
    app.add_exception_handler(RequestValidationError, answer_invalid_request)
    app.add_exception_handler(SQLAlchemyError, answer_database_error)
    app.add_exception_handler(Exception, answer_any_error)


def problem(status: int, detail: Any, headers: Any = None, **extra: Any) -> JSONResponse:
    """Return a response with problem details; `extra` has further members."""
    title = responses.get(status, "Error")
    content = {"type": "about:blank", "title": title, "status": status, "detail": detail, **extra}
    return JSONResponse(content, status, headers, MEDIA_TYPE)


class BodyLimitMiddleware(RequestBodyLimitMiddleware):
    """Answers 413 for a request body that is too large."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_answered = False

        async def answer(message: Message) -> None:
            nonlocal is_answered
            if message["type"] == "http.response.start" and message["status"] == 413:
                is_answered = True
                response = problem(413, f"The limit is {self.max_body_size} bytes.")
                await response(scope, receive, send)
            elif not is_answered:
                await send(message)

        await super().__call__(scope, receive, answer)


async def answer_http_error(request: Request, error: Any) -> Response:
    """Answer what a path operation has raised, or that there is none."""
    if error.status_code < 200 or error.status_code in (204, 304):
        return Response(status_code=error.status_code, headers=error.headers)
    return problem(error.status_code, error.detail, error.headers)


async def answer_invalid_request(request: Request, error: Any) -> Response:
    """Answer 422 with the first errors, without the values that were sent."""
    errors = [{key: e[key] for key in ("loc", "msg", "type")} for e in error.errors()[:20]]
    return problem(422, "The request is not valid.", errors=errors)


async def answer_database_error(request: Request, error: Any) -> Response:
    """Answer a violated constraint, 503 for what may pass, and 500 for anything else."""
    failure = request.state.failure = failure_of(error)
    if failure in VIOLATIONS:
        status, detail = VIOLATIONS[failure]
        columns = columns_of(error)
        where = f" ({', '.join(columns)})" if columns else ""
        return problem(status, f"{detail}{where}.", columns=columns)
    where = f"{request.scope.get('method', 'WS')} {request.url.path!r}"
    if failure is None:
        # Without the message, which may have SQL and values in it.
        frames = "".join(traceback.format_tb(error.__traceback__))
        log.error("%s: %s\n%s", where, reason_of(error), frames.rstrip())
        log.debug("%s", error)
        return await answer_any_error(request, error)
    log.warning("%s: %s", where, reason_of(error))
    return problem(503, "The database is not available; try again.", {"Retry-After": "1"})


async def answer_any_error(request: Request, error: Exception) -> Response:
    """Answer 500 without a reason, which is in the log."""
    return problem(500, "The service has failed; its log has the reason.")


def reason_of(error: SQLAlchemyError) -> str:
    """Return what may be logged of an error: no SQL, and no values."""
    if not isinstance(error, DBAPIError):
        return str(error)
    failure = failure_of(error)
    name = type(error.orig.__cause__ or error.orig).__name__ if error.orig else "DBAPIError"
    return f"{failure.value} ({name})" if failure else name
