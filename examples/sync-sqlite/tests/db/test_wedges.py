"""After any misuse of a session, the next write takes less than a second."""

import os
import signal
import sqlite3
import time
from pathlib import Path

import pytest
from sqlalchemy import QueuePool, exc, select
from sqlalchemy.orm import Session

from my_service.db import ConnectionFailed, DatabaseManager

from ..concurrency import run_concurrently
from .models import Page, TableBase, visit

both_roads = pytest.mark.parametrize("road", ["Session", "ReadSession"])


def assert_nothing_is_locked(manager: DatabaseManager, migrations: Path) -> None:
    """Write with the manager, and with one that shares nothing with it, as another process does.

    Each of them fails when it has waited for a second; see the fixture `pages`.
    """
    with DatabaseManager(
        manager.engine.url,
        migrations,
        engine_args={"busy_timeout": 1},
        base_model=TableBase,
    ) as other:
        visit(other)
        visit(manager)
        visit(other)
    for engine in (manager.engine, manager.read_engine):
        assert isinstance(engine.pool, QueuePool)
        assert engine.pool.checkedout() == 0


@both_roads
def test_a_session_used_after_its_end_raises_at_once(
    pages: DatabaseManager,
    migrations: Path,
    road: str,
) -> None:
    with getattr(pages, road)() as session:
        page = Page.get_one(session, path="/")
    with pytest.raises(exc.InvalidRequestError, match="permanently closed"):
        session.execute(select(Page))
    with pytest.raises(exc.InvalidRequestError, match="permanently closed"):
        session.add(page)
    with pytest.raises(exc.InvalidRequestError, match="permanently closed"):
        session.commit()
    assert_nothing_is_locked(pages, migrations)


@both_roads
def test_a_session_that_is_dropped_without_being_closed_locks_nothing(
    pages: DatabaseManager,
    migrations: Path,
    road: str,
) -> None:
    def read() -> list[str]:
        found = getattr(pages, road)().scalars(select(Page))
        return [page.path for page in found]

    with pytest.warns(ResourceWarning, match="a session was not closed"):
        assert read() == ["/"]
    assert_nothing_is_locked(pages, migrations)


def test_what_a_dropped_session_has_written_is_rolled_back(
    pages: DatabaseManager,
    migrations: Path,
) -> None:
    def write() -> None:
        session = pages.Session()
        page = Page.get_one(session, path="/")
        page.visits = 7
        with session.begin_nested():
            session.add(Page(path="/dropped"))

    with pytest.warns(ResourceWarning, match="a session was not closed"):
        write()
    assert_nothing_is_locked(pages, migrations)
    with pages.ReadSession() as session:
        found = session.execute(select(Page.path, Page.visits))
        assert found.all() == [("/", 3)]


def test_a_failed_flush_leaves_nothing_behind(
    pages: DatabaseManager,
    migrations: Path,
) -> None:
    def write(session: Session) -> None:
        session.add_all([Page(path="/"), Page(path="/new")])
        session.flush()

    with pages.Session() as session:
        with pytest.raises(exc.IntegrityError):
            write(session)
        session.rollback()
        session.add(Page(path="/second"))
        session.commit()
        with pytest.raises(exc.IntegrityError):
            write(session)

    assert_nothing_is_locked(pages, migrations)
    with pages.ReadSession() as session:
        paths = session.scalars(select(Page.path).order_by(Page.path))
        assert paths.all() == ["/", "/second"]


def write_and_dispose(manager: DatabaseManager) -> None:
    with manager:
        visit(manager)


def fork(manager: DatabaseManager) -> int:
    """Write in a child process, and return its exit code: 0 for a success, 1 for an error."""
    pid = os.fork()
    if not pid:
        status = 1
        signal.alarm(10)
        try:
            write_and_dispose(manager)
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


# A driver may have a thread for each connection.
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_child_process_and_its_parent_both_write(
    pages: DatabaseManager,
    migrations: Path,
) -> None:
    with pages.ReadSession() as session:
        session.execute(select(Page))
        assert fork(pages) == 0
        session.execute(select(Page))
    engine_args = {"busy_timeout": 0.1}
    with (
        DatabaseManager(pages.engine.url, migrations, engine_args=engine_args) as manager,
        manager.Session.begin() as session,
    ):
        session.add(Page(path="/parent"))
        session.flush()
        # Because SQLite refuses writes of a child that was forked within a transaction.
        assert fork(manager) == 1
    assert_nothing_is_locked(pages, migrations)
    with pages.ReadSession() as session:
        assert Page.get_one(session, path="/parent")


def test_another_process_that_reads_for_long_stops_no_writer(
    pages: DatabaseManager,
    migrations: Path,
) -> None:
    reader = sqlite3.connect(pages.engine.url.database or "", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM layer_test_pages").fetchall()
    assert_nothing_is_locked(pages, migrations)
    reader.close()


def test_who_queues_behind_a_connection_that_cannot_be_opened_does_not_wait(
    tmp_path: Path,
) -> None:
    path = tmp_path / "text.db"
    path.write_text("this is not a database " * 100)
    started = time.monotonic()
    with DatabaseManager(f"sqlite:///{path}", tmp_path) as manager:

        def fail(number: int) -> None:
            with pytest.raises(ConnectionFailed):
                visit(manager)

        run_concurrently(fail, range(4))
    # `pool_timeout` is 30 seconds.
    assert time.monotonic() - started < 15
