"""Returned objects are loaded, and found again by the values with which they were created."""

import pytest
from sqlalchemy import JSON, func, insert, null
from sqlalchemy.exc import MultipleResultsFound, NoResultFound
from sqlalchemy.orm import Session

from my_service.db import DatabaseManager, get_one, get_or_create, update_or_create

from .models import Book, Note, Shelf


@pytest.fixture
def full(tables: DatabaseManager) -> DatabaseManager:
    """A database with two books on one shelf."""
    with tables.Session.begin() as session:
        session.add(Shelf(name="a", books=[Book(title="x"), Book(title="y")]))
    return tables


def titles(shelf: Shelf) -> list[str]:
    return sorted(book.title for book in shelf.books)


def test_collections_loaded_by_a_join_come_with_the_row(full: DatabaseManager) -> None:
    with full.Session() as session:
        shelf = Shelf.get_one(session, name="a")
        assert titles(shelf) == ["x", "y"]
        pk = shelf.id
    with full.Session() as session:
        assert titles(Shelf.get_by_pk(session, pk) or Shelf()) == ["x", "y"]
    for find in (Shelf.get_or_create, Shelf.update_or_create):
        with full.Session() as session:
            shelf, created = find(session, {"label": "new"}, name="a")
            assert (titles(shelf), created) == (["x", "y"], False)


def test_two_rows_are_several_even_where_a_join_repeats_them(
    full: DatabaseManager,
) -> None:
    with full.Session() as session:
        session.add(Shelf(name="b"))
        session.flush()
        with pytest.raises(MultipleResultsFound):
            Shelf.get_one(session, label=None)


def test_a_new_row_has_what_its_model_loads_along(full: DatabaseManager) -> None:
    for find in (Shelf.get_or_create, Shelf.update_or_create):
        with full.Session() as session:
            shelf, created = find(session, name="new")
            assert (titles(shelf), created) == ([], True)
            book, created = Book.get_or_create(session, title="z", shelf_id=shelf.id)
            assert (book.shelf, created) == (shelf, True)


def test_upserted_rows_have_what_their_model_loads_along(full: DatabaseManager) -> None:
    with full.Session() as session:
        rows = [{"name": "a"}, {"name": "b"}]
        result = Shelf.upsert_many(session, rows, on="name")
        assert [titles(shelf) for shelf, _ in result] == [["x", "y"], []]
        row = {"title": "x", "shelf_id": result[1][0].id}
        [(book, _)] = Book.upsert_many(session, [row], on="title")
        assert book.shelf.name == "b"


def test_what_the_database_computes_for_a_new_row_can_be_read(
    table_session: Session,
) -> None:
    for find in (Shelf.get_or_create, Shelf.update_or_create):
        shelf, created = find(
            table_session, {"label": func.upper("x"), "meta": None}, name=find.__name__
        )
        assert (shelf.label, shelf.title, created) == ("X", "X", True)
        assert shelf.opened_at


def test_none_in_a_json_column_is_found_again(table_session: Session) -> None:
    for find in (Shelf.get_or_create, Shelf.update_or_create):
        shelf, created = find(table_session, name=find.__name__, meta=None)
        assert (shelf.meta, created) == (None, True)
        for _ in range(2):
            assert find(table_session, name=find.__name__, meta=None) == (shelf, False)


def test_none_finds_both_nulls_of_a_json_column(table_session: Session) -> None:
    rows = {"sql": null(), "json": JSON.NULL, "text": "null", "object": {"a": None}}
    for name, meta in rows.items():
        table_session.execute(insert(Shelf).values(name=name, meta=meta))
    for name in ("sql", "json"):
        shelf = Shelf.get_one(table_session, name=name, meta=None)
        assert shelf.name == name
    for name in ("text", "object"):
        with pytest.raises(NoResultFound):
            Shelf.get_one(table_session, name=name, meta=None)


def test_a_synonym_may_be_expired(table_session: Session) -> None:
    shelf, _ = Shelf.get_or_create(table_session, name="a")
    table_session.expire(shelf)
    again, created = Shelf.update_or_create(table_session, {"title": "new"}, name="a")
    assert (again, created, shelf.label) == (shelf, False, "new")
    table_session.expire(shelf)
    again, created = Shelf.update_or_create(table_session, title="new")
    assert (again, created, shelf.name) == (shelf, False, "a")


def test_a_dataclass_may_keep_attributes_from_its_constructor(
    table_session: Session,
) -> None:
    note, created = get_or_create(table_session, Note, name="a", hint="s")
    assert (note.hint, created) == ("s", True)
    assert get_one(table_session, Note, hint="s") is note
    for find in (get_or_create, update_or_create):
        note, created = find(table_session, Note, {"hint": "t"}, name=find.__name__)
        table_session.refresh(note)
        assert (note.hint, note.title, created) == ("t", None, True)
