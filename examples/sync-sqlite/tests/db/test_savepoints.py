import pytest
from sqlalchemy import exc, inspect, select
from sqlalchemy.orm import Session

from .models import Link, Page


def paths(session: Session) -> list[str]:
    found = session.scalars(select(Page.path).order_by(Page.path))
    return list(found)


def break_a_constraint(session: Session) -> None:
    with pytest.raises(exc.IntegrityError):
        Page.get_or_create(session, {"path": "/"}, title="no such title")
    with pytest.raises(exc.IntegrityError):
        Page.update_or_create(session, {"path": "/"}, title="no such title")


def test_savepoints_undo_what_is_theirs_at_any_depth(table_session: Session) -> None:
    Page.get_or_create(table_session, path="/")
    for _ in range(2):
        with table_session.begin_nested() as outer:
            Page.get_or_create(table_session, path="/outer")
            break_a_constraint(table_session)
            with table_session.begin_nested() as inner:
                Page.get_or_create(table_session, path="/inner")
                with table_session.begin_nested():
                    Page.update_or_create(table_session, path="/innermost")
                    break_a_constraint(table_session)
                break_a_constraint(table_session)
                assert paths(table_session) == ["/", "/inner", "/innermost", "/outer"]
                inner.rollback()
            assert paths(table_session) == ["/", "/outer"]
            Page.get_or_create(table_session, path="/after")
            break_a_constraint(table_session)
            outer.rollback()
        assert paths(table_session) == ["/"]
        break_a_constraint(table_session)
    with table_session.begin_nested():
        Page.get_or_create(table_session, path="/kept")
        break_a_constraint(table_session)
    table_session.commit()
    assert paths(table_session) == ["/", "/kept"]


def test_a_broken_constraint_leaves_the_session_as_it_was(
    table_session: Session,
) -> None:
    page, _ = Page.get_or_create(table_session, path="/")
    page.title = "changed"
    pending = Page(path="/pending", links=[Link(target="x")])
    table_session.add(pending)
    break_a_constraint(table_session)
    assert (page.title, pending.path, pending.links[0].target) == ("changed", "/pending", "x")
    assert set(table_session) == {page, pending, pending.links[0]}
    assert all(inspect(kept, raiseerr=True).persistent for kept in table_session)
    table_session.commit()
    table_session.refresh(page)
    assert page.title == "changed"
    assert paths(table_session) == ["/", "/pending"]


def test_what_makes_up_a_new_row_may_create_others(table_session: Session) -> None:
    def create(path: str) -> Page:
        break_a_constraint(table_session)
        return Page.get_or_create(table_session, path=path)[0]

    Page.get_or_create(table_session, path="/")
    new = {"page": lambda: create("/new")}
    link, created = Link.get_or_create(table_session, new, target="x")
    assert (created, link.page.path) == (True, "/new")
    with pytest.raises(exc.IntegrityError):
        Link.get_or_create(table_session, {"page": lambda: create("/no"), "target": None}, id=2)
    assert paths(table_session) == ["/", "/new"]
