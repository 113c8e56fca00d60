"""Returned objects are loaded, and found again by the values with which they were created."""

import pytest
from sqlalchemy import JSON, func, insert, null
from sqlalchemy.exc import MultipleResultsFound, NoResultFound
from sqlalchemy.ext.asyncio import AsyncSession

from my_service.db import (
    AsyncDatabaseManager,
    get_one,
    get_or_create,
    update_or_create,
)

from .models import Book, Note, Shelf


@pytest.fixture
async def full(tables: AsyncDatabaseManager) -> AsyncDatabaseManager:
    """A database with two books on one shelf."""
    async with tables.Session.begin() as session:
        session.add(Shelf(name="a", books=[Book(title="x"), Book(title="y")]))
    return tables


def titles(shelf: Shelf) -> list[str]:
    return sorted(book.title for book in shelf.books)


async def test_collections_loaded_by_a_join_come_with_the_row(full: AsyncDatabaseManager) -> None:
    async with full.Session() as session:
        shelf = await Shelf.get_one(session, name="a")
        assert titles(shelf) == ["x", "y"]
        pk = shelf.id
    async with full.Session() as session:
        assert titles(await Shelf.get_by_pk(session, pk) or Shelf()) == ["x", "y"]
    for find in (Shelf.get_or_create, Shelf.update_or_create):
        async with full.Session() as session:
            shelf, created = await find(session, {"label": "new"}, name="a")
            assert (titles(shelf), created) == (["x", "y"], False)


async def test_two_rows_are_several_even_where_a_join_repeats_them(
    full: AsyncDatabaseManager,
) -> None:
    async with full.Session() as session:
        session.add(Shelf(name="b"))
        await session.flush()
        with pytest.raises(MultipleResultsFound):
            await Shelf.get_one(session, label=None)


async def test_a_new_row_has_what_its_model_loads_along(full: AsyncDatabaseManager) -> None:
    for find in (Shelf.get_or_create, Shelf.update_or_create):
        async with full.Session() as session:
            shelf, created = await find(session, name="new")
            assert (titles(shelf), created) == ([], True)
            book, created = await Book.get_or_create(session, title="z", shelf_id=shelf.id)
            assert (book.shelf, created) == (shelf, True)


async def test_upserted_rows_have_what_their_model_loads_along(full: AsyncDatabaseManager) -> None:
    async with full.Session() as session:
        rows = [{"name": "a"}, {"name": "b"}]
        result = await Shelf.upsert_many(session, rows, on="name")
        assert [titles(shelf) for shelf, _ in result] == [["x", "y"], []]
        row = {"title": "x", "shelf_id": result[1][0].id}
        [(book, _)] = await Book.upsert_many(session, [row], on="title")
        assert book.shelf.name == "b"


async def test_what_the_database_computes_for_a_new_row_can_be_read(
    table_session: AsyncSession,
) -> None:
    for find in (Shelf.get_or_create, Shelf.update_or_create):
        shelf, created = await find(
            table_session, {"label": func.upper("x"), "meta": None}, name=find.__name__
        )
        assert (shelf.label, shelf.title, created) == ("X", "X", True)
        assert shelf.opened_at


async def test_none_in_a_json_column_is_found_again(table_session: AsyncSession) -> None:
    for find in (Shelf.get_or_create, Shelf.update_or_create):
        shelf, created = await find(table_session, name=find.__name__, meta=None)
        assert (shelf.meta, created) == (None, True)
        for _ in range(2):
            assert await find(table_session, name=find.__name__, meta=None) == (shelf, False)


async def test_none_finds_both_nulls_of_a_json_column(table_session: AsyncSession) -> None:
    rows = {"sql": null(), "json": JSON.NULL, "text": "null", "object": {"a": None}}
    for name, meta in rows.items():
        await table_session.execute(insert(Shelf).values(name=name, meta=meta))
    for name in ("sql", "json"):
        shelf = await Shelf.get_one(table_session, name=name, meta=None)
        assert shelf.name == name
    for name in ("text", "object"):
        with pytest.raises(NoResultFound):
            await Shelf.get_one(table_session, name=name, meta=None)


async def test_a_synonym_may_be_expired(table_session: AsyncSession) -> None:
    shelf, _ = await Shelf.get_or_create(table_session, name="a")
    table_session.expire(shelf)
    again, created = await Shelf.update_or_create(table_session, {"title": "new"}, name="a")
    assert (again, created, shelf.label) == (shelf, False, "new")
    table_session.expire(shelf)
    again, created = await Shelf.update_or_create(table_session, title="new")
    assert (again, created, shelf.name) == (shelf, False, "a")


async def test_a_dataclass_may_keep_attributes_from_its_constructor(
    table_session: AsyncSession,
) -> None:
    note, created = await get_or_create(table_session, Note, name="a", hint="s")
    assert (note.hint, created) == ("s", True)
    assert await get_one(table_session, Note, hint="s") is note
    for find in (get_or_create, update_or_create):
        note, created = await find(table_session, Note, {"hint": "t"}, name=find.__name__)
        await table_session.refresh(note)
        assert (note.hint, note.title, created) == ("t", None, True)
