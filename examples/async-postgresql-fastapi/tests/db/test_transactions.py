import pytest
from sqlalchemy import URL, exc, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from my_service.db import AsyncDatabaseManager

from ..concurrency import run_concurrently
from ..databases import MIGRATIONS
from .models import Page, TableBase


async def visits(manager: AsyncDatabaseManager) -> int:
    async with manager.Session() as session:
        page = await Page.get_one(session, path="/")
        return page.visits


async def count_a_visit(session: AsyncSession) -> None:
    """Read a row, then write a value that depends on it, which can lose updates."""
    found = await session.execute(select(Page.id, Page.visits).where(Page.path == "/"))
    pk, seen = found.one()
    await session.execute(update(Page).where(Page.id == pk).values(visits=seen + 1))


async def test_a_unit_of_work_is_committed_or_leaves_no_trace(tables: AsyncDatabaseManager) -> None:
    async def fail(session: AsyncSession) -> None:
        session.add(Page(path="/lost"))
        await session.flush()
        raise KeyError

    async def work(session: AsyncSession) -> str:
        page, _ = await Page.get_or_create(session, path="/")
        return page.path

    with pytest.raises(KeyError):
        await tables.run(fail)
    assert await tables.run(work) == "/"
    async with tables.Session() as session:
        paths = await session.scalars(select(Page.path))
        assert paths.all() == ["/"]


async def test_lost_transactions_are_run_again_with_a_new_session(
    tables: AsyncDatabaseManager,
) -> None:
    sessions = []

    async def lose_twice(session: AsyncSession) -> int:
        sessions.append(session)
        if len(sessions) < 3:
            error = Exception()
            error.sqlstate = "40001"  # type: ignore[attr-defined]
            raise exc.OperationalError("", None, error)
        return len(sessions)

    assert await tables.run(lose_twice) == 3
    assert len(set(sessions)) == 3
    sessions.clear()
    with pytest.raises(exc.OperationalError):
        await tables.run(lose_twice, attempts=2)


async def test_a_broken_constraint_is_tried_once_more_only(tables: AsyncDatabaseManager) -> None:
    attempts = []

    async def duplicate(session: AsyncSession) -> None:
        attempts.append(session)
        session.add_all([Page(path="/"), Page(path="/")])

    with pytest.raises(exc.IntegrityError):
        await tables.run(duplicate)
    assert len(attempts) == 2


async def test_contended_serializable_transactions_all_succeed(
    tables: AsyncDatabaseManager,
) -> None:
    async with AsyncDatabaseManager(
        tables.engine.url,
        MIGRATIONS,
        engine_args={"isolation_level": "SERIALIZABLE", "pool_size": 20, "pool_timeout": 60},
        base_model=TableBase,
    ) as manager:

        async def visit(number: int) -> None:
            await manager.run(count_a_visit, attempts=100)

        async def create(session: AsyncSession) -> None:
            await Page.get_or_create(session, path="/")

        async def race(number: int) -> None:
            await manager.run(create)

        await run_concurrently(race, range(20))
        await run_concurrently(visit, range(40), workers=20)
        assert await visits(manager) == 40


async def test_nul_characters_are_refused(table_session: AsyncSession) -> None:
    table_session.add(Page(path="nul\0"))
    with pytest.raises(exc.DBAPIError):
        await table_session.flush()


async def test_nul_characters_in_one_of_many_rows_are_refused(table_session: AsyncSession) -> None:
    rows = [{"path": "/"}, {"path": "nul\0"}]
    with pytest.raises(exc.DBAPIError):
        await table_session.execute(insert(Page), rows)


async def test_each_database_of_a_process_has_its_own_rows(
    tables: AsyncDatabaseManager,
    empty_url: URL,
) -> None:
    async with AsyncDatabaseManager(empty_url, MIGRATIONS, base_model=TableBase) as other:
        async with other.engine.begin() as connection:
            await connection.run_sync(TableBase.metadata.create_all)
        async with tables.Session.begin() as session:
            await Page.get_or_create(session, path="/here")
        async with other.Session.begin() as session:
            await Page.get_or_create(session, path="/there")
        for manager, path in ((tables, "/here"), (other, "/there")):
            async with manager.Session() as session:
                paths = await session.scalars(select(Page.path))
                assert paths.all() == [path]


async def test_asking_for_the_status_leaves_open_sessions_alone(
    tables: AsyncDatabaseManager,
) -> None:
    async with tables.Session() as session:
        page = Page(path="/")
        session.add(page)
        await tables.get_status()
        assert page in session
        await session.commit()
    assert await visits(tables) == 0
