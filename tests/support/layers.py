"""The `db` packages that the template renders, for tests that run them right here."""

import asyncio
import sys
import threading
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import greenlet_spawn

R = TypeVar("R")

# Name -> the driver's own name, and the form of the project that it serves.
DRIVERS = {
    "asyncpg": ("asyncpg", "async"),
    "psycopg-async": ("psycopg", "async"),
    "psycopg": ("psycopg", "sync"),
    "psycopg2": ("psycopg2", "sync"),
    "aiosqlite": ("aiosqlite", "async"),
    "pysqlite": ("pysqlite", "sync"),
}
POSTGRESQL = [label for label in DRIVERS if "sqlite" not in label]
SQLITE = [label for label in DRIVERS if "sqlite" in label]


def load(path: Path, name: str) -> ModuleType:
    """Import the file or the package at `path` under a name of our own."""
    folders = [str(path)] if path.is_dir() else None
    file = path / "__init__.py" if folders else path
    spec = spec_from_file_location(name, file, submodule_search_locations=folders)
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def module(rendered: Mapping[str, Path], variant: str, name: str) -> ModuleType:
    """Import a module of the layer that a variant has."""
    package = f"{variant.replace('-', '_')}_db"
    if package not in sys.modules:
        load(rendered[variant] / "src/my_service/db", package)
    return import_module(f"{package}.{name}")


class Driver:
    """One driver, under the layer of the form that it serves."""

    def __init__(self, label: str, rendered: Mapping[str, Path]) -> None:
        self.name, io = DRIVERS[label]
        variant = f"{io}-{'sqlite' if label in SQLITE else 'postgresql'}"
        self.engine = module(rendered, variant, "engine")
        self.errors = module(rendered, variant, "errors")
        self.failures = module(rendered, variant, "failures")

    def url(self, url: str | URL) -> str:
        """Return a URL that names this driver."""
        given = url if isinstance(url, str) else url.render_as_string(hide_password=False)
        name, _, rest = given.partition("://")
        return f"{name.partition('+')[0]}+{self.name}://{rest}"

    def use(self, url: str | URL, work: Callable[[Any], R], **engine_args: Any) -> R:
        """Call `work` with an engine, as a plain function whatever the form, and dispose of it."""
        engine = self.engine.make_engine(self.url(url), engine_args)
        if isinstance(engine, Engine):
            try:
                return work(engine)
            finally:
                engine.dispose()

        async def use(engine: AsyncEngine) -> R:
            try:
                return await greenlet_spawn(work, engine.sync_engine)
            finally:
                await engine.dispose()
                # aiosqlite does not wait for its thread when a file cannot be opened.
                while any("_connection_worker" in thread.name for thread in threading.enumerate()):
                    await asyncio.sleep(0.001)

        return asyncio.run(use(engine))

    def connect(self, url: str | URL, work: Callable[[Connection], R], **engine_args: Any) -> R:
        """Call `work` with a connection."""

        def use(engine: Engine) -> R:
            with engine.connect() as connection:
                return work(connection)

        return self.use(url, use, **engine_args)
