import sqlite3
import time
from pathlib import Path

import pytest
from sqlalchemy import URL, exc, insert, select, text, update
from sqlalchemy.orm import Session

from my_service.db import DatabaseManager, Failure, failure_of
from my_service.db.engine import make_engine

from ..concurrency import run_concurrently
from ..databases import MIGRATIONS
from .models import Page, TableBase


def visits(manager: DatabaseManager) -> int:
    with manager.Session() as session:
        page = Page.get_one(session, path="/")
        return page.visits


def count_a_visit(session: Session) -> None:
    """Read a row, then write a value that depends on it, which can lose updates."""
    found = session.execute(select(Page.id, Page.visits).where(Page.path == "/"))
    pk, seen = found.one()
    session.execute(update(Page).where(Page.id == pk).values(visits=seen + 1))


def test_a_unit_of_work_is_committed_or_leaves_no_trace(tables: DatabaseManager) -> None:
    def fail(session: Session) -> None:
        session.add(Page(path="/lost"))
        session.flush()
        raise KeyError

    def work(session: Session) -> str:
        page, _ = Page.get_or_create(session, path="/")
        return page.path

    with pytest.raises(KeyError):
        tables.run(fail)
    assert tables.run(work) == "/"
    with tables.Session() as session:
        paths = session.scalars(select(Page.path))
        assert paths.all() == ["/"]


def test_lost_transactions_are_run_again_with_a_new_session(
    tables: DatabaseManager,
) -> None:
    sessions = []

    def lose_twice(session: Session) -> int:
        sessions.append(session)
        if len(sessions) < 3:
            error = Exception()
            error.sqlite_errorname = "SQLITE_BUSY_SNAPSHOT"  # type: ignore[attr-defined]
            raise exc.OperationalError("", None, error)
        return len(sessions)

    assert tables.run(lose_twice) == 3
    assert len(set(sessions)) == 3
    sessions.clear()
    with pytest.raises(exc.OperationalError):
        tables.run(lose_twice, attempts=2)


def test_a_broken_constraint_is_tried_once_more_only(tables: DatabaseManager) -> None:
    attempts = []

    def duplicate(session: Session) -> None:
        attempts.append(session)
        session.add_all([Page(path="/"), Page(path="/")])

    with pytest.raises(exc.IntegrityError):
        tables.run(duplicate)
    assert len(attempts) == 2


def test_transactions_that_read_and_then_write_queue(tables: DatabaseManager) -> None:
    def visit(number: int) -> None:
        with tables.Session.begin() as session:
            count_a_visit(session)

    with tables.Session.begin() as session:
        session.add(Page(path="/"))
    run_concurrently(visit, range(50), workers=20)
    assert visits(tables) == 50


def test_who_waits_in_vain_for_another_writer_fails_and_leaves_no_lock(
    tables: DatabaseManager,
) -> None:
    def write(manager: DatabaseManager) -> None:
        with manager.Session.begin() as session:
            Page.get_or_create(session, path="/")

    url = tables.engine.url
    engine_args = {"busy_timeout": 0.05, "pool_timeout": 0.05}
    with DatabaseManager(url, MIGRATIONS, engine_args=engine_args) as manager:
        with manager.Session() as session:
            session.execute(select(Page.id))
            with pytest.raises(exc.TimeoutError, match=r"read with `manager\.Rea") as within:
                write(manager)
        other_process = sqlite3.connect(url.database or "")
        other_process.execute("BEGIN IMMEDIATE")
        with pytest.raises(exc.OperationalError) as without:
            write(manager)
        other_process.close()
        assert failure_of(within.value) is Failure.TIMEOUT
        assert failure_of(without.value) is Failure.TIMEOUT
        write(manager)


def test_autocommit_needs_no_commit(tables: DatabaseManager) -> None:
    autocommit = tables.engine.execution_options(isolation_level="AUTOCOMMIT")
    with autocommit.connect() as connection:
        connection.execute(insert(Page).values(path="/", visits=0))
    assert visits(tables) == 0


def test_a_reader_does_not_wait_for_a_writer(tables: DatabaseManager) -> None:
    reading = tables.read_engine
    with tables.Session.begin() as session:
        session.add(Page(path="/"))
        session.flush()
        with reading.connect() as connection:
            found = connection.execute(select(Page.path))
            assert found.all() == []


def test_what_is_set_for_sqlite_is_set_for_our_engines_only(tmp_path: Path) -> None:
    ours = make_engine(f"sqlite:///{tmp_path}/ours.db", {"busy_timeout": 1.5})
    network = make_engine(f"sqlite:///{tmp_path}/network.db", {"wal": False})
    for engine, expected in ((ours, (1, "wal", 1500)), (network, (1, "delete", 30000))):
        with engine.connect() as connection:
            for pragma, value in zip(
                ("foreign_keys", "journal_mode", "busy_timeout"),
                expected,
                strict=True,
            ):
                found = connection.execute(text(f"PRAGMA {pragma}"))
                assert found.scalar() == value
        engine.dispose()


def test_writers_are_served_in_turn(pages: DatabaseManager) -> None:
    served: list[int] = []
    waited: list[int] = []

    def write_often(number: int) -> None:
        for _ in range(8):
            before = len(served)
            with pages.Session.begin() as session:
                session.execute(update(Page).values(visits=number))
                time.sleep(0.001)
                waited.append(len(served) - before)
                served.append(number)

    run_concurrently(write_often, range(8))
    # Each of the others once, or twice if it queued faster.
    assert max(waited) <= 14


def test_sessions_take_turns_on_a_database_in_memory(tmp_path: Path) -> None:
    with DatabaseManager("sqlite://", tmp_path, base_model=TableBase) as manager:

        def visit(number: int) -> None:
            with manager.Session.begin() as session:
                count_a_visit(session)

        manager.create()
        with manager.Session.begin() as session:
            session.add(Page(path="/"))
        run_concurrently(visit, range(30), workers=20)
        assert visits(manager) == 30


def test_nul_characters_are_refused(table_session: Session) -> None:
    table_session.add(Page(path="nul\0"))
    with pytest.raises(ValueError, match="NUL"):
        table_session.flush()


def test_nul_characters_in_one_of_many_rows_are_refused(table_session: Session) -> None:
    rows = [{"path": "/"}, {"path": "nul\0"}]
    with pytest.raises(ValueError, match="NUL"):
        table_session.execute(insert(Page), rows)


def test_each_database_of_a_process_has_its_own_rows(
    tables: DatabaseManager,
    empty_url: URL,
) -> None:
    with DatabaseManager(empty_url, MIGRATIONS, base_model=TableBase) as other:
        with other.engine.begin() as connection:
            TableBase.metadata.create_all(connection)
        with tables.Session.begin() as session:
            Page.get_or_create(session, path="/here")
        with other.Session.begin() as session:
            Page.get_or_create(session, path="/there")
        for manager, path in ((tables, "/here"), (other, "/there")):
            with manager.Session() as session:
                paths = session.scalars(select(Page.path))
                assert paths.all() == [path]


def test_asking_for_the_status_leaves_open_sessions_alone(
    tables: DatabaseManager,
) -> None:
    with tables.Session() as session:
        page = Page(path="/")
        session.add(page)
        tables.get_status()
        assert page in session
        session.commit()
    assert visits(tables) == 0
