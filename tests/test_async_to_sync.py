import re
import tokenize
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

import pytest

from extensions import async_to_sync
from extensions.async_to_sync import for_io, to_sync

from .conftest import ROOT
from .test_tidiness import files
from .variants import VARIANTS

EXAMPLES = {
    "definitions": (
        "async def f():\n    async with a as b:\n        async for c in b:\n            await c\n",
        "def f():\n    with a as b:\n        for c in b:\n            c\n",
    ),
    "await opens the right-hand side": (
        "async def f():\n    x = await g(1)\n    return await x\n",
        "def f():\n    x = g(1)\n    return x\n",
    ),
    "comprehensions": ("x = [y async for y in z]\n", "x = [y for y in z]\n"),
    "prose and strings are left alone": (
        'async def f():\n    """Await AsyncSession."""  # await AsyncSession\n    return "await x"\n',
        'def f():\n    """Await AsyncSession."""  # await AsyncSession\n    return "await x"\n',
    ),
    "names that only look alike are left alone": (
        "awaiting = NotAsyncSession.asynchronous\n",
        "awaiting = NotAsyncSession.asynchronous\n",
    ),
    "special methods": (
        "class A:\n    async def __aenter__(self): ...\n    async def __aexit__(self): ...\n",
        "class A:\n    def __enter__(self): ...\n    def __exit__(self): ...\n",
    ),
    "synchronous work on a connection": (
        "x = await connection.run_sync(schema.work, 1, y=2)\n",
        "x = schema.work(connection, 1, y=2)\n",
    ),
    "synchronous work without arguments": (
        "await self.connection.run_sync(work)\n",
        "work(self.connection)\n",
    ),
    "synchronous work over several lines": (
        "await c.run_sync(\n    work,\n    1,\n)\n",
        "work(\n    c,\n    1,\n)\n",
    ),
    "attributes that only the async form has": (
        "event.listen(engine.sync_engine, 'x')\n",
        "event.listen(engine, 'x')\n",
    ),
    "an event loop around a call": ("import asyncio\n\nasyncio.run(f(1, 2))\n", "f(1, 2)\n"),
    "sleeping": (
        "import asyncio\n\nawait asyncio.sleep(1)\n",
        "import time\n\ntime.sleep(1)\n",
    ),
    "types of awaitables": (
        "from collections.abc import Awaitable, Callable\n\nx: Callable[[int], Awaitable[str]]\n",
        "from collections.abc import Callable\n\nx: Callable[[int], str]\n",
    ),
    "decorators that only the async form has": (
        "from .coroutine import coroutine\n\n\n@command\n@coroutine\nasync def f(): ...\n",
        "\n@command\ndef f(): ...\n",
    ),
    "base classes that only the async form has": (
        "class A(AsyncAttrs, B): ...\n",
        "class A(B): ...\n",
    ),
    "imports move, merge and are sorted": (
        "from sqlalchemy import text\n"
        "from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine\n"
        "from sqlalchemy.orm import Mapped\n",
        "from sqlalchemy import Engine, create_engine, text\n"
        "from sqlalchemy.orm import Mapped, Session\n",
    ),
    "imports keep their other names": (
        "from .x import y as y, AsyncDatabaseManager\n",
        "from .x import DatabaseManager, y as y\n",
    ),
    "imports stay in several lines": (
        "from .x import (\n    AsyncDatabaseManager,\n    a,\n)\n",
        "from .x import (\n    DatabaseManager,\n    a,\n)\n",
    ),
}


@pytest.mark.parametrize(("asynchronous", "blocking"), EXAMPLES.values(), ids=EXAMPLES)
def test_the_blocking_form_is_derived(asynchronous: str, blocking: str) -> None:
    assert to_sync(asynchronous) == blocking


@pytest.mark.parametrize(("asynchronous", "blocking"), EXAMPLES.values(), ids=EXAMPLES)
def test_the_async_form_passes_and_the_blocking_form_is_stable(
    asynchronous: str, blocking: str
) -> None:
    assert for_io(asynchronous, "async") == asynchronous
    assert to_sync(blocking) == blocking


@pytest.mark.parametrize(
    "source",
    ["await c.run_sync(lambda c: 1)\n", "await c.run_sync(f(1), 2)\n", "def f(:\n"],
)
def test_what_cannot_be_derived_is_an_error(source: str) -> None:
    with pytest.raises(SyntaxError):
        to_sync(source)


def _rendered_names(marker: str) -> set[str]:
    """Return the names of the rendered files whose templates contain a text."""
    return {
        re.sub(r"\{%.*?%\}", "", path.name).removesuffix(".jinja")
        for path in (ROOT / "template").rglob("*.jinja")
        if marker in path.read_text()
    }


FILTERED = _rendered_names("{% filter for_io(io) %}")
PURELY_FILTERED = FILTERED - _rendered_names("{% if io")


def test_the_table_has_no_dead_entry(rendered: Mapping[str, Path]) -> None:
    words: set[str] = set()
    for name in ("async-sqlite-fastapi", "async-postgresql-fastapi"):
        for path in rendered[name].rglob("*.py"):
            if path.name in FILTERED:
                tokens = tokenize.tokenize(BytesIO(path.read_bytes()).readline)
                words |= {item.string for item in tokens if item.type == tokenize.NAME}
    table = {
        *(name or module for module, name in async_to_sync.IMPORTS),
        *async_to_sync.NAMES,
        *async_to_sync.MODULES,
        *(name for _, name in async_to_sync.UNWRAPPED_CALLS),
        *async_to_sync.UNWRAPPED_TYPES,
        *async_to_sync.DROPPED_ATTRIBUTES,
        *async_to_sync.DROPPED_BASES,
        *async_to_sync.DROPPED_DECORATORS,
    }
    assert table - words == set()


# What a sync project has to say of the other world.
ALLOWED = {
    # The protocol between server and application.
    "app.py": ["asynccontextmanager", "async def lifespan", "AsyncIterator"],
    "errors.py": ["async def", "await"],
    "logs.py": ["async def", "await"],
    # What happens on the event loop, before a thread is taken.
    "dependencies.py": ["AsyncIterator", "async (def|with)"],
    "limits.py": [
        "asynccontextmanager",
        "AsyncIterator",
        "async (def|with)",
        "await",
        "asyncio",
    ],
    "health.py": ["async def", "await", "asyncio"],
    # An example of what runs on the event loop.
    "http.md": ["async def", "await", "import asyncio", "asyncio.sleep"],
    # A mode of replication.
    "more-than-one-machine.md": ["asynchronous"],
    # FastAPI calls these on the event loop only.
    "test_websockets.py": ["async def", "await"],
    # URLs that name the driver of the other style.
    "urls.py": [r"# Drivers that need asyncio.*?\n", r"TRANSLATED = \{.*?\}"],
    "test_urls.py": [r"\+(asyncpg|aiosqlite|aiomysql)"],
    # How to get there.
    "README.md": ["--data io=async"],
}


def _pairs() -> list[tuple[str, str]]:
    return [(name, name.replace("async", "sync", 1)) for name in VARIANTS if name[0] == "a"]


@pytest.mark.parametrize(("asynchronous", "blocking"), _pairs())
def test_the_filter_makes_the_sync_project_of_the_async_one(
    rendered: Mapping[str, Path], asynchronous: str, blocking: str
) -> None:
    compared = 0
    for path in rendered[asynchronous].rglob("*.py"):
        if path.name in PURELY_FILTERED:
            twin = rendered[blocking] / path.relative_to(rendered[asynchronous])
            assert to_sync(path.read_text()) == twin.read_text(), path
            compared += 1
    assert compared >= 10


@pytest.mark.parametrize(("asynchronous", "blocking"), _pairs())
def test_a_sync_project_shows_no_trace_of_async(
    rendered: Mapping[str, Path], asynchronous: str, blocking: str
) -> None:
    for path in files(rendered[blocking]):
        text = path.read_text()
        for allowed in ALLOWED.get(path.name, ()):
            text = re.sub(allowed, "", text, flags=re.DOTALL)
        assert re.findall(r".*(?:async|await|Async).*", text) == [], path
