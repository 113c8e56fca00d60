"""Request log, request ids and the slow statement log."""

import logging
import time
from typing import Any
from urllib.parse import quote

from asgi_correlation_id import CorrelationIdFilter, CorrelationIdMiddleware
from fastapi import FastAPI
from pythonjsonlogger.json import JsonFormatter
from sqlalchemy import Engine, event
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..config import Settings, set_up_logging

log = logging.getLogger(__name__)

TEXT = logging.Formatter("%(levelname)s: [%(correlation_id)s] %(message)s")
JSON = JsonFormatter(
    ["levelname", "name", "message", "correlation_id", "exc_info"],
    rename_fields={"levelname": "level", "correlation_id": "request_id"},
    timestamp=True,
)
SECURITY_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
]


def log_requests(app: FastAPI, settings: Settings) -> None:
    """Log each request; format the log unless the root logger has a handler already."""
    set_up_logging(settings.log_level)
    for handler in logging.root.handlers:
        if handler.name == set_up_logging.__module__:
            handler.addFilter(CorrelationIdFilter(default_value="-"))
            handler.setFormatter(JSON if settings.log_format == "json" else TEXT)
            uvicorn = logging.getLogger("uvicorn")
            uvicorn.handlers, uvicorn.propagate = [], True
    # RequestLogMiddleware replaces uvicorn's access log, which has no duration.
    access = logging.getLogger("uvicorn.access")
    access.handlers, access.propagate = [], False
    app.add_middleware(RequestLogMiddleware)
    app.add_middleware(CorrelationIdMiddleware, validator=is_request_id)


def is_request_id(value: str) -> bool:
    """Return whether the client's request id is safe to log and to return."""
    return len(value) <= 128 and value.isascii() and value.isprintable()


class RequestLogMiddleware:
    """Logs each request and adds security headers to the response."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started_at, status = time.perf_counter(), 500

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), *SECURITY_HEADERS]
            await send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        finally:
            # The path is quoted because a line end in it would start a new line in the log.
            extra = {"method": scope["method"], "path": quote(scope["path"]), "status": status}
            extra["duration_ms"] = round((time.perf_counter() - started_at) * 1000, 1)
            log.info("%s %s %d %.1f ms", *extra.values(), extra=extra)


def log_slow_statements(engine: Engine, seconds: float) -> None:
    """Log statements of an engine that take at least a number of seconds, without values."""

    @event.listens_for(engine, "before_cursor_execute")
    def start(connection: Any, *others: object) -> None:
        connection.info["started_at"] = time.perf_counter()

    @event.listens_for(engine, "after_cursor_execute")
    def end(connection: Any, cursor: object, statement: str, *others: object) -> None:
        duration = time.perf_counter() - connection.info["started_at"]
        if duration >= seconds:
            log.warning("Slow statement, %.2f s: %s", duration, statement)
