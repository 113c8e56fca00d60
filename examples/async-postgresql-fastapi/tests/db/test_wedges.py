"""After any misuse of a session, the next write takes less than a second."""

import asyncio
import os
import random
import signal
from pathlib import Path

import pytest
from sqlalchemy import QueuePool, exc, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from my_service.db import AsyncDatabaseManager

from ..concurrency import run_concurrently
from .models import Page, TableBase, visit

both_roads = pytest.mark.parametrize("road", ["Session", "ReadSession"])


async def assert_nothing_is_locked(manager: AsyncDatabaseManager, migrations: Path) -> None:
    """Write with the manager, and with one that shares nothing with it, as another process does.

    Each of them fails when it has waited for a second; see the fixture `pages`.
    """
    async with AsyncDatabaseManager(
        manager.engine.url,
        migrations,
        engine_args={"statement_timeout": 1},
        base_model=TableBase,
    ) as other:
        await visit(other)
        await visit(manager)
        await visit(other)
    for engine in (manager.engine, manager.read_engine):
        assert isinstance(engine.pool, QueuePool)
        assert engine.pool.checkedout() == 0


@both_roads
async def test_a_session_used_after_its_end_raises_at_once(
    pages: AsyncDatabaseManager,
    migrations: Path,
    road: str,
) -> None:
    async with getattr(pages, road)() as session:
        page = await Page.get_one(session, path="/")
    with pytest.raises(exc.InvalidRequestError, match="permanently closed"):
        await session.execute(select(Page))
    with pytest.raises(exc.InvalidRequestError, match="permanently closed"):
        session.add(page)
    with pytest.raises(exc.InvalidRequestError, match="permanently closed"):
        await session.commit()
    await assert_nothing_is_locked(pages, migrations)


@both_roads
async def test_a_session_that_is_dropped_without_being_closed_locks_nothing(
    pages: AsyncDatabaseManager,
    migrations: Path,
    road: str,
) -> None:
    async def read() -> list[str]:
        found = await getattr(pages, road)().scalars(select(Page))
        return [page.path for page in found]

    with pytest.warns(ResourceWarning, match="a session was not closed"):
        assert await read() == ["/"]
    await assert_nothing_is_locked(pages, migrations)


async def test_what_a_dropped_session_has_written_is_rolled_back(
    pages: AsyncDatabaseManager,
    migrations: Path,
) -> None:
    async def write() -> None:
        session = pages.Session()
        page = await Page.get_one(session, path="/")
        page.visits = 7
        async with session.begin_nested():
            session.add(Page(path="/dropped"))

    with pytest.warns(ResourceWarning, match="a session was not closed"):
        await write()
    await assert_nothing_is_locked(pages, migrations)
    async with pages.ReadSession() as session:
        found = await session.execute(select(Page.path, Page.visits))
        assert found.all() == [("/", 3)]


async def test_a_failed_flush_leaves_nothing_behind(
    pages: AsyncDatabaseManager,
    migrations: Path,
) -> None:
    async def write(session: AsyncSession) -> None:
        session.add_all([Page(path="/"), Page(path="/new")])
        await session.flush()

    async with pages.Session() as session:
        with pytest.raises(exc.IntegrityError):
            await write(session)
        await session.rollback()
        session.add(Page(path="/second"))
        await session.commit()
        with pytest.raises(exc.IntegrityError):
            await write(session)

    await assert_nothing_is_locked(pages, migrations)
    async with pages.ReadSession() as session:
        paths = await session.scalars(select(Page.path).order_by(Page.path))
        assert paths.all() == ["/", "/second"]


async def write_and_dispose(manager: AsyncDatabaseManager) -> None:
    async with manager:
        await visit(manager)


def fork(manager: AsyncDatabaseManager) -> int:
    """Write in a child process, and return its exit code: 0 for a success, 1 for an error."""
    pid = os.fork()
    if not pid:
        status = 1
        signal.alarm(10)
        try:
            asyncio.run(write_and_dispose(manager))
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


# A driver may have a thread for each connection.
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
async def test_a_child_process_and_its_parent_both_write(
    pages: AsyncDatabaseManager,
    migrations: Path,
) -> None:
    async with pages.ReadSession() as session:
        await session.execute(select(Page))
        assert fork(pages) == 0
        await session.execute(select(Page))
    async with pages.Session.begin() as session:
        session.add(Page(path="/parent"))
        await session.flush()
        assert fork(pages) == 0
    await assert_nothing_is_locked(pages, migrations)
    async with pages.ReadSession() as session:
        assert await Page.get_one(session, path="/parent")


async def test_a_query_that_is_cancelled_while_it_runs_leaves_no_lock(
    pages: AsyncDatabaseManager,
    migrations: Path,
) -> None:
    slow = text("SELECT pg_sleep(0.3)")

    async def write() -> None:
        async with pages.Session.begin() as session:
            await session.execute(update(Page).values(visits=7))
            await session.execute(slow)

    task = asyncio.create_task(write())
    await asyncio.sleep(0.05)
    task.cancel()
    # The traceback of the error refers to a cursor.
    results = await asyncio.gather(task, return_exceptions=True)
    await assert_nothing_is_locked(pages, migrations)
    assert isinstance(results[0], asyncio.CancelledError)


@both_roads
async def test_tasks_may_be_cancelled_at_any_moment(
    pages: AsyncDatabaseManager,
    migrations: Path,
    road: str,
) -> None:
    async def write(number: int) -> None:
        async with pages.Session.begin() as session:
            await session.execute(update(Page).values(visits=Page.visits + 1))
            session.add(Page(path=f"/{number}"))

    async def read(number: int) -> None:
        async with pages.ReadSession() as session:
            for _ in range(3):
                await session.execute(select(Page))

    async def cancel(number: int) -> None:
        work = write if road == "Session" else read
        task = asyncio.create_task(work(number))
        await asyncio.sleep(random.uniform(0, 0.03))  # noqa: S311
        task.cancel()
        (result,) = await asyncio.gather(task, return_exceptions=True)
        assert result is None or isinstance(result, asyncio.CancelledError)

    await asyncio.gather(run_concurrently(cancel, range(40), workers=8), write(-1), write(-2))
    await assert_nothing_is_locked(pages, migrations)
