"""A server that goes and comes back costs no more than the transactions that were in flight."""

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType

import psycopg
import pytest
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from .layers import Driver, load

pytestmark = pytest.mark.slow

IN_FLIGHT, IDLE = 3, 4


class Restartable:
    """A server that can be stopped and started again on its data and its port."""

    def __init__(self, url: str, postgres: ModuleType) -> None:
        self.url, self.postgres = url, postgres
        with psycopg.connect(url) as connection:
            [folder] = connection.execute("SHOW data_directory").fetchone() or [""]
        self.data = Path(folder)
        self.process: subprocess.Popen[bytes] | None = None

    def stop(self) -> None:
        pid_file = self.data / "postmaster.pid"
        os.kill(int(pid_file.read_text().split()[0]), signal.SIGINT)
        while pid_file.exists():
            time.sleep(0.01)
        if self.process:
            self.process.wait()

    def start(self) -> None:
        with (self.data.parent / "log").open("ab") as log:
            self.process = subprocess.Popen(
                shlex.split((self.data / "postmaster.opts").read_text()),
                stdout=log,
                stderr=log,
                cwd=self.data,
                preexec_fn=self.postgres._end_with_parent,
                **self.postgres._unprivileged_account(),
            )
        while self.process.poll() is None:
            try:
                psycopg.connect(self.url).close()
            except psycopg.OperationalError:
                time.sleep(0.05)
            else:
                return
        pytest.fail("the server does not start again")


@pytest.fixture(scope="module")
def restartable(rendered: Mapping[str, Path]) -> Iterator[Restartable]:
    path = rendered["sync-postgresql"] / "tests/postgres.py"
    postgres = load(path, "postgres_that_restarts")
    with postgres.postgres_server() as url:
        server = Restartable(url, postgres)
        yield server
        if server.process:
            server.stop()


@pytest.fixture
def table(restartable: Restartable) -> Callable[[], int]:
    """Return a function that counts the rows of a table `kept`."""

    def count() -> int:
        with psycopg.connect(restartable.url) as connection:
            [found] = connection.execute("SELECT count(*) FROM kept").fetchone() or [0]
            return int(found)

    with psycopg.connect(restartable.url, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS kept")
        connection.execute("CREATE TABLE kept (id int)")
    return count


def insert(connection: Connection) -> None:
    connection.exec_driver_sql("INSERT INTO kept VALUES (1)")


@pytest.mark.parametrize("first", ["idle", "in flight"])
def test_after_a_restart_at_most_the_transactions_in_flight_fail(
    postgresql: Driver, restartable: Restartable, table: Callable[[], int], first: str
) -> None:
    def use_idle(engine: Engine) -> None:
        connections = [engine.connect() for _ in range(IDLE)]
        for connection in connections:
            insert(connection)
            connection.commit()
            connection.close()

    def use_in_flight(connections: list[Connection]) -> None:
        for connection in connections:
            with connection, pytest.raises(SQLAlchemyError) as raised:
                insert(connection)
            assert postgresql.errors.failure_of(raised.value).name == "DISCONNECTED"

    def work(engine: Engine) -> None:
        everything = [engine.connect() for _ in range(IN_FLIGHT + IDLE)]
        for connection in everything:
            insert(connection)
        for connection in everything[IN_FLIGHT:]:
            connection.commit()
            connection.close()
        restartable.stop()
        restartable.start()
        if first == "idle":
            use_idle(engine)
        use_in_flight(everything[:IN_FLIGHT])
        use_idle(engine)

    postgresql.use(restartable.url, work, pool_size=IN_FLIGHT + IDLE, max_overflow=IDLE)
    assert table() == IDLE * (3 if first == "idle" else 2)


def test_while_the_server_is_away_nothing_answers(
    postgresql: Driver, restartable: Restartable, table: Callable[[], int]
) -> None:
    def work(engine: Engine) -> None:
        with engine.begin() as connection:
            insert(connection)
        restartable.stop()
        with pytest.raises(postgresql.errors.ConnectionFailed) as raised:
            engine.connect()
        assert raised.value.failure.name == "UNREACHABLE"
        restartable.start()
        with engine.begin() as connection:
            insert(connection)

    postgresql.use(restartable.url, work)
    assert table() == 2
