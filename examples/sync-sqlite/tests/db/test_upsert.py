import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from my_service.db import DatabaseManager, is_sqlite, upsert_many

from ..concurrency import run_concurrently
from .models import Page, PlainPage, Shelf, Word


def test_rows_are_inserted_and_updated(table_session: Session) -> None:
    old, _ = Page.get_or_create(table_session, path="/b", title="old")
    rows = [{"path": path, "title": "new"} for path in ("/c", "/b", "/a")]
    result = Page.upsert_many(table_session, rows, on="path")
    assert [page.path for page, _ in result] == ["/a", "/b", "/c"]
    assert result[1][0] is old
    assert old.title == "new"
    known = not is_sqlite(table_session.get_bind())
    assert [created for _, created in result] == ([True, False, True] if known else [None] * 3)


def test_the_last_of_two_rows_with_one_key_wins(table_session: Session) -> None:
    rows = [{"path": "/", "title": "first"}, {"path": "/", "title": "last"}]
    result = Page.upsert_many(table_session, rows, on="path")
    assert [page.title for page, _ in result] == ["last"]


def test_update_names_what_is_overwritten(table_session: Session) -> None:
    Page.get_or_create(table_session, path="/", title="old", visits=1)
    rows = [{"path": "/", "title": "new", "visits": 2}]
    for update in (["visits"], "visits"):
        [(page, _)] = Page.upsert_many(table_session, rows, on="path", update=update)
        assert (page.title, page.visits) == ("old", 2)
    [(page, _)] = Page.upsert_many(table_session, rows, on=["path"], update=[])
    assert page.title == "old"


def test_only_what_the_rows_name_is_overwritten(table_session: Session) -> None:
    page, _ = Page.get_or_create(table_session, path="/", title="old", visits=1)
    with pytest.raises(ValueError, match="every row must have a value for path, visits"):
        Page.upsert_many(table_session, [{"path": "/"}], on="path", update=["visits"])
    Page.upsert_many(table_session, [{"path": "/", "title": "new"}], on="path")
    assert (page.title, page.visits) == ("new", 1)


def test_many_rows_are_written_without_returning_them(table_session: Session) -> None:
    rows = [{"path": f"/{number}", "visits": number} for number in range(2500)]
    for _ in range(2):
        assert upsert_many(table_session, PlainPage, rows, on="path", returning=False) == []
    found = table_session.execute(select(func.count(), func.sum(Page.visits)))
    assert found.one() == (2500, sum(range(2500)))


@pytest.mark.parametrize("returning", [True, False])
def test_pending_rows_are_written_first(table_session: Session, returning: bool) -> None:
    table_session.add(Page(path="/", visits=1))
    with table_session.no_autoflush:
        rows = [{"path": "/", "visits": 2}]
        upsert_many(table_session, Page, rows, on="path", returning=returning)
    table_session.flush()
    found = table_session.execute(select(Page.path, Page.visits))
    assert found.all() == [("/", 2)]


def test_rows_that_cannot_be_matched_are_refused(table_session: Session) -> None:
    rows = [{"path": "/"}, {"path": "/a", "title": "a"}]
    with pytest.raises(ValueError, match="same attributes"):
        Page.upsert_many(table_session, rows, on="path")
    with pytest.raises(ValueError, match="no None in path"):
        Page.upsert_many(table_session, [{"path": None}], on="path")
    with pytest.raises(ValueError, match="must have a value for path, title"):
        Page.upsert_many(table_session, [{"title": "a"}], on="path")
    with pytest.raises(ValueError, match="must have a value for"):
        Page.upsert_many(table_session, [{"title": "a"}], on=[])
    assert Page.upsert_many(table_session, [], on="path") == []


@pytest.mark.parametrize("name", ["pth", "links", "metadata", "upsert_many"])
def test_names_that_are_no_columns_are_refused(
    table_session: Session,
    name: str,
) -> None:
    row, message = {"path": "/"}, f"Page has no column '{name}'; it has: id, path, title, visits"
    with pytest.raises(TypeError, match=message):
        Page.upsert_many(table_session, [row | {name: "/"}], on="path")
    with pytest.raises(TypeError, match=message):
        Page.upsert_many(table_session, [row], on=["path", name])
    with pytest.raises(TypeError, match=message):
        Page.upsert_many(table_session, [row], on="path", update=[name])
    with pytest.raises(TypeError, match="Shelf has no column 'title'; it has: id, name, label"):
        Shelf.upsert_many(table_session, [{"name": "a", "title": "synonym"}], on="name")
    assert not table_session.in_transaction()


def test_on_has_to_be_given(table_session: Session) -> None:
    with pytest.raises(TypeError, match="required keyword-only argument: 'on'"):
        Page.upsert_many(table_session, [{"path": "/"}])  # type: ignore[call-arg]


def test_a_composite_key_identifies_a_row(table_session: Session) -> None:
    rows = [{"model": "m", "pk": pk, "session": "s"} for pk in "ba"]
    result = Word.upsert_many(table_session, rows, on=["model", "pk"])
    assert [word.pk for word, _ in result] == ["a", "b"]


def test_concurrent_calls_do_not_deadlock(tables: DatabaseManager) -> None:
    def write(number: int) -> None:
        paths = [f"/{index}" for index in range(200)]
        rows = [{"path": path, "visits": number} for path in paths[:: 1 if number % 2 else -1]]
        with tables.Session.begin() as session:
            Page.upsert_many(session, rows, on="path", returning=False)

    run_concurrently(write, range(16), workers=16)
