"""Keys of many types, columns that change by themselves, and iterables of any size."""

import tracemalloc
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import event, func, inspect, select
from sqlalchemy.orm import Session, column_property

from my_service.db import DatabaseManager, is_sqlite, upsert_many

from ..concurrency import run_concurrently
from .models import Item, Kind, Page, PlainBase, Shelf, Versioned


class Inherited(PlainBase):
    __table__ = Page.__table__
    __mapper_args__ = {"polymorphic_on": "title", "polymorphic_identity": "by the model"}  # noqa: RUF012


class Renamed(PlainBase):
    __table__ = Page.__table__
    name = Page.__table__.c.path


class Computed(PlainBase):
    __table__ = Page.__table__
    loud = column_property(func.upper(Page.__table__.c.path))


KEYS: dict[str, list[Any]] = {
    "kind": [Kind.BLUE, Kind.GREEN, Kind.RED],
    "uid": [uuid.UUID(int=number) for number in range(3)],
    "amount": [Decimal("1.25"), Decimal("9"), Decimal("10")],
    "path": ["/A", "/b", "/c"],
    "id": [2, 9, 10],
}


@pytest.mark.parametrize("name", KEYS)
def test_a_key_may_be_of_any_type(table_session: Session, name: str) -> None:
    for visits in (1, 2):
        rows = [{name: value, "visits": visits} for value in (*KEYS[name], KEYS[name][0])]
        result = Item.upsert_many(table_session, reversed(rows), on=name)
        assert [getattr(item, name) for item, _ in result] == KEYS[name]
        assert {item.visits for item, _ in result} == {visits}


def test_keys_of_any_type_do_not_deadlock(tables: DatabaseManager) -> None:
    def write(number: int) -> None:
        rows = [{"kind": kind, "visits": number} for kind in Kind]
        with tables.Session.begin() as session:
            for _ in range(5):
                Item.upsert_many(session, rows[:: 1 if number % 2 else -1], on="kind")

    run_concurrently(write, range(16), workers=16)


def test_keys_that_are_equal_in_the_database_only_are_refused(
    table_session: Session,
) -> None:
    rows = [{"path": path} for path in ("/A", "/a")]
    with pytest.raises(ValueError, match="write them alike"):
        Item.upsert_many(table_session, rows, on="path")


@pytest.mark.parametrize("returning", [True, False])
@pytest.mark.parametrize("model", [Page, Inherited, Renamed])
def test_a_row_has_the_values_that_its_model_adds(
    table_session: Session,
    model: type[Any],
    returning: bool,
) -> None:
    key = "name" if model is Renamed else "path"
    upsert_many(table_session, model, [{key: "/"}], on=key, returning=returning)
    found = table_session.execute(select(Page.path, Page.title, Page.visits))
    assert found.all() == [("/", "by the model" if model is Inherited else None, 0)]


@pytest.mark.parametrize("model", [Page, Inherited, Renamed, Computed])
def test_returned_objects_have_all_their_columns(
    table_session: Session,
    model: type[Any],
) -> None:
    key = "name" if model is Renamed else "path"
    [(row, _)] = upsert_many(table_session, model, [{key: "/a"}], on=key)
    assert not inspect(row).unloaded & {*inspect(model).column_attrs.keys()}
    assert getattr(row, "loud", "/A") == "/A"


@pytest.mark.parametrize("returning", [True, False])
def test_rows_with_and_without_none_are_written_by_one_statement(
    table_session: Session,
    returning: bool,
) -> None:
    day = datetime(2026, 1, 1)
    rows = [{"name": f"{number}", "opened_at": day if number % 2 else None} for number in range(6)]
    statements: list[str] = []
    engine = table_session.get_bind()
    event.listen(engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    Shelf.upsert_many(table_session, rows, on="name", returning=returning)
    assert len([statement for statement in statements if "INSERT" in statement]) == 1
    # The column has a default.
    found = table_session.execute(select(Shelf.opened_at).order_by(Shelf.name))
    assert found.scalars().all() == [None, day] * 3


@pytest.mark.parametrize("returning", [True, False])
def test_a_primary_key_of_none_is_generated_and_then_kept(
    table_session: Session,
    returning: bool,
) -> None:
    for visits in (1, 2):
        rows = ({"id": None, "path": f"/{number}", "visits": visits} for number in range(3))
        upsert_many(table_session, Page, rows, on="path", returning=returning, batch=2)
        found = table_session.execute(select(Page.id, Page.visits).order_by(Page.path))
        assert found.all() == [(1, visits), (2, visits), (3, visits)]


@pytest.mark.parametrize("ids", [(None, 1), (1, None)])
def test_either_all_rows_have_a_primary_key_or_none(
    table_session: Session,
    ids: tuple[int | None, int | None],
) -> None:
    rows = [{"id": pk, "path": f"/{pk}"} for pk in ids]
    with pytest.raises(ValueError, match=r"(a value for|no None in) id"):
        upsert_many(table_session, Page, rows, on="path")


def test_an_update_moves_columns_with_onupdate(table_session: Session) -> None:
    rows = [{"id": 1, "visits": 1}]
    [(item, _)] = Item.upsert_many(table_session, rows, on="id")
    assert item.updated_at is None
    Item.upsert_many(table_session, rows, on="id", update=[])
    assert item.updated_at is None
    seen: list[Any] = []
    for _ in range(2):
        Item.upsert_many(table_session, rows, on="id")
        seen.append(item.updated_at)
    assert datetime(2026, 1, 1, tzinfo=UTC) < seen[0] < seen[1]
    given = datetime(2026, 1, 1, tzinfo=UTC)
    Item.upsert_many(table_session, [{"id": 1, "updated_at": given}], on="id")
    assert item.updated_at == given


def test_a_version_is_not_bypassed(table_session: Session) -> None:
    rows = [{"name": "a", "title": "t"}]
    with pytest.raises(NotImplementedError, match=r"layer_test_versioned\.version"):
        Versioned.upsert_many(table_session, rows, on="name")
    for returning in (False, True):
        found = Versioned.upsert_many(
            table_session,
            rows,
            on="name",
            update=[],
            returning=returning,
        )
    assert [row.version for row, _ in found] == [1]


def numbers(stop: int) -> Iterator[dict[str, Any]]:
    for number in range(stop):
        yield {"path": f"/{number % 4_000}", "visits": number}


def test_any_number_of_rows_is_written_in_constant_memory(
    table_session: Session,
) -> None:
    options: dict[str, Any] = {"on": "path", "returning": False, "batch": 100}
    upsert_many(table_session, Page, numbers(200), **options)
    tracemalloc.start()
    upsert_many(table_session, Page, numbers(5_000), **options)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20
    found = table_session.execute(select(func.count(), func.max(Page.visits)))
    assert found.one() == (4_000, 4_999)


def test_the_last_row_wins_in_later_batches_too(table_session: Session) -> None:
    rows = [{"path": f"/{number % 3}", "visits": number} for number in range(10)]
    result = Page.upsert_many(table_session, iter(rows), on="path", batch=4)
    assert [(page.path, page.visits) for page, _ in result] == [("/0", 9), ("/1", 7), ("/2", 8)]
    known = not is_sqlite(table_session.get_bind())
    assert {created for _, created in result} == {True if known else None}
