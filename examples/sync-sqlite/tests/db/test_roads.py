"""Sessions that may write beside sessions that only read."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, delete, event, exc, insert, select, text, update
from sqlalchemy.orm import Session

from my_service.db import SNAPSHOT, DatabaseManager, DatabaseStatus, ReadOnlyError

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


def visits(session: Session) -> int | None:
    return session.scalar(select(Page.visits).where(Page.path == "/"))


@pytest.mark.parametrize("statement", WRITES.values(), ids=WRITES)
def test_the_database_refuses_to_write_in_a_read_session(
    pages: DatabaseManager,
    statement: Any,
) -> None:
    with pages.ReadSession() as session:
        assert visits(session) == 0
        with pytest.raises(ReadOnlyError, match=r"manager\.Session"):
            session.execute(statement)
    with pages.ReadSession() as session:
        paths = session.execute(select(Page.path, Page.visits))
        assert paths.all() == [("/", 0)]
    visit(pages)


def test_a_flush_in_a_read_session_is_refused(pages: DatabaseManager) -> None:
    with pages.ReadSession() as session:
        session.add(Page(path="/new"))
        with pytest.raises(ReadOnlyError, match=r"manager\.Session"):
            session.flush()
    with pages.ReadSession() as session:
        page = Page.get_one(session, path="/")
        page.visits = 1
        with pytest.raises(ReadOnlyError, match=r"manager\.Session"):
            session.commit()
    visit(pages)


@pytest.mark.parametrize(
    "write",
    [
        lambda session: Page.get_or_create(session, path="/"),
        lambda session: Page.update_or_create(session, {"visits": 1}, path="/"),
        lambda session: Page.upsert_many(session, [{"path": "/", "visits": 1}], on="path"),
    ],
    ids=["get_or_create", "update_or_create", "upsert_many"],
)
def test_functions_that_write_refuse_a_read_session_before_any_sql(
    pages: DatabaseManager,
    write: Callable[[Session], object],
) -> None:
    statements = []
    event.listen(
        pages.read_engine,
        "before_cursor_execute",
        lambda *args: statements.append(args[2]),
    )
    with pages.ReadSession() as session:
        with pytest.raises(ReadOnlyError, match=r"manager\.Session"):
            write(session)
        assert statements == []
        assert Page.get_one(session, path="/")
    assert len(statements) == 1


def test_rows_are_looked_up_in_a_read_session(pages: DatabaseManager) -> None:
    with pages.ReadSession() as session:
        page = Page.get_one(session, path="/")
        assert Page.get_by_pk(session, page.id) is page


def test_each_statement_of_a_read_session_sees_what_is_committed(
    pages: DatabaseManager,
) -> None:
    with pages.ReadSession() as session:
        assert visits(session) == 0
        visit(pages)
        assert visits(session) == 1


def test_a_snapshot_does_not_change_while_others_write(pages: DatabaseManager) -> None:
    with pages.ReadSession() as session:
        session.connection(execution_options=SNAPSHOT)
        assert visits(session) == 0
        visit(pages)
        assert visits(session) == 0
        with pytest.raises(ReadOnlyError):
            session.execute(delete(Page))
    with pages.ReadSession() as session:
        assert visits(session) == 1


def read_by_streaming(session: Session) -> list[str]:
    paths = select(Page.path).execution_options(yield_per=10)
    return [*session.scalars(paths)]


def test_rows_are_streamed_from_a_snapshot(pages: DatabaseManager) -> None:
    with pages.ReadSession() as session:
        session.connection(execution_options=SNAPSHOT)
        assert read_by_streaming(session) == ["/"]


def test_read_sessions_go_to_the_read_url_and_others_do_not(
    pages: DatabaseManager,
    empty_url: URL,
) -> None:
    engine_args = {"read_url": pages.engine.url}
    with DatabaseManager(empty_url, MIGRATIONS, engine_args=engine_args) as manager:
        with manager.engine.begin() as connection:
            TableBase.metadata.create_all(connection)
        with manager.Session.begin() as session:
            session.add(Page(path="/primary"))
        for make_session, path in ((manager.Session, "/primary"), (manager.ReadSession, "/")):
            with make_session() as session:
                paths = session.scalars(select(Page.path))
                assert paths.all() == [path]


def test_a_task_may_hold_several_read_sessions_and_a_writer(
    pages: DatabaseManager,
) -> None:
    with pages.ReadSession() as one, pages.ReadSession() as other:
        assert visits(one) == visits(other) == 0
        visit(pages)
        with pages.Session.begin() as writer:
            assert visits(writer) == 1
            writer.execute(update(Page).values(visits=7))
            assert visits(one) == visits(other) == 1
        assert visits(one) == visits(other) == 7


def test_asking_for_the_status_does_not_wait_for_a_writer(
    pages: DatabaseManager,
) -> None:
    with pages.Session() as writer:
        writer.execute(update(Page).values(visits=1))
        assert pages.get_status() is DatabaseStatus.UP_TO_DATE
        assert pages.get_current_revision() == pages.get_latest_revision()
        writer.commit()
    visit(pages)


def test_a_second_writer_of_a_task_fails_and_the_error_says_what_to_do(
    pages: DatabaseManager,
) -> None:
    engine_args = {"pool_timeout": 0.1}
    with DatabaseManager(
        pages.engine.url,
        MIGRATIONS,
        engine_args=engine_args,
    ) as manager:
        with manager.Session() as session:
            session.execute(update(Page).values(visits=1))
            with pytest.raises(exc.TimeoutError, match=r"pass that session.*manager\.ReadSession"):
                visit(manager)
            session.commit()
        visit(manager)


def test_a_read_session_in_memory_reads_what_is_written_and_cannot_write(
    tmp_path: Path,
) -> None:
    with DatabaseManager("sqlite://", tmp_path, base_model=TableBase) as manager:
        manager.create()
        with manager.Session.begin() as session:
            session.add(Page(path="/", visits=0))
        with manager.ReadSession() as session:
            assert visits(session) == 0
            for statement in WRITES.values():
                with pytest.raises(ReadOnlyError):
                    session.execute(statement)
        visit(manager)
        with manager.ReadSession() as session:
            assert visits(session) == 1
