"""Rendered services with FastAPI, for tests that run their managers and applications right here."""

import asyncio
import importlib
import inspect
import json
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from sqlalchemy.util import await_only, greenlet_spawn

from .layers import DRIVERS, POSTGRESQL, load

R = TypeVar("R")
Request = Callable[..., int]
# FastAPI builds its routes in `warnings.catch_warnings`, which only one thread may use at a time.
BUILDING = threading.Lock()


def settle(value: Any) -> Any:
    """Return a value, or what comes of waiting for it: the same call for both forms."""
    return await_only(value) if inspect.isawaitable(value) else value


@contextmanager
def opened(session: Any) -> Iterator[Any]:
    """Use a session, and close it: it is rolled back if it was not committed."""
    try:
        yield session
    finally:
        settle(session.close())


def in_tasks(callers: int, call: Callable[[int], R]) -> list[R]:
    """Call a function for each number below `callers`, in tasks."""

    async def together() -> list[R]:
        return await asyncio.gather(*(greenlet_spawn(call, number) for number in range(callers)))

    found: list[R] = settle(together())
    return found


class Service:
    """The service of the form that a driver of PostgreSQL serves."""

    def __init__(self, label: str, rendered: Mapping[str, Path], name: str = "service") -> None:
        self.driver, self.io = DRIVERS[label]
        variant = f"{self.io}-postgresql-fastapi"
        self.package = f"{variant.replace('-', '_')}_{name}"
        self.source = rendered[variant] / "src"
        if self.package not in sys.modules:
            load(self.source / "my_service", self.package)

    def module(self, name: str) -> Any:
        return importlib.import_module(f"{self.package}.{name}")

    def failure_of(self, error: BaseException) -> str | None:
        """Return the name of a failure."""
        failure = self.module("db").failure_of(error)
        return failure.name if failure else None

    def url(self, url: str) -> str:
        """Return a URL that names the driver."""
        return url.replace("postgresql://", f"postgresql+{self.driver}://")

    def settings(self, url: str, **sqlalchemy: Any) -> Any:
        database = {"sqlalchemy": {"url": self.url(url), **sqlalchemy}}
        return self.module("config").Settings(_env_file=None, database=database)

    def run(self, work: Callable[[], R]) -> R:
        """Call a plain function, in which `settle` waits."""
        return asyncio.run(greenlet_spawn(work))

    def at_once(self, callers: int, call: Callable[[int], R]) -> list[R]:
        """Call a function for each number below `callers`, in tasks or in threads."""
        if self.io == "async":
            return in_tasks(callers, call)
        with ThreadPoolExecutor(callers) as executor:
            return list(executor.map(call, range(callers)))

    def use(self, url: str, work: Callable[[Any], R], **sqlalchemy: Any) -> R:
        """Call `work` with a manager, and dispose of it."""

        def use() -> R:
            manager = self.module("database").manager_from_config(self.settings(url, **sqlalchemy))
            try:
                return work(manager)
            finally:
                settle(manager.dispose())

        return self.run(use)

    def serve(self, url: str, work: Callable[[Request], R], **sqlalchemy: Any) -> R:
        """Call `work` with a function that sends a request and returns the status of its answer."""

        def serve() -> R:
            with BUILDING:
                app = self.module("web.app").create_app(self.settings(url, **sqlalchemy))
                # The schema needs all routes, which are built at the first request otherwise.
                app.openapi()
            lifespan = app.router.lifespan_context(app)
            state = settle(lifespan.__aenter__())

            def request(method: str, path: str, body: object = None) -> int:
                status: int = settle(_request(app, {**state}, method, path, body))
                return status

            try:
                return work(request)
            finally:
                settle(lifespan.__aexit__(None, None, None))

        return self.run(serve)


@pytest.fixture(params=POSTGRESQL)
def service(request: pytest.FixtureRequest, rendered: Mapping[str, Path]) -> Service:
    return Service(request.param, rendered)


async def _request(app: Any, state: dict[str, Any], method: str, path: str, body: object) -> int:
    scope = {
        **{"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http"},
        **{"method": method, "path": path, "query_string": b"", "state": state},
        "headers": [(b"content-type", b"application/json")],
    }
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    status: int = sent[0]["status"]
    return status
