"""Clients that write to a service and read from it, and count what they see."""

import asyncio
import threading
import time
import traceback
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any
from uuid import uuid4

import psycopg

from .cluster import Cluster, Node
from .services import Request, Service, in_tasks, settle

CLIENTS = 16
# In seconds, between two writes of a client.
PAUSE = 1.0


@dataclass
class Traffic:
    """What the clients of one service have seen, with times in seconds from the beginning."""

    service: Service
    begun: float
    written: list[tuple[float, str]] = field(default_factory=list)
    counts: dict[str, Counter[int]] = field(default_factory=dict)
    failures: list[float] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    def now(self) -> float:
        return time.monotonic() - self.begun

    def send(self, request: Request, expected: int, method: str, path: str, body: Any) -> bool:
        try:
            status = request(method, path, body)
        except Exception as error:
            where = "".join(traceback.format_exception(error, limit=-12))
            self.unexpected.append(f"{method} at {self.now():.1f}: {where}")
            return False
        if status == expected:
            self.count(method)
            return True
        self.count(f"{method} failed")
        self.failures.append(self.now())
        if status != 503:
            self.unexpected.append(f"{method} at {self.now():.1f}: {status}")
        return False

    def count(self, what: str) -> None:
        self.counts.setdefault(what, Counter())[int(self.now())] += 1

    def client(self, request: Request, number: int) -> None:
        settle(asyncio.sleep(number / CLIENTS * PAUSE))
        while not self.stopped.is_set():
            name = uuid4().hex
            if self.send(request, 201, "POST", "/users", {"name": name}):
                self.written.append((self.now(), name))
            self.send(request, 200, "GET", "/users/1", None)
            settle(asyncio.sleep(PAUSE))

    def run(self, url: str, read_url: str) -> None:
        def work(request: Request) -> None:
            in_tasks(CLIENTS, lambda number: self.client(request, number))

        self.service.serve(url, work, read_url=self.service.url(read_url))


class Watch:
    """Writes to each server past the services, for what the cluster itself does not take."""

    def __init__(self, cluster: Cluster, begun: float) -> None:
        self.written: list[float] = []
        self.begun, self.ended = begun, False
        for node in cluster.nodes:
            # A daemon, because nothing ends its wait for a frozen server.
            threading.Thread(target=self.write, args=(node,), daemon=True).start()

    def write(self, node: Node) -> None:
        while not self.ended:
            with suppress(psycopg.Error), node.connect() as connection:
                while not self.ended:
                    # Fails on a replica, and waits for one where the leader has to.
                    connection.execute("SELECT pg_current_xact_id()")
                    self.written.append(time.monotonic() - self.begun)
                    time.sleep(0.1)
            time.sleep(0.2)


def longest_pause(times: list[float], since: float, until: float) -> float:
    """Return the longest time without any of `times`."""
    inside = sorted(at for at in times if since <= at <= until)
    return max(after - before for before, after in pairwise([since, *inside, until]))
