import re
import tokenize
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

import pytest

from extensions import async_to_sync
from extensions.async_to_sync import for_io, to_sync

from .support.releases import ROOT
from .support.structure import rendered_files
from .support.variants import VARIANTS

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
    "comments and strings are not changed": (
        'async def f():\n    """Await AsyncSession."""  # await AsyncSession\n    return "await x"\n',
        'def f():\n    """Await AsyncSession."""  # await AsyncSession\n    return "await x"\n',
    ),
    "similar names are not changed": (
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
    "attributes of the async form": (
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
    "decorators of the async form": (
        "from .coroutine import coroutine\n\n\n@command\n@coroutine\nasync def f(): ...\n",
        "\n@command\ndef f(): ...\n",
    ),
    "base classes of the async form": (
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
    "imports that fit are joined": (
        "from .x import (\n    AsyncDatabaseManager,\n    a,\n)\n",
        "from .x import DatabaseManager, a\n",
    ),
    "imports that do not fit are wrapped": (
        f"from .x import AsyncDatabaseManager, {'a' * 69}\n",
        f"from .x import (\n    DatabaseManager,\n    {'a' * 69},\n)\n",
    ),
    "modules that are used by unwrapped calls only": (
        "import asyncio\nimport os\n\nasyncio.run(f(os.name))\n",
        "import os\n\nf(os.name)\n",
    ),
}


@pytest.mark.parametrize(("async_form", "sync_form"), EXAMPLES.values(), ids=EXAMPLES)
def test_the_sync_form_is_derived(async_form: str, sync_form: str) -> None:
    assert to_sync(async_form) == sync_form


@pytest.mark.parametrize(("async_form", "sync_form"), EXAMPLES.values(), ids=EXAMPLES)
def test_the_async_form_is_not_changed_and_the_sync_form_is_stable(
    async_form: str, sync_form: str
) -> None:
    assert for_io(async_form, "async") == async_form
    assert to_sync(sync_form) == sync_form


@pytest.mark.parametrize(
    "source",
    ["await c.run_sync(lambda c: 1)\n", "await c.run_sync(f(1), 2)\n", "def f(:\n"],
)
def test_code_without_a_sync_form_is_an_error(source: str) -> None:
    with pytest.raises(SyntaxError):
        to_sync(source)


def _rendered_names(marker: str) -> set[str]:
    """Return the names of rendered files whose templates contain the marker."""
    return {
        re.sub(r"\{%.*?%\}", "", path.name).removesuffix(".jinja")
        for path in (ROOT / "template").rglob("*.jinja")
        if marker in path.read_text()
    }


FILTERED = _rendered_names("{% filter for_io(io) %}")
PURELY_FILTERED = FILTERED - _rendered_names("{% if io")


def test_the_tables_have_no_unused_entry(rendered: Mapping[str, Path]) -> None:
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


# Words of async code in the files of a sync project.
ALLOWED = {
    # ASGI is async.
    "app.py": ["asynccontextmanager", "async def lifespan", "AsyncIterator"],
    "errors.py": ["async def", "await"],
    "logs.py": ["async def", "await"],
    # What happens on the event loop, before a thread is taken.
    "dependencies.py": [
        "AsyncIterator",
        "async (def|with)",
        "asynccontextmanager",
        "await to_thread",
    ],
    "limits.py": [
        "asynccontextmanager",
        "AsyncIterator",
        "async (def|with)",
        "await",
        "asyncio",
    ],
    "health.py": ["async def", "await", "asyncio"],
    # An example that runs on the event loop.
    "http.md": ["async def", "await", "import asyncio", "asyncio.sleep"],
    # Asynchronous replication.
    "more-than-one-machine.md": ["asynchronous"],
    # FastAPI runs WebSocket routes on the event loop only.
    "test_websockets.py": ["async def", "await"],
    # A request that is cancelled on the event loop.
    "test_threads.py": ["async def", "await", "asyncio"],
    # URLs that name the driver of the other style.
    "urls.py": [r"# Drivers that need asyncio.*?\n", r"INCOMPATIBLE_DRIVERS = \{.*?\}"],
    "test_urls.py": [r"\+(asyncpg|aiosqlite|aiomysql)"],
    # The command that changes the project to async code.
    "README.md": ["--data io=async"],
}


def _pairs() -> list[tuple[str, str]]:
    return [(name, name.replace("async", "sync", 1)) for name in VARIANTS if name[0] == "a"]


@pytest.mark.parametrize(("async_variant", "sync_variant"), _pairs())
def test_the_filter_makes_the_sync_project_of_the_async_one(
    rendered: Mapping[str, Path], async_variant: str, sync_variant: str
) -> None:
    compared = 0
    for path in rendered[async_variant].rglob("*.py"):
        if path.name in PURELY_FILTERED:
            twin = rendered[sync_variant] / path.relative_to(rendered[async_variant])
            assert to_sync(path.read_text()) == twin.read_text(), path
            compared += 1
    assert compared >= 10


@pytest.mark.parametrize(("async_variant", "sync_variant"), _pairs())
def test_a_sync_project_shows_no_trace_of_async(
    rendered: Mapping[str, Path], async_variant: str, sync_variant: str
) -> None:
    for path in rendered_files(rendered[sync_variant]):
        text = path.read_text()
        for allowed in ALLOWED.get(path.name, ()):
            text = re.sub(allowed, "", text, flags=re.DOTALL)
        assert re.findall(r".*(?:async|await|Async).*", text) == [], path
