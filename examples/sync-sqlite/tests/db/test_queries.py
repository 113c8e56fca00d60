import pytest
from sqlalchemy import func, inspect, select, update
from sqlalchemy.exc import IntegrityError, MultipleResultsFound, NoResultFound
from sqlalchemy.orm import Session

from my_service.db import DatabaseManager, get_by_pk, get_one, get_or_create, update_or_create

from ..concurrency import run_concurrently
from .models import Link, Page, PlainPage, Word


def count(session: Session) -> int:
    found = session.scalars(select(func.count()).select_from(Page))
    return found.one()


def test_get_by_pk_returns_the_row_or_none(table_session: Session) -> None:
    page, _ = Page.get_or_create(table_session, path="/")
    assert Page.get_by_pk(table_session, page.id) is page
    assert Page.get_by_pk(table_session, page.id + 1) is None


def test_get_by_pk_takes_a_composite_key_as_a_tuple(table_session: Session) -> None:
    word, _ = Word.get_or_create(table_session, model="a", pk="b")
    assert Word.get_by_pk(table_session, ("a", "b")) is word
    with pytest.raises(TypeError, match=r"\(model, pk\)"):
        Word.get_by_pk(table_session, "a")


def test_get_one_raises_for_no_match_and_for_several(table_session: Session) -> None:
    table_session.add_all([Page(path="/a", title="same"), Page(path="/b", title="same")])
    found = Page.get_one(table_session, path="/a")
    assert found.path == "/a"
    with pytest.raises(NoResultFound):
        Page.get_one(table_session, path="/c")
    with pytest.raises(MultipleResultsFound):
        Page.get_one(table_session, title="same")


def test_lookups_match_null_and_related_objects(table_session: Session) -> None:
    page, _ = Page.get_or_create(table_session, path="/", title=None)
    assert Page.get_one(table_session, title=None) is page
    link, _ = Link.get_or_create(table_session, page=page, target="x")
    assert Link.get_one(table_session, page=page) is link
    assert Page.get_one(table_session, path=func.lower("/")) is page


def test_pending_changes_are_found_and_kept_without_autoflush(
    table_session: Session,
) -> None:
    page, _ = Page.get_or_create(table_session, path="/")
    with table_session.no_autoflush:
        page.title = "changed"
        assert Page.get_one(table_session, path="/", title="changed") is page
    assert page.title == "changed"


def test_a_returned_object_has_the_values_of_its_row(table_session: Session) -> None:
    page, _ = Page.get_or_create(table_session, path="/", title="before")
    statement = update(Page).values(title="elsewhere")
    for find in (Page.get_one, Page.get_or_create, Page.update_or_create):
        page.title = "in memory"
        table_session.flush()
        table_session.execute(statement, execution_options={"synchronize_session": False})
        find(table_session, path="/")
        assert page.title == "elsewhere"


def test_columns_may_have_the_names_of_parameters(table_session: Session) -> None:
    word, created = Word.get_or_create(table_session, model="m", pk="p", session="s")
    assert created
    assert Word.get_one(table_session, model="m", pk="p", session="s", defaults=None) is word
    assert get_one(table_session, Word, model="m") is word
    for find in (Word.get_or_create, Word.update_or_create):
        again, created = find(table_session, model="m", defaults__exact=None)
        assert (again, created) == (word, False)


def test_unknown_names_are_refused_before_any_statement(table_session: Session) -> None:
    message = "Page has no attribute 'pth'; it has: .*path"
    with pytest.raises(TypeError, match=message):
        Page.get_one(table_session, pth="/")
    with pytest.raises(TypeError, match=message):
        Page.get_or_create(table_session, {"pth": "/"}, path="/")
    with pytest.raises(TypeError, match=message):
        Page.update_or_create(table_session, create_defaults={"pth": "/"}, path="/")
    assert not table_session.in_transaction()


def test_get_or_create_uses_defaults_for_a_new_row_only(table_session: Session) -> None:
    calls = []

    def title() -> str:
        calls.append("called")
        return "new"

    page, created = Page.get_or_create(table_session, {"title": title}, path="/")
    assert (created, page.title) == (True, "new")
    again, created = Page.get_or_create(table_session, {"title": title}, path="/")
    assert (created, again) == (False, page)
    assert calls == ["called"]


def test_update_or_create_updates_or_creates(table_session: Session) -> None:
    page, created = Page.update_or_create(table_session, {"title": "first"}, path="/")
    assert (created, page.title) == (True, "first")
    same, created = Page.update_or_create(table_session, {"title": "second"}, path="/")
    assert (created, same, page.title) == (False, page, "second")


def test_update_or_create_distinguishes_empty_create_defaults_from_none(
    table_session: Session,
) -> None:
    page, _ = Page.update_or_create(table_session, {"title": "t"}, {}, path="/a")
    assert page.title is None
    page, _ = Page.update_or_create(table_session, {"title": "t"}, {"title": "c"}, path="/b")
    assert page.title == "c"


def test_update_or_create_takes_sql_expressions(table_session: Session) -> None:
    Page.get_or_create(table_session, path="/")
    visits = {"visits": Page.visits + 1}
    page, _ = Page.update_or_create(table_session, visits, path="/")
    page, _ = Page.update_or_create(table_session, visits, path="/")
    assert page.visits == 2


def test_what_a_model_loads_along_is_there(tables: DatabaseManager) -> None:
    with tables.Session.begin() as session:
        session.add(Page(path="/", links=[Link(target="x")]))
    with tables.Session() as session:
        link = Link.get_one(session, target="x")
        assert link.page.path == "/"
    with tables.Session() as session:
        link, _ = Link.update_or_create(session, target="x")
        assert link.page.path == "/"


def test_the_functions_serve_classes_without_our_base(table_session: Session) -> None:
    page, created = get_or_create(table_session, PlainPage, path="/")
    assert created
    page, created = update_or_create(table_session, PlainPage, {"title": "x"}, path="/")
    assert not created
    found = get_by_pk(table_session, PlainPage, inspect(page, raiseerr=True).identity)
    assert found is page


def test_a_broken_constraint_raises_and_leaves_earlier_work(
    table_session: Session,
) -> None:
    Page.get_or_create(table_session, path="/")
    with pytest.raises(IntegrityError):
        Page.get_or_create(table_session, {"path": "/"}, title="no such title")
    assert count(table_session) == 1
    table_session.commit()


def test_of_concurrent_callers_one_creates_the_row(tables: DatabaseManager) -> None:
    def create(number: int) -> bool:
        with tables.Session.begin() as session:
            Word.get_or_create(session, model="earlier work", pk=str(number))
            _, created = Page.get_or_create(session, path=f"/{number // 32}")
            return created

    results = run_concurrently(create, range(64))
    assert results.count(True) == 2
    with tables.Session() as session:
        assert count(session) == 2
        words = session.scalars(select(func.count()).select_from(Word))
        assert words.one() == 64


def test_concurrent_updates_are_all_kept(tables: DatabaseManager) -> None:
    def visit(number: int) -> None:
        with tables.Session.begin() as session:
            page, _ = Page.update_or_create(session, path="/")
            page.visits += 1

    run_concurrently(visit, range(50))
    with tables.Session() as session:
        page = Page.get_one(session, path="/")
        assert page.visits == 50
