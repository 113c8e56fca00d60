"""A service on a cluster of three servers, while its leader changes, dies or freezes.

With `FAILOVER=folder` in the environment, what is counted is written there as JSON, for
`benchmarks/failover.py`.
"""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from uuid import uuid4

import pytest

from .support.cluster import Cluster, Node, running_cluster
from .support.haproxy import haproxy, unpack_haproxy
from .support.interpreter import unpack_python
from .support.layers import load
from .support.services import Service, settle
from .support.shared import Shared
from .support.traffic import CLIENTS, PAUSE, Traffic, Watch, longest_pause

pytestmark = pytest.mark.slow

LABELS = ("asyncpg", "psycopg")
# In seconds, beside what the cluster itself takes until it writes again. Other tests, which run in
# other processes, may take as much again.
ALLOWED = 4 if "PYTEST_XDIST_WORKER" in os.environ else 2


@dataclass
class Event:
    """Something that happens to the cluster."""

    name: str
    at: float
    until: float = 0


def switch_over(leader: Node) -> None:
    """Let another node lead, as soon as one has caught up."""
    deadline = time.monotonic() + 20
    while True:
        try:
            leader.switch_over()
        except HTTPError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
        else:
            return


class Trial:
    """A cluster, and the services on it."""

    def __init__(self, cluster: Cluster, traffics: list[Traffic], begun: float) -> None:
        self.cluster, self.traffics, self.begun = cluster, traffics, begun
        self.events: list[Event] = []
        self.watch = Watch(cluster, begun)

    def now(self) -> float:
        return time.monotonic() - self.begun

    @contextmanager
    def event(self, name: str) -> Iterator[None]:
        """Let something happen, and wait until everything succeeds again, without a restart."""
        event = Event(name, self.now())
        self.events.append(event)
        yield
        happened = self.now()

        def is_over() -> bool:
            since = self.now() - ALLOWED
            return since > happened and longest_pause(self.watch.written, since, self.now()) < 1

        self.cluster.wait_for(is_over)
        begun = self.now()
        time.sleep(2 * PAUSE)
        event.until = self.now()
        for traffic in self.traffics:
            assert max(traffic.failures, default=0) < begun, f"fails after: {name}"
            assert max(at for at, _ in traffic.written) > begun, f"does not write after: {name}"


@contextmanager
def traffic_on(
    cluster: Cluster, rendered: Mapping[str, Path], url: str, read_url: str
) -> Iterator[Trial]:
    """Let the clients of both services write and read."""
    services = [Service(label, rendered) for label in LABELS]
    services[0].use(cluster.leader().url, lambda manager: settle(manager.create()))
    with cluster.leader().connect() as connection:
        connection.execute("INSERT INTO users (name, created_at) VALUES ('first', now())")
    begun = time.monotonic()
    traffics = [Traffic(service, begun) for service in services]
    with ThreadPoolExecutor(len(services)) as executor:
        running = [executor.submit(traffic.run, url, read_url) for traffic in traffics]
        try:
            cluster.wait_for(lambda: all(len(traffic.written) > CLIENTS for traffic in traffics))
            trial = Trial(cluster, traffics, begun)
            yield trial
            trial.watch.ended = True
        finally:
            for traffic in traffics:
                traffic.stopped.set()
        for done in running:
            done.result()


def report(trial: Trial, mode: str) -> dict[str, int]:
    """Print what was counted, check it, and return the number of lost writes of each service."""
    with trial.cluster.leader().connect() as connection:
        kept = {name for [name] in connection.execute("SELECT name FROM users")}
    lost = {}
    for traffic in trial.traffics:
        assert traffic.unexpected == [], "\n".join(traffic.unexpected)
        for event in trial.events:
            pause = longest_pause([at for at, _ in traffic.written], event.at, event.until)
            own = longest_pause(trial.watch.written, event.at, event.until)
            failed = sum(event.at <= at <= event.until for at in traffic.failures)
            print(
                f"{mode}, {traffic.service.io}, {event.name}: {pause:.1f} s without writes"
                f" (cluster {own:.1f} s), {failed} answers 503"
            )
            assert pause <= own + ALLOWED
        names = {name for _, name in traffic.written}
        lost[traffic.service.io] = len(names - kept)
        print(f"{mode}, {traffic.service.io}: {len(names)} writes, {len(names - kept)} lost")
    if "FAILOVER" in os.environ:
        file = Path(os.environ["FAILOVER"], f"{mode}.json")
        file.write_text(json.dumps(as_json(trial, lost)))
    return lost


def as_json(trial: Trial, lost: dict[str, int]) -> dict[str, Any]:
    return {
        "events": [vars(event) for event in trial.events],
        "services": {t.service.io: t.counts for t in trial.traffics},
        "lost": lost,
    }


@pytest.fixture
def start(
    rendered: Mapping[str, Path], shared: Shared, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[bool], Cluster]]:
    postgres = load(rendered["sync-postgresql"] / "tests/postgres.py", "postgres_of_cluster")
    # Other users may enter this folder, but not pytest's.
    run = Path(os.environ["TMPDIR"])
    with ExitStack() as stack:

        def make_python() -> Path:
            return shared.make(str(run / "python"), unpack_python)

        def start(synchronous: bool) -> Cluster:
            folder = run / f"cluster-{uuid4().hex}"
            cluster = running_cluster(folder, postgres, make_python, synchronous=synchronous)
            return stack.enter_context(cluster)

        yield start


def test_with_synchronous_replication_nothing_acknowledged_is_lost(
    start: Callable[[bool], Cluster], rendered: Mapping[str, Path], shared: Shared
) -> None:
    """HAProxy leads to the leader, and past a frozen one."""
    binaries = shared.make("haproxy", unpack_haproxy)
    cluster = start(True)
    with haproxy(cluster, binaries) as (writing, reading):
        urls = (cluster.url(writing), cluster.url(reading))
        with traffic_on(cluster, rendered, *urls) as trial:
            leader = cluster.leader()
            with trial.event("switchover"):
                switch_over(leader)
            cluster.wait_until_whole()

            leader = cluster.leader()
            with trial.event("kill -9 of the machine"):
                leader.kill()
            leader.start()
            cluster.wait_until_whole()

            leader = cluster.leader()
            with trial.event("frozen machine"):
                leader.signal(signal.SIGSTOP)
            leader.signal(signal.SIGCONT)
            cluster.wait_until_whole()
            with trial.event("the frozen machine is back"):
                pass
    assert report(trial, "synchronous") == {"async": 0, "sync": 0}


def test_with_asynchronous_replication_the_service_goes_on_by_itself(
    start: Callable[[bool], Cluster], rendered: Mapping[str, Path]
) -> None:
    """The URL has all hosts, and reads prefer a replica."""
    cluster = start(False)
    url = cluster.url(cluster.hosts)
    urls = (f"{url}?target_session_attrs=read-write", f"{url}?target_session_attrs=prefer-standby")
    with traffic_on(cluster, rendered, *urls) as trial:
        lagging, gone = cluster.replicas()
        with trial.event("lagging replica"), lagging.connect() as connection:
            connection.execute("SELECT pg_wal_replay_pause()")
        with lagging.connect() as connection:
            connection.execute("SELECT pg_wal_replay_resume()")

        with trial.event("a replica is gone"):
            gone.kill()
        gone.start()
        cluster.wait_until_whole()

        leader = cluster.leader()
        with trial.event("switchover"):
            switch_over(leader)
        cluster.wait_until_whole()

        leader = cluster.leader()
        with trial.event("kill -9 of the server"):
            leader.kill_server()
    lost = report(trial, "asynchronous")
    # What had not reached the replica that leads now.
    assert max(lost.values()) < CLIENTS
