"""Rendered services that serve HTTP in a process of their own."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from .ports import free_port

# The path operations that the tests add: each has a session while the database sleeps.
OWN = """
from sqlalchemy import text

from my_service.web.app import create_app
from my_service.web.dependencies import DatabaseReadSession, DatabaseSession


def create_own_app():
    app = create_app()

    @app.get("/write/{seconds}")
    async def write(seconds: float, session: DatabaseSession) -> None:
        await session.execute(text(f"SELECT pg_sleep({seconds})"))

    @app.get("/read/{seconds}")
    async def read(seconds: float, session: DatabaseReadSession) -> None:
        await session.execute(text(f"SELECT pg_sleep({seconds})"))

    return app
"""
# The command names the project's own factory.
COMMAND = """
import sys
from importlib import import_module

import_module("my_service.cli.serve").APP = "own:create_own_app"
import_module("my_service.cli").main()
"""


@dataclass
class Answer:
    status: int
    seconds: float
    body: str


class Server:
    """A service that is being served."""

    def __init__(self, port: int, process: subprocess.Popen[bytes]) -> None:
        self.port, self.process = port, process

    def get(self, path: str) -> Answer:
        """Request a path, in a connection of its own."""
        began = time.monotonic()
        try:
            with urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=60) as response:
                status, body = response.status, response.read().decode()
        except HTTPError as error:
            status, body = error.code, error.read().decode()
        return Answer(status, time.monotonic() - began, body)

    async def fetch(self, path: str, method: str = "GET", body: str = "") -> Answer:
        """Request a path, beside others."""
        began = time.monotonic()
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        try:
            writer.write((head + body).encode())
            received = (await reader.read()).decode()
        finally:
            writer.close()
        return Answer(
            int(received.split(maxsplit=2)[1]),
            time.monotonic() - began,
            received.partition("\r\n\r\n")[2],
        )

    def sync(self, project: Path, **environment: str) -> None:
        """Bring the database of the service up to date."""
        subprocess.run(
            [sys.executable, "-m", "my_service", "db", "sync"],
            env=os.environ | {"PYTHONPATH": str(project / "src")} | environment,
            check=True,
            capture_output=True,
        )


@contextmanager
def running(
    command: Sequence[str | Path], folder: Path, environment: Mapping[str, str]
) -> Iterator[Server]:
    """Run a command that serves, on a free port. Its log is `folder / "log"`."""
    port = free_port()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--port", str(port)],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        server = Server(port, process)
        deadline = time.monotonic() + 60
        try:
            while process.poll() is None and time.monotonic() < deadline:
                try:
                    server.get("/livez")
                    break
                except URLError:
                    time.sleep(0.05)
            yield server
        finally:
            # With the processes that it has started.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def serving(
    project: Path, folder: Path, *options: str, added: str = "", **environment: str
) -> Iterator[Server]:
    """Run the command `serve` of a project, with more path operations, and what else is `added`.

    Its log is `folder / "log"`.
    """
    source = project / "src"
    is_async = "create_async_engine" in (source / "my_service/db/engine.py").read_text()
    code = OWN if is_async else OWN.replace("await ", "").replace("async def", "def")
    code = code.replace("    return app\n", added or "    return app\n")
    (folder / "own.py").write_text(code)
    environment = {**os.environ, "PYTHONPATH": f"{folder}:{source}", **environment}
    with running([sys.executable, "-c", COMMAND, "serve", *options], folder, environment) as server:
        yield server
