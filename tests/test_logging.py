"""The application logs as LOG_LEVEL says, whatever started it."""

import os
import re
from pathlib import Path

import pytest

from .support.serving import COMMAND, running
from .support.tools import Tools

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
FACTORY = ("-m", "uvicorn", "--factory", "own:create_own_app")
STARTS = {
    "uvicorn": FACTORY,
    "uvicorn with reload": (*FACTORY, "--reload"),
    "serve": ("-c", COMMAND, "serve"),
    "dev": ("-c", COMMAND, "dev"),
}


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
    environment = os.environ | {
        "DATABASE_URL": f"sqlite:///{tmp_path}/service.db",
        "DATABASE__SQLALCHEMY__ECHO": "true",
        "LOG_LEVEL": level,
        "PYTHONPATH": f"{tmp_path}{os.pathsep}{rendered[variant] / 'src'}",
    }
    with running([python, *STARTS[start]], tmp_path, environment) as server:
        assert server.get("/log").status == 200
        server.get("/readyz")
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
