"""The application logs as LOG_LEVEL says, whatever started it."""

import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import pytest

from .conftest import Tools

pytestmark = pytest.mark.slow

# What an owner may write: an application of their own making, with a logger of their own.
OWN = """
import logging

from my_service.web.app import create_app

log = logging.getLogger("owner")


def create_own_app():
    app = create_app()

    @app.get("/log")
    def write():
        log.info("an info line")
        log.debug("a debug line")

    return app
"""
# The commands name the project's own factory.
COMMAND = """
import sys
from importlib import import_module

import_module("my_service.cli.serve").APP = "own:create_own_app"
import_module("my_service.cli").main()
"""
FACTORY = ("-m", "uvicorn", "--factory", "own:create_own_app")
STARTS = {
    "uvicorn": FACTORY,
    "uvicorn with reload": (*FACTORY, "--reload"),
    "serve": ("-c", COMMAND, "serve"),
    "dev": ("-c", COMMAND, "dev"),
}


@contextmanager
def serving(python: Path, folder: Path, *arguments: str, **environment: str) -> Iterator[str]:
    """Run a server, and yield its address. What it logs is in the file `log` afterwards."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [python, *arguments, "--port", str(port)],
            cwd=folder,
            env=os.environ | environment,
            stdout=log,
            stderr=log,
        )
        try:
            while process.poll() is None:
                try:
                    urlopen(f"{address}/livez").close()  # noqa: S310
                    break
                except URLError:
                    time.sleep(0.05)
            yield address
        finally:
            process.terminate()
            process.wait()


@pytest.mark.parametrize(
    ("variant", "start", "level", "expected"),
    [
        ("sync-sqlite-fastapi", "uvicorn", "info", (1, 0)),
        *(("async-sqlite-fastapi", start, "Debug", (1, 1)) for start in STARTS),
    ],
)
def test_lines_of_the_owner_are_logged_once_from_the_chosen_level_on(
    rendered: dict[str, Path],
    tools: Tools,
    tmp_path: Path,
    variant: str,
    start: str,
    level: str,
    expected: tuple[int, int],
) -> None:
    code = "import sys; print(sys.executable)"
    python = Path(tools.run(rendered[variant], "python", "-c", code).strip())
    (tmp_path / "own.py").write_text(OWN)
    environment = {
        "DATABASE_URL": f"sqlite:///{tmp_path}/service.db",
        "DATABASE__SQLALCHEMY__ECHO": "true",
        "LOG_LEVEL": level,
        "PYTHONPATH": str(tmp_path),
    }
    with serving(python, tmp_path, *STARTS[start], **environment) as address:
        urlopen(f"{address}/log").close()  # noqa: S310
        with suppress(HTTPError):
            urlopen(f"{address}/readyz").close()  # noqa: S310
    lines = (tmp_path / "log").read_text().splitlines()
    logged = tuple(
        sum(bool(re.fullmatch(rf"{level}: \[\w{{32}}\] {text}", line)) for line in lines)
        for level, text in (("INFO", "an info line"), ("DEBUG", "a debug line"))
    )
    assert logged == expected, "\n".join(lines)
    # Instead of uvicorn's own line.
    assert sum("GET /log " in line for line in lines) == 1
    # SQLAlchemy's own handler would write the statements of /readyz once more.
    assert any("alembic_version" in line for line in lines)
    assert not any("INFO sqlalchemy.engine.Engine" in line for line in lines)
    assert sum("Application startup complete." in line for line in lines) == 1
