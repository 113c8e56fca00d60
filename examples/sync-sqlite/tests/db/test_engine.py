from pathlib import Path

import pytest
from sqlalchemy import URL, Engine, exc, text

from my_service.db import ConnectionFailed, DatabaseManager
from my_service.db.engine import make_engine

from .models import Link, Page


def ping(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))


def test_foreign_keys_are_enforced(tables: DatabaseManager) -> None:
    with tables.Session() as session:
        session.add(Link(page_id=1, target="nowhere"))
        with pytest.raises(exc.IntegrityError):
            session.commit()


def test_a_transaction_that_is_not_committed_leaves_no_trace(
    tables: DatabaseManager,
) -> None:
    with tables.engine.connect() as connection:
        connection.execute(text("CREATE TABLE half_done (id INTEGER)"))
        connection.rollback()
        connection.execute(text("CREATE TABLE half_done (id INTEGER)"))


def test_arguments_for_the_engine_are_used_and_left_as_they_are(empty_url: URL) -> None:
    engine_args = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 0.1}
    engine = make_engine(empty_url, engine_args)
    connection = engine.connect()
    with pytest.raises(exc.TimeoutError, match="another session was writing for"):
        ping(engine)
    connection.close()
    engine.dispose()
    assert engine_args == {"pool_size": 1, "max_overflow": 0, "pool_timeout": 0.1}


def test_an_unknown_argument_is_refused_with_the_name_that_is_near(empty_url: URL) -> None:
    with pytest.raises(ValueError, match=r"did you mean busy_timeout\?.*'bussy_timeout'"):
        make_engine(empty_url, {"bussy_timeout": 1})


def test_every_session_sees_the_same_data_in_memory(tmp_path: Path) -> None:
    with DatabaseManager("sqlite://", tmp_path) as manager:
        with manager.engine.begin() as connection:
            Page.metadata.create_all(connection)
        with manager.Session.begin() as session:
            session.add(Page(path="/"))
        with manager.Session() as session:
            assert Page.get_one(session, path="/")


@pytest.mark.parametrize("name", ["missing/file.db", "text.db"])
def test_a_database_that_cannot_be_opened_is_named_so(tmp_path: Path, name: str) -> None:
    Path("text.db").write_text("this is not a database " * 100)
    engine = make_engine(f"sqlite:///{tmp_path}/{name}")
    with pytest.raises(ConnectionFailed, match="could not connect"):
        ping(engine)
    engine.dispose()
