"""Sessions that may write beside sessions that only read."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import URL, delete, event, exc, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from my_service.db import (
    SNAPSHOT,
    AsyncDatabaseManager,
    DatabaseStatus,
    ReadOnlyError,
)

from ..databases import MIGRATIONS
from .models import Page, TableBase, visit

TABLE = TableBase.metadata.tables["layer_test_pages"]
WRITES: dict[str, Any] = {
    "text": text("INSERT INTO layer_test_pages (path, visits) VALUES ('/new', 0)"),
    "insert": insert(TABLE).values(path="/new", visits=0),
    "update": update(Page).values(visits=1),
    "delete": delete(TABLE),
    "DDL": text("CREATE TABLE new (id INTEGER)"),
}


async def visits(session: AsyncSession) -> int | None:
    return await session.scalar(select(Page.visits).where(Page.path == "/"))


@pytest.mark.parametrize("statement", WRITES.values(), ids=WRITES)
async def test_the_database_refuses_to_write_in_a_read_session(
    pages: AsyncDatabaseManager,
    statement: Any,
) -> None:
    async with pages.ReadSession() as session:
        assert await visits(session) == 0
        with pytest.raises(ReadOnlyError, match=r"manager\.Session"):
            await session.execute(statement)
    async with pages.ReadSession() as session:
        paths = await session.execute(select(Page.path, Page.visits))
        assert paths.all() == [("/", 0)]
    await visit(pages)


async def test_a_flush_in_a_read_session_is_refused(pages: AsyncDatabaseManager) -> None:
    async with pages.ReadSession() as session:
        session.add(Page(path="/new"))
        with pytest.raises(ReadOnlyError, match=r"manager\.Session"):
            await session.flush()
    async with pages.ReadSession() as session:
        page = await Page.get_one(session, path="/")
        page.visits = 1
        with pytest.raises(ReadOnlyError, match=r"manager\.Session"):
            await session.commit()
    await visit(pages)


@pytest.mark.parametrize(
    "write",
    [
        lambda session: Page.get_or_create(session, path="/"),
        lambda session: Page.update_or_create(session, {"visits": 1}, path="/"),
        lambda session: Page.upsert_many(session, [{"path": "/", "visits": 1}], on="path"),
    ],
    ids=["get_or_create", "update_or_create", "upsert_many"],
)
async def test_functions_that_write_refuse_a_read_session_before_any_sql(
    pages: AsyncDatabaseManager,
    write: Callable[[AsyncSession], Awaitable[object]],
) -> None:
    statements = []
    event.listen(
        pages.read_engine.sync_engine,
        "before_cursor_execute",
        lambda *args: statements.append(args[2]),
    )
    async with pages.ReadSession() as session:
        with pytest.raises(ReadOnlyError, match=r"manager\.Session"):
            await write(session)
        assert statements == []
        assert await Page.get_one(session, path="/")
    assert len(statements) == 1


async def test_rows_are_looked_up_in_a_read_session(pages: AsyncDatabaseManager) -> None:
    async with pages.ReadSession() as session:
        page = await Page.get_one(session, path="/")
        assert await Page.get_by_pk(session, page.id) is page


async def test_each_statement_of_a_read_session_sees_what_is_committed(
    pages: AsyncDatabaseManager,
) -> None:
    async with pages.ReadSession() as session:
        assert await visits(session) == 0
        await visit(pages)
        assert await visits(session) == 1


async def test_a_snapshot_does_not_change_while_others_write(pages: AsyncDatabaseManager) -> None:
    async with pages.ReadSession() as session:
        await session.connection(execution_options=SNAPSHOT)
        assert await visits(session) == 0
        await visit(pages)
        assert await visits(session) == 0
        with pytest.raises(ReadOnlyError):
            await session.execute(delete(Page))
    async with pages.ReadSession() as session:
        assert await visits(session) == 1


def read_by_streaming(session: Session) -> list[str]:
    paths = select(Page.path).execution_options(yield_per=10)
    return [*session.scalars(paths)]


async def test_rows_are_streamed_from_a_snapshot(pages: AsyncDatabaseManager) -> None:
    async with pages.ReadSession() as session:
        await session.connection(execution_options=SNAPSHOT)
        assert await session.run_sync(read_by_streaming) == ["/"]


async def test_a_stream_without_a_snapshot_fails_and_breaks_no_connection(
    pages: AsyncDatabaseManager,
) -> None:
    async with pages.ReadSession() as session:
        assert await visits(session) == 0
        with pytest.raises(exc.SQLAlchemyError, match="SNAPSHOT"):
            await session.run_sync(read_by_streaming)
    async with pages.ReadSession() as session:
        await session.connection(execution_options=SNAPSHOT)
        assert await session.run_sync(read_by_streaming) == ["/"]


async def test_read_sessions_go_to_the_read_url_and_others_do_not(
    pages: AsyncDatabaseManager,
    empty_url: URL,
) -> None:
    engine_args = {"read_url": pages.engine.url}
    async with AsyncDatabaseManager(empty_url, MIGRATIONS, engine_args=engine_args) as manager:
        async with manager.engine.begin() as connection:
            await connection.run_sync(TableBase.metadata.create_all)
        async with manager.Session.begin() as session:
            session.add(Page(path="/primary"))
        for make_session, path in ((manager.Session, "/primary"), (manager.ReadSession, "/")):
            async with make_session() as session:
                paths = await session.scalars(select(Page.path))
                assert paths.all() == [path]


async def test_a_task_may_hold_several_read_sessions_and_a_writer(
    pages: AsyncDatabaseManager,
) -> None:
    async with pages.ReadSession() as one, pages.ReadSession() as other:
        assert await visits(one) == await visits(other) == 0
        await visit(pages)
        async with pages.Session.begin() as writer:
            assert await visits(writer) == 1
            await writer.execute(update(Page).values(visits=7))
            assert await visits(one) == await visits(other) == 1
        assert await visits(one) == await visits(other) == 7


async def test_asking_for_the_status_does_not_wait_for_a_writer(
    pages: AsyncDatabaseManager,
) -> None:
    async with pages.Session() as writer:
        await writer.execute(update(Page).values(visits=1))
        assert await pages.get_status() is DatabaseStatus.UP_TO_DATE
        assert await pages.get_current_revision() == await pages.get_latest_revision()
        await writer.commit()
    await visit(pages)


async def test_a_task_may_hold_two_writers(pages: AsyncDatabaseManager) -> None:
    async with pages.Session.begin() as one, pages.Session.begin() as other:
        one.add(Page(path="/one"))
        await one.flush()
        other.add(Page(path="/other"))
        await other.flush()
    async with pages.ReadSession() as session:
        paths = await session.scalars(select(Page.path).order_by(Page.path))
        assert paths.all() == ["/", "/one", "/other"]
