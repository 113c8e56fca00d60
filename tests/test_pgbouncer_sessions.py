"""What sessions do through PgBouncer, by `?pgbouncer=true` alone, on servers that change."""

import enum
from collections.abc import Callable
from functools import partial
from typing import Any

import psycopg
import pytest
from sqlalchemy import JSON, Enum, Text, create_engine, delete, select, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from .support.services import Service, opened, settle

pytestmark = pytest.mark.slow

CALLERS = 32
KEYS = 10


class Base(DeclarativeBase):
    pass


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Thing(Base):
    """Types that asyncpg has to look up, or that it needs a codec for."""

    __tablename__ = "proxied_things"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    visits: Mapped[int] = mapped_column(default=0)
    document: Mapped[dict[str, Any]] = mapped_column(JSON)
    binary: Mapped[dict[str, Any]] = mapped_column(postgresql.JSONB)
    color: Mapped[Color] = mapped_column(Enum(Color, name="proxied_color"))
    colors: Mapped[list[Color]] = mapped_column(postgresql.ARRAY(Enum(Color, name="proxied_color")))
    words: Mapped[list[str]] = mapped_column(postgresql.ARRAY(Text))
    during: Mapped[Any] = mapped_column(postgresql.INT4RANGE)


def values(name: str, **others: Any) -> dict[str, Any]:
    return {
        **{"name": name, "visits": 0, "document": {"a": [1, None]}, "binary": {"b": "ö"}},
        **{"color": Color.BLUE, "colors": [Color.RED, Color.BLUE], "words": ["x", "y"]},
        "during": Range(1, 5),
        **others,
    }


@pytest.fixture
def things(direct_url: str) -> None:
    engine = create_engine(direct_url.replace("postgresql://", "postgresql+psycopg://"))
    Base.metadata.create_all(engine)
    engine.dispose()


def test_every_kind_of_value_is_written_and_read(
    service: Service, proxied_url: str, things: None
) -> None:
    db = service.module("db")

    def work(manager: Any) -> None:
        def upsert(number: int) -> int:
            rows = [values(f"{number} {name}", visits=number) for name in "ab"]
            with opened(manager.Session()) as session:
                # Twice, so that the second meets the rows of the first.
                for _ in range(2):
                    found = settle(db.upsert_many(session, Thing, rows, on="name"))
                assert [thing.color for thing, _ in found] == [Color.BLUE] * 2
                pid: int = settle(session.scalar(text("SELECT pg_backend_pid()")))
                settle(session.commit())
                return pid

        def read(number: int) -> None:
            with opened(manager.ReadSession()) as session:
                thing = settle(db.get_one(session, Thing, name=f"{number} a"))
                given = values(f"{number} a", visits=number)
                assert {name: getattr(thing, name) for name in given} == given

        servers = [pid for _ in range(5) for pid in service.at_once(12, upsert)]
        assert 1 < len({*servers}) <= 4
        for _ in range(5):
            service.at_once(12, read)

    service.use(proxied_url, work, pool_size=12)


def test_of_32_callers_for_each_key_one_creates_the_row_and_no_update_is_lost(
    service: Service, proxied_url: str, things: None
) -> None:
    db = service.module("db")

    def work(manager: Any) -> None:
        def create(key: int, number: int) -> bool:
            with opened(manager.Session()) as session:
                name = f"created {key}"
                _, created = settle(db.get_or_create(session, Thing, values(name), name=name))
                settle(session.commit())
                return bool(created)

        def count(key: int, number: int) -> bool:
            with opened(manager.Session()) as session:
                name = f"counted {key}"
                thing, created = settle(
                    db.update_or_create(session, Thing, {}, values(name), name=name)
                )
                thing.visits += 1
                settle(session.commit())
                return bool(created)

        for key in range(KEYS):
            for call in (create, count):
                assert sum(service.at_once(CALLERS, partial(call, key))) == 1
        with opened(manager.ReadSession()) as session:
            counted = select(Thing.visits).where(Thing.name.like("counted%"))
            assert settle(session.scalars(counted)).all() == [CALLERS] * KEYS

    service.use(proxied_url, work, pool_size=CALLERS)


def test_a_read_session_refuses_to_write(
    service: Service, proxied_url: str, direct_url: str, things: None
) -> None:
    db = service.module("db")

    def work(manager: Any) -> None:
        writes: list[Callable[[Any], Any]] = [
            lambda session: session.execute(text("DELETE FROM proxied_things")),
            lambda session: session.execute(delete(Thing)),
            lambda session: session.execute(text("CREATE TABLE more (id INTEGER)")),
            lambda session: db.upsert_many(session, Thing, [values("b")], on="name"),
        ]
        for write in writes:
            with opened(manager.ReadSession()) as session, pytest.raises(db.ReadOnlyError):
                settle(write(session))
        with opened(manager.ReadSession()) as session:
            session.add(Thing(**values("b")))
            with pytest.raises(db.ReadOnlyError):
                settle(session.flush())
        # What is set for one transaction is not left behind for those of others.
        for number in range(8):
            with opened(manager.ReadSession()) as session:
                settle(session.execute(select(Thing.id)))
            with opened(manager.Session()) as session:
                session.add(Thing(**values(f"a {number}")))
                settle(session.commit())

    service.use(proxied_url, work)
    with psycopg.connect(direct_url) as connection:
        assert connection.execute("SELECT count(*) FROM proxied_things").fetchone() == (8,)


def test_a_read_session_can_see_one_state_of_the_database(
    service: Service, proxied_url: str, direct_url: str, things: None
) -> None:
    db = service.module("db")

    def work(manager: Any) -> None:
        count = text("SELECT count(*) FROM proxied_things")
        with opened(manager.ReadSession()) as session, opened(manager.Session()) as other:
            settle(session.connection(execution_options=db.SNAPSHOT))
            assert settle(session.scalar(count)) == 0
            other.add(Thing(**values("a")))
            settle(other.commit())
            assert settle(session.scalar(count)) == 0
            with pytest.raises(db.ReadOnlyError):
                settle(session.execute(text("DELETE FROM proxied_things")))

    service.use(proxied_url, work)
