import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from my_service.db import (
    AsyncDatabaseManager,
    is_sqlite,
    upsert_many,
)

from ..concurrency import run_concurrently
from .models import Page, PlainPage, Shelf, Word


async def test_rows_are_inserted_and_updated(table_session: AsyncSession) -> None:
    old, _ = await Page.get_or_create(table_session, path="/b", title="old")
    rows = [{"path": path, "title": "new"} for path in ("/c", "/b", "/a")]
    result = await Page.upsert_many(table_session, rows, on="path")
    assert [page.path for page, _ in result] == ["/a", "/b", "/c"]
    assert result[1][0] is old
    assert old.title == "new"
    known = not is_sqlite(table_session.get_bind())
    assert [created for _, created in result] == ([True, False, True] if known else [None] * 3)


async def test_the_last_of_two_rows_with_one_key_wins(table_session: AsyncSession) -> None:
    rows = [{"path": "/", "title": "first"}, {"path": "/", "title": "last"}]
    result = await Page.upsert_many(table_session, rows, on="path")
    assert [page.title for page, _ in result] == ["last"]


async def test_update_names_what_is_overwritten(table_session: AsyncSession) -> None:
    await Page.get_or_create(table_session, path="/", title="old", visits=1)
    rows = [{"path": "/", "title": "new", "visits": 2}]
    for update in (["visits"], "visits"):
        [(page, _)] = await Page.upsert_many(table_session, rows, on="path", update=update)
        assert (page.title, page.visits) == ("old", 2)
    [(page, _)] = await Page.upsert_many(table_session, rows, on=["path"], update=[])
    assert page.title == "old"


async def test_only_what_the_rows_name_is_overwritten(table_session: AsyncSession) -> None:
    page, _ = await Page.get_or_create(table_session, path="/", title="old", visits=1)
    with pytest.raises(ValueError, match="every row must have a value for path, visits"):
        await Page.upsert_many(table_session, [{"path": "/"}], on="path", update=["visits"])
    await Page.upsert_many(table_session, [{"path": "/", "title": "new"}], on="path")
    assert (page.title, page.visits) == ("new", 1)


async def test_many_rows_are_written_without_returning_them(table_session: AsyncSession) -> None:
    rows = [{"path": f"/{number}", "visits": number} for number in range(2500)]
    for _ in range(2):
        assert await upsert_many(table_session, PlainPage, rows, on="path", returning=False) == []
    found = await table_session.execute(select(func.count(), func.sum(Page.visits)))
    assert found.one() == (2500, sum(range(2500)))


@pytest.mark.parametrize("returning", [True, False])
async def test_pending_rows_are_written_first(table_session: AsyncSession, returning: bool) -> None:
    table_session.add(Page(path="/", visits=1))
    with table_session.no_autoflush:
        rows = [{"path": "/", "visits": 2}]
        await upsert_many(table_session, Page, rows, on="path", returning=returning)
    await table_session.flush()
    found = await table_session.execute(select(Page.path, Page.visits))
    assert found.all() == [("/", 2)]


async def test_rows_that_cannot_be_matched_are_refused(table_session: AsyncSession) -> None:
    rows = [{"path": "/"}, {"path": "/a", "title": "a"}]
    with pytest.raises(ValueError, match="same attributes"):
        await Page.upsert_many(table_session, rows, on="path")
    with pytest.raises(ValueError, match="no None in path"):
        await Page.upsert_many(table_session, [{"path": None}], on="path")
    with pytest.raises(ValueError, match="must have a value for path, title"):
        await Page.upsert_many(table_session, [{"title": "a"}], on="path")
    with pytest.raises(ValueError, match="must have a value for"):
        await Page.upsert_many(table_session, [{"title": "a"}], on=[])
    assert await Page.upsert_many(table_session, [], on="path") == []


@pytest.mark.parametrize("name", ["pth", "links", "metadata", "upsert_many"])
async def test_names_that_are_no_columns_are_refused(
    table_session: AsyncSession,
    name: str,
) -> None:
    row, message = {"path": "/"}, f"Page has no column '{name}'; it has: id, path, title, visits"
    with pytest.raises(TypeError, match=message):
        await Page.upsert_many(table_session, [row | {name: "/"}], on="path")
    with pytest.raises(TypeError, match=message):
        await Page.upsert_many(table_session, [row], on=["path", name])
    with pytest.raises(TypeError, match=message):
        await Page.upsert_many(table_session, [row], on="path", update=[name])
    with pytest.raises(TypeError, match="Shelf has no column 'title'; it has: id, name, label"):
        await Shelf.upsert_many(table_session, [{"name": "a", "title": "synonym"}], on="name")
    assert not table_session.in_transaction()


async def test_on_has_to_be_given(table_session: AsyncSession) -> None:
    with pytest.raises(TypeError, match="required keyword-only argument: 'on'"):
        await Page.upsert_many(table_session, [{"path": "/"}])  # type: ignore[call-arg]


async def test_a_composite_key_identifies_a_row(table_session: AsyncSession) -> None:
    rows = [{"model": "m", "pk": pk, "session": "s"} for pk in "ba"]
    result = await Word.upsert_many(table_session, rows, on=["model", "pk"])
    assert [word.pk for word, _ in result] == ["a", "b"]


async def test_concurrent_calls_do_not_deadlock(tables: AsyncDatabaseManager) -> None:
    async def write(number: int) -> None:
        paths = [f"/{index}" for index in range(200)]
        rows = [{"path": path, "visits": number} for path in paths[:: 1 if number % 2 else -1]]
        async with tables.Session.begin() as session:
            await Page.upsert_many(session, rows, on="path", returning=False)

    await run_concurrently(write, range(16), workers=16)
