"""A row of plain values is inserted without a savepoint; other rows are flushed within one."""

from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import event, exc, func, literal
from sqlalchemy.orm import Session, column_property, deferred, synonym, validates

from my_service.db import DatabaseManager, get_or_create, update_or_create

from .models import (
    Item,
    Limited,
    Link,
    Note,
    Page,
    PlainBase,
    PlainLink,
    PlainPage,
    Shelf,
    Versioned,
    Word,
)

TABLE = Page.__table__
UID = uuid4()


class Initialized(PlainBase):
    __table__ = TABLE

    def __init__(self, **values: Any) -> None:
        super().__init__(**values, title="by the model")


class Validated(PlainBase):
    __table__ = TABLE

    @validates("path")
    def shorten(self, name: str, value: str) -> str:
        self.title = "by the model"
        return value


class Listening(PlainBase):
    __table__ = TABLE


class Loading(PlainBase):
    __table__ = TABLE


class Starting(PlainBase):
    __table__ = TABLE


class Inherited(PlainBase):
    __table__ = TABLE
    __mapper_args__ = {"polymorphic_on": "title", "polymorphic_identity": "by the model"}  # noqa: RUF012


class Computed(PlainBase):
    __table__ = TABLE
    sum = column_property(TABLE.c.visits + 1)


class Synonymous(PlainBase):
    __table__ = TABLE
    name = synonym("title")


class Deferred(PlainBase):
    __table__ = TABLE
    title = deferred(TABLE.c.title)


def set_title(mapper: object, connection: object, target: Any) -> None:
    target.title = "by the model"


def set_attribute(target: Any, *args: object) -> None:
    target.seen = True


event.listen(Listening, "before_insert", set_title)
event.listen(Loading, "load", set_attribute)
event.listen(Starting, "init", set_attribute)


@pytest.fixture
def savepoints(tables: DatabaseManager) -> list[object]:
    """The savepoints that have been set."""
    found: list[object] = []
    event.listen(tables.engine, "savepoint", lambda *args: found.append(args))
    return found


@pytest.mark.parametrize(
    ("model", "attrs", "expected"),
    [
        (Page, {"path": "/"}, {"title": None, "visits": 0}),
        (Page, {"path": "/", "title": "t", "visits": None}, {"title": "t", "visits": 0}),
        (PlainPage, {"path": "/"}, {"visits": 0}),
        (Word, {"model": "m", "pk": "p"}, {"session": None}),
        (Item, {"note": "n"}, {"visits": 0, "updated_at": None}),
    ],
)
def test_a_row_of_plain_values_takes_no_savepoint(
    table_session: Session,
    savepoints: list[object],
    model: type[Any],
    attrs: dict[str, Any],
    expected: dict[str, Any],
) -> None:
    for create in (get_or_create, update_or_create):
        row, created = create(table_session, model, **attrs)
        assert created
        assert row in table_session
        assert {name: getattr(row, name) for name in {**expected}} == expected
        assert get_or_create(table_session, model, **{**attrs, **expected}) == (row, False)
        table_session.rollback()
        assert get_or_create(table_session, model, **attrs) != (row, False)
        table_session.rollback()
    assert savepoints == []


@pytest.mark.parametrize(
    ("model", "defaults", "expected"),
    [
        (Initialized, {}, {"title": "by the model"}),
        (Validated, {}, {"title": "by the model"}),
        (Listening, {}, {"title": "by the model"}),
        (Inherited, {}, {"title": "by the model"}),
        (Starting, {}, {"seen": True}),
        (Loading, {}, {"title": None}),
        (Computed, {}, {"sum": 1}),
        (Synonymous, {"name": "x"}, {"title": "x"}),
        (Deferred, {"title": "t"}, {"title": "t"}),
        (Page, {"title": lambda: "called"}, {"title": "called"}),
        (Page, {"title": func.upper("x")}, {"title": "X"}),
        (Page, {"visits": literal(1) + 1}, {"visits": 2}),
    ],
)
def test_what_a_flush_does_is_done(
    table_session: Session,
    savepoints: list[object],
    model: type[Any],
    defaults: dict[str, Any],
    expected: dict[str, Any],
) -> None:
    row, created = get_or_create(table_session, model, defaults, path="/")
    assert created
    assert {name: getattr(row, name) for name in expected} == expected
    assert len(savepoints) == 1


def test_models_whose_rows_need_more_are_flushed(
    table_session: Session,
    savepoints: list[object],
) -> None:
    page, _ = Page.get_or_create(table_session, path="/")
    assert savepoints == []
    values: list[tuple[type[Any], dict[str, Any]]] = [
        (Link, {"page": page, "target": "object"}),
        (PlainLink, {"page_id": page.id, "target": "foreign key"}),
        (Limited, {"size": 1}),
        (Shelf, {"name": "loads its books along"}),
        (Item, {"note": "JSON's null", "meta": None}),
        (Versioned, {"name": "has a version", "version": 1}),
        (Note, {"name": "is a dataclass"}),
    ]
    for number, (model, attrs) in enumerate(values):
        _, created = get_or_create(table_session, model, **attrs)
        assert (created, len(savepoints)) == (True, number + 1)
    link = Link(target="a value of a relationship")
    page, _ = Page.get_or_create(table_session, {"links": [link]}, path="/links")
    assert link.page_id == page.id


def test_a_session_with_listeners_flushes(
    table_session: Session,
    savepoints: list[object],
) -> None:
    flushed = []

    def listen(session: Any) -> None:
        event.listen(session, "before_flush", lambda *args: flushed.append(list(session.new)))

    listen(table_session)
    page, _ = Page.get_or_create(table_session, path="/")
    assert flushed == [[page]]
    assert len(savepoints) == 1


def test_rows_of_a_savepoint_that_is_rolled_back_are_forgotten(
    table_session: Session,
) -> None:
    with table_session.begin_nested() as savepoint:
        page, _ = Page.get_or_create(table_session, path="/")
        savepoint.rollback()
    assert page not in table_session
    assert table_session.get(Page, page.id) is None


@pytest.mark.parametrize(
    ("model", "attrs"),
    [
        (PlainLink, {"page_id": 999, "target": "no such page"}),
        (PlainLink, {"target": "no page"}),
        (Limited, {"size": 10}),
        (Page, {"title": "no path"}),
        (Item, {"uid": UID, "note": "the key of another"}),
    ],
)
def test_the_transaction_goes_on_after_a_row_that_is_refused(
    table_session: Session,
    model: type[Any],
    attrs: dict[str, Any],
) -> None:
    item, _ = Item.get_or_create(table_session, uid=UID, note="earlier work")
    for create in (get_or_create, update_or_create):
        with pytest.raises(exc.DBAPIError):
            create(table_session, model, **attrs)
    table_session.commit()
    assert Item.get_one(table_session, note="earlier work") is item
