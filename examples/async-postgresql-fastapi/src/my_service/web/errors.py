"""Exception handlers, which answer with problem details (RFC 9457)."""

import logging
import traceback
from contextlib import suppress
from http.client import responses
from typing import Any

from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from fastapi.exceptions import RequestValidationError
from fastapi.requests import HTTPConnection
from fastapi.responses import JSONResponse, Response
from fastapi.utils import is_body_allowed_for_status_code
from pydantic import BaseModel
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.websockets import WebSocketState

from ..db import Failure, columns_of, failure_of

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
VIOLATIONS = {
    Failure.UNIQUE_VIOLATION: (409, "The value already exists"),
    Failure.FOREIGN_KEY_VIOLATION: (409, "A referenced row is missing, or the row is referenced"),
    Failure.CHECK_VIOLATION: (422, "A value is not allowed"),
    Failure.NOT_NULL_VIOLATION: (422, "A value is missing"),
}


class Problem(BaseModel):
    """Response body of an error."""

    type: str
    title: str
    status: int
    detail: Any


# Error responses of every path operation in OpenAPI.
RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {
        "description": responses[status],
        "content": {MEDIA_TYPE: {"schema": Problem.model_json_schema()}},
    }
    for status in (400, 404, 409, 413, 422, 500, 503)
}


def register_exception_handlers(app: FastAPI) -> None:
    """Answer all errors with problem details."""
    app.add_exception_handler(HTTPException, handle_http_error)
    app.add_exception_handler(RequestValidationError, handle_invalid_request)
    app.add_exception_handler(SQLAlchemyError, handle_database_error)
    app.add_exception_handler(Exception, handle_unexpected_error)


async def problem(
    connection: HTTPConnection, status: int, detail: Any, headers: Any = None, **extra: Any
) -> Response | None:
    """Return problem details with the members `extra`, or close a WebSocket that was accepted."""
    title = responses.get(status, "Error")
    if isinstance(connection, WebSocket):
        if connection.application_state is WebSocketState.CONNECTED:
            with suppress(WebSocketDisconnect):
                await connection.close(1011, title)
        if connection.application_state is WebSocketState.DISCONNECTED:
            return None
    if not is_body_allowed_for_status_code(status):
        return Response(None, status, headers)
    content = {"type": "about:blank", "title": title, "status": status, "detail": detail, **extra}
    return JSONResponse(content, status, headers, MEDIA_TYPE)


async def handle_http_error(connection: HTTPConnection, error: Any) -> Any:
    """Answer with the status and the detail of an HTTPException."""
    return await problem(connection, error.status_code, error.detail, error.headers)


async def handle_invalid_request(connection: HTTPConnection, error: Any) -> Any:
    """Answer 422 with the first errors, without the values of the request."""
    errors = [{key: e[key] for key in ("loc", "msg", "type")} for e in error.errors()[:20]]
    return await problem(connection, 422, "The request is not valid.", errors=errors)


async def handle_database_error(connection: HTTPConnection, error: Any) -> Any:
    """Answer 409 or 422 for a violated constraint, 503 for temporary failures, otherwise 500."""
    failure = connection.state.failure = failure_of(error)
    where = f"{connection.scope.get('method', 'WebSocket')} {connection.url.path!r}"
    if failure is None:
        # The message is left out because it may contain SQL and values.
        frames = "".join(traceback.format_tb(error.__traceback__))
        log.error("%s: %s\n%s", where, reason_of(error), frames.rstrip())
        log.debug("%s", error)
        return await handle_unexpected_error(connection, error)
    if failure not in VIOLATIONS or isinstance(connection, WebSocket):
        log.warning("%s: %s", where, reason_of(error))
    if failure in VIOLATIONS:
        status, detail = VIOLATIONS[failure]
        columns = columns_of(error)
        suffix = f" ({', '.join(columns)})" if columns else ""
        return await problem(connection, status, f"{detail}{suffix}.", columns=columns)
    detail = "The database is not available; try again."
    return await problem(connection, 503, detail, {"Retry-After": "1"})


async def handle_unexpected_error(connection: HTTPConnection, error: Any) -> Any:
    """Answer 500 without the reason."""
    return await problem(connection, 500, "The service failed; the reason is in its log.")


def reason_of(error: SQLAlchemyError) -> str:
    """Return a reason for the log, without SQL and values."""
    if not isinstance(error, DBAPIError):
        return str(error)
    failure = failure_of(error)
    name = type(error.orig.__cause__ or error.orig).__name__ if error.orig else "DBAPIError"
    return f"{failure.value} ({name})" if failure else name
