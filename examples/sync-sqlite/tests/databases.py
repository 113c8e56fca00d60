"""Databases for single tests, in real files."""

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, make_url

from my_service.config import AlembicSettings

MIGRATIONS = AlembicSettings().migrations_path
# A folder in memory on Linux.
MEMORY = Path("/dev/shm")  # noqa: S108


@contextmanager
def database_server() -> Iterator[URL]:
    """Yield the URL in TEST_DATABASE_URL, or else that of a file in a temporary folder.

    The databases of the tests are files beside it.
    """
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        yield make_url(given)
    else:
        # In memory, where it is faster. With TMPDIR set, temporary files stay there.
        in_memory = "TMPDIR" not in os.environ and os.access(MEMORY, os.W_OK)
        with tempfile.TemporaryDirectory(dir=MEMORY if in_memory else None) as folder:
            yield URL.create("sqlite", database=f"{folder}/tests.db")


@contextmanager
def temporary_database(server: URL, template: URL | None = None) -> Iterator[URL]:
    """Create a database, empty or as a copy of another, and delete it in the end."""
    path = Path(server.database or "").with_name(f"test-{uuid.uuid4().hex}.db")
    if template:
        shutil.copy(template.database or "", path)
    yield server.set(database=str(path))
    for suffix in ("", "-shm", "-wal"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
