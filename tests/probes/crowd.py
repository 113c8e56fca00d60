"""Starts many processes of a rendered service at once; see test_many_processes.py.

Arguments: the number of processes, and the roads that they use, "write" or "write,read". Each process
does what `db sync` does, and then queries, several at a time. Prints how often what has failed, as
JSON.
"""

import asyncio
import inspect
import json
import multiprocessing
import sys
from collections import Counter
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from typing import Any

from my_service.config import get_settings
from my_service.database import manager_from_config
from my_service.db import failure_of
from sqlalchemy import text
from sqlalchemy.util import await_only, greenlet_spawn

AT_ONCE, QUERIES = 4, 5
QUERY = text("SELECT count(*), pg_sleep(0.01) FROM users")


def settle(value: Any) -> Any:
    return await_only(value) if inspect.isawaitable(value) else value


def attempt(failed: Counter[str], what: str, work: Any) -> None:
    try:
        work()
    except Exception as error:
        failure = failure_of(error)
        failed[f"{what}: {failure.name if failure else error!r}"] += 1


def query(factory: Any) -> None:
    session = factory()
    try:
        settle(session.execute(QUERY))
    finally:
        settle(session.close())


async def use(roads: list[str], barrier: Barrier) -> Counter[str]:
    failed: Counter[str] = Counter()
    manager = manager_from_config(get_settings())
    factories = {"write": manager.Session, "read": manager.ReadSession}

    def sync() -> None:
        settle(manager.sync())
        settle(manager.dispose())

    def client() -> None:
        for _ in range(QUERIES):
            for road in roads:
                attempt(failed, road, lambda road=road: query(factories[road]))

    await greenlet_spawn(attempt, failed, "sync", sync)
    if "Async" in type(manager).__name__:
        await asyncio.gather(*(greenlet_spawn(client) for _ in range(AT_ONCE)))
    else:
        await asyncio.gather(*(asyncio.to_thread(client) for _ in range(AT_ONCE)))
    # Until then, the pools keep their connections.
    barrier.wait(120)
    await greenlet_spawn(lambda: settle(manager.dispose()))
    return failed


def run(roads: list[str], barrier: Barrier, results: "SimpleQueue[Counter[str]]") -> None:
    barrier.wait()
    results.put(asyncio.run(use(roads, barrier)))


if __name__ == "__main__":
    number, roads = int(sys.argv[1]), sys.argv[2].split(",")
    context = multiprocessing.get_context("fork")
    barrier, results = context.Barrier(number), context.SimpleQueue()
    arguments = (roads, barrier, results)
    processes = [context.Process(target=run, args=arguments) for _ in range(number)]
    for process in processes:
        process.start()
    print(json.dumps(sum((results.get() for _ in processes), Counter())))
    for process in processes:
        process.join()
