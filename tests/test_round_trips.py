"""How often the layer waits for PostgreSQL, counted on the wire: the same on every machine."""

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from .support.services import Request, Service, opened, settle
from .support.wire import Wire, counting_proxy

pytestmark = pytest.mark.slow

# For as long as a test takes, no connection is tested because it was idle.
NEVER = {"pre_ping_after": 600}
# What a session with one query costs.
TRIPS = {"Session": 3, "ReadSession": 1}
# What it costs to test a connection. asyncpg does so in a transaction, unless in autocommit mode.
TEST_TRIPS = {
    ("asyncpg", "Session"): 3,
    ("asyncpg", "ReadSession"): 1,
    ("psycopg", "Session"): 1,
    ("psycopg", "ReadSession"): 1,
    ("psycopg2", "Session"): 1,
    ("psycopg2", "ReadSession"): 1,
}


@pytest.fixture(scope="module")
def wire(postgres: str, rendered: Mapping[str, Path]) -> Iterator[Wire]:
    """The way to an up-to-date database with one user."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("CREATE DATABASE round_trips")
    service = Service("psycopg", rendered)
    with counting_proxy(f"{postgres.rsplit('/', 1)[0]}/round_trips") as wire:
        service.use(wire.url, lambda manager: settle(manager.create()))
        service.use(wire.url, lambda manager: write(service, manager, "ada"))
        yield wire


def write(service: Service, manager: Any, name: str | None = None) -> None:
    """Run a transaction with one statement."""
    session = manager.Session()
    session.add(service.module("models").User(name=name or uuid4().hex))
    settle(session.commit())
    settle(session.close())


def read(service: Service, manager: Any, factory: str = "ReadSession") -> None:
    """Run a session with one `get_one`."""
    session = getattr(manager, factory)()
    user = settle(service.module("models").User.get_one(session, name="ada"))
    assert user is not None
    settle(session.close())


def test_a_read_session_with_one_query_is_one_round_trip(service: Service, wire: Wire) -> None:
    def work(manager: Any) -> None:
        read(service, manager)
        for _ in range(3):
            with wire.expect(1):
                read(service, manager)

    service.use(wire.url, work, **NEVER)


def test_a_transaction_with_one_statement_is_three_round_trips(
    service: Service, wire: Wire
) -> None:
    def work(manager: Any) -> None:
        # psycopg prepares a statement when it is executed for the sixth time.
        for _ in range(6):
            write(service, manager)
        for _ in range(3):
            with wire.expect(3):
                write(service, manager)

    service.use(wire.url, work, **NEVER)


def test_to_ask_an_up_to_date_database_for_its_status_is_at_most_two(
    service: Service, wire: Wire
) -> None:
    def work(manager: Any) -> None:
        read(service, manager)
        for ask in (lambda: manager.get_status(reread=False), manager.explain):
            settle(ask())
            before = wire.round_trips
            settle(ask())
            assert 1 <= wire.round_trips - before <= 2

    service.use(wire.url, work, **NEVER)


@pytest.mark.parametrize("factory", ["Session", "ReadSession"])
def test_a_connection_that_has_been_idle_is_tested_once(
    service: Service, wire: Wire, factory: str
) -> None:
    def work(manager: Any) -> None:
        read(service, manager, factory)
        read(service, manager, factory)
        time.sleep(0.1)
        with wire.expect(TRIPS[factory] + TEST_TRIPS[service.driver, factory]):
            read(service, manager, factory)

    service.use(wire.url, work, pre_ping_after=0.05)


@pytest.mark.parametrize("factory", ["Session", "ReadSession"])
def test_after_a_crowd_one_of_its_connections_is_tested_and_used_again(
    service: Service, wire: Wire, factory: str
) -> None:
    def work(manager: Any) -> None:
        find = service.module("models").User.get_one
        sessions = [getattr(manager, factory)() for _ in range(4)]
        # psycopg prepares a statement when it is executed for the sixth time.
        for session in sessions * 6:
            settle(find(session, name="ada"))
        for session in sessions:
            settle(session.close())
        time.sleep(0.6)
        with wire.expect(TRIPS[factory] + TEST_TRIPS[service.driver, factory]):
            read(service, manager, factory)
        for _ in range(4):
            with wire.expect(TRIPS[factory]):
                read(service, manager, factory)

    service.use(wire.url, work, pre_ping_after=0.5)


@pytest.mark.parametrize("factory", ["Session", "ReadSession"])
def test_at_zero_a_connection_is_tested_always(service: Service, wire: Wire, factory: str) -> None:
    def work(manager: Any) -> None:
        read(service, manager, factory)
        read(service, manager, factory)
        for _ in range(3):
            with wire.expect(TRIPS[factory] + TEST_TRIPS[service.driver, factory]):
                read(service, manager, factory)

    service.use(wire.url, work, pre_ping_after=0)


def test_a_get_request_is_one_round_trip_and_a_health_check_at_most_two(
    service: Service, wire: Wire
) -> None:
    def work(request: Request) -> None:
        for path, most in (("/users/1", 1), ("/users", 1), ("/readyz", 2)):
            assert request("GET", path) == 200
            before = wire.round_trips
            assert request("GET", path) == 200
            assert 1 <= wire.round_trips - before <= most, path

    service.serve(wire.url, work, **NEVER)


def test_a_post_request_is_three_round_trips(service: Service, wire: Wire) -> None:
    def work(request: Request) -> None:
        for _ in range(6):
            assert request("POST", "/users", {"name": uuid4().hex}) == 201
        with wire.expect(3):
            assert request("POST", "/users", {"name": uuid4().hex}) == 201

    service.serve(wire.url, work, **NEVER)


# What an operation costs within a transaction.
OPERATIONS: dict[str, tuple[int, Callable[[Any, Any, str], Any]]] = {
    "get_one": (1, lambda User, session, new: User.get_one(session, name="ada")),
    "get_by_pk": (1, lambda User, session, new: User.get_by_pk(session, 1)),
    "get_or_create, row exists": (1, lambda User, s, new: User.get_or_create(s, name="ada")),
    "get_or_create, new row": (2, lambda User, s, new: User.get_or_create(s, name=new)),
    "update_or_create, row exists": (
        2,
        lambda User, s, new: User.update_or_create(s, {"full_name": new}, name="ada"),
    ),
    "update_or_create, new row": (
        2,
        lambda User, s, new: User.update_or_create(s, {"full_name": new}, name=new),
    ),
    "get_or_create, new row, with a savepoint": (
        4,
        lambda User, s, new: User.get_or_create(s, {"full_name": lambda: "x"}, name=new),
    ),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_in_a_transaction_makes_so_many_round_trips(
    service: Service, wire: Wire, name: str
) -> None:
    trips, operation = OPERATIONS[name]

    def work(manager: Any) -> None:
        model = service.module("models").User
        with opened(manager.Session()) as session:
            # psycopg prepares a statement when it is executed for the sixth time.
            for _ in range(7):
                settle(operation(model, session, uuid4().hex))
            for _ in range(3):
                with wire.expect(trips):
                    settle(operation(model, session, uuid4().hex))

    service.use(wire.url, work, **NEVER)


# psycopg2 sends each row that returns nothing by itself.
@pytest.mark.parametrize("service", ["asyncpg", "psycopg-async", "psycopg"], indirect=True)
@pytest.mark.parametrize("returning", [True, False])
def test_upsert_many_makes_a_round_trip_a_batch(
    service: Service, wire: Wire, returning: bool
) -> None:
    def work(manager: Any) -> None:
        model = service.module("models").User

        def upsert() -> None:
            rows = [{"name": f"{number}", "full_name": uuid4().hex} for number in range(10_000)]
            with opened(manager.Session()) as session:
                settle(model.upsert_many(session, rows, on="name", returning=returning))
                settle(session.commit())

        upsert()
        before = wire.round_trips
        upsert()
        assert wire.round_trips - before <= 3 + 10

    service.use(wire.url, work, **NEVER)
