"""What the benchmarks of the database layer share: rendered projects, databases, subjects.

A subject is a script that is written like the template's own files, as async code with the filter
`for_io` round it. It is rendered into a project, runs in a process of its own, and prints JSON.
"""

import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import uuid
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from copier import run_copy
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from extensions.async_to_sync import AsyncToSync
from tests.support.layers import load
from tests.support.variants import VARIANTS

ROOT = Path(__file__).parents[1]
SUBJECTS = Environment(  # noqa: S701
    loader=FileSystemLoader(ROOT / "benchmarks/subjects"),
    extensions=[AsyncToSync],
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    undefined=StrictUndefined,
)
NAMES = ("async-postgresql", "sync-postgresql", "async-sqlite", "sync-sqlite")


class Projects:
    """The four projects without FastAPI, and fresh databases for them."""

    def __init__(self, folder: Path, server: str) -> None:
        self.folder = folder
        self.server = server

    def new_database(self, database: str) -> str:
        name = f"benchmark_{uuid.uuid4().hex}"
        if database == "sqlite":
            return f"sqlite:///{self.folder}/{name}.db"
        with psycopg.connect(self.server, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return f"{self.server.rsplit('/', 1)[0]}/{name}"

    def run(
        self, subject: str, name: str, uv_options: Sequence[str], url: str = "", **context: Any
    ) -> Any:
        """Run a subject in the project `name`, by default on a fresh database; return its results."""
        project = self.folder / name
        answers = VARIANTS[name]
        script = project / f"{subject}.py"
        script.write_text(SUBJECTS.get_template(f"{subject}.py.jinja").render(**answers, **context))
        result = subprocess.run(
            ["uv", "run", "--quiet", "--python", sys.executable, *uv_options, script],
            env=clean_environment() | {"URL": url or self.new_database(answers["database"])},
            cwd=project,
            stdout=subprocess.PIPE,
            check=True,
        )
        return json.loads(result.stdout)


@contextmanager
def rendered_projects(names: Sequence[str] = NAMES) -> Iterator[Projects]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for variant in names:
            with warnings.catch_warnings(action="ignore"):
                run_copy(
                    str(ROOT),
                    folder / variant,
                    data=VARIANTS[variant],
                    vcs_ref="HEAD",
                    defaults=True,
                    unsafe=True,
                    quiet=True,
                )
        postgres = load(next(folder.glob("*/tests/postgres.py")), "postgres")
        with postgres.postgres_server() as server:
            yield Projects(folder, server)


def machine() -> str:
    """Return what the figures depend on, beside the versions of libraries."""
    system = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    return f"{system}, Python {platform.python_version()}"


def clean_environment() -> dict[str, str]:
    """Return the environment without what would tell a project where its database is."""
    hidden = re.compile("DATABASE_|TEST_DATABASE_URL|VIRTUAL_ENV|PYTHON")
    return {name: value for name, value in os.environ.items() if not hidden.match(name)}


def print_table(rows: Sequence[Sequence[object]], texts: int) -> None:
    """Print rows in columns: the first `texts` of them to the left, the others to the right."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        parts = [
            cell.ljust(width) if index < texts else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(parts).rstrip())
