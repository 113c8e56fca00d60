"""Cancels tasks at random moments in an async project; see test_wedges.py.

Arguments: the URL of an empty database and the number of tasks, or the URL of one with a table, in
which a row is written then. Prints what is left behind as JSON.
"""

import asyncio
import json
import random
import subprocess
import sys
from collections import Counter
from itertools import count

from my_service.db import SNAPSHOT, AsyncDatabaseManager, get_or_create
from my_service.models import User
from sqlalchemy import func, insert, select, text

WORKERS = 8
# Who waits for longer than a second in the end fails.
LIMITS = {"sqlite": {"busy_timeout": 1}, "postgresql": {"statement_timeout": 1}}


async def write(manager: AsyncDatabaseManager, name: str) -> None:
    """Read, and write two rows, by two statements."""
    async with manager.Session.begin() as session:
        await session.scalars(select(User.id))
        await get_or_create(session, User, name=f"{name} one", full_name=name)
        await get_or_create(session, User, name=f"{name} two", full_name=name)


async def read(manager: AsyncDatabaseManager, name: str) -> None:
    """Read the rows twice, every second time from a snapshot."""
    async with manager.ReadSession() as session:
        if random.random() < 0.5:  # noqa: S311
            await session.connection(execution_options=SNAPSHOT)
        for _ in range(2):
            await session.scalars(select(User.id))


async def cancel_at_random(
    manager: AsyncDatabaseManager, number: int, results: list[object]
) -> dict[str, object]:
    done: set[str] = set()
    limit = asyncio.Semaphore(WORKERS)

    async def cancel(name: str) -> None:
        async with limit:
            work = random.choice((write, read))  # noqa: S311
            task = asyncio.create_task(work(manager, name))
            # Sometimes at once, sometimes after the end.
            longest = random.choice((0, 0.002, 0.02, 0.2))  # noqa: S311
            await asyncio.sleep(random.uniform(0, longest))  # noqa: S311
            task.cancel()
            (result,) = await asyncio.gather(task, return_exceptions=True)
        results.append(result)
        if result is None and work is write:
            done.add(name)

    async def write_on() -> None:
        """Write without being cancelled, while the others are."""
        for turn in count():
            if others.done():
                break
            name = f"steady {turn}"
            await write(manager, name)
            done.add(name)

    others = asyncio.gather(*(cancel(f"task {number}") for number in range(number)))
    await asyncio.gather(others, write_on())
    async with manager.Session() as session:
        rows = await session.execute(select(User.full_name, func.count()).group_by(User.full_name))
        found = {row[0]: row[1] for row in rows}
    return {
        "results": Counter(type(result).__name__ for result in results),
        "half written": [name for name, number in found.items() if number != 2 and name != "row"],
        "lost": sorted(done - set(found)),
        "written": len(done),
    }


async def main(url: str, number: int) -> None:
    backend = url.partition(":")[0]
    async with AsyncDatabaseManager(url, "migrations") as manager:
        async with manager.engine.begin() as connection:
            await connection.run_sync(User.metadata.create_all)
            # So many that a query takes a while.
            rows = [{"name": f"row {n}", "full_name": "row"} for n in range(5_000)]
            await connection.execute(insert(User), rows)
        # With their tracebacks, in which there are cursors.
        results: list[object] = []
        found = await cancel_at_random(manager, number, results)
        subprocess.run([sys.executable, __file__, url], check=True)
        await asyncio.wait_for(write(manager, "last"), 1)
        found["checked out"] = [
            engine.pool.checkedout()  # type: ignore[attr-defined]
            for engine in (manager.engine, manager.read_engine)
        ]
        if backend == "postgresql":
            idle = text("SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in tr%'")
            async with manager.ReadSession() as session:
                found["idle in transaction"] = await session.scalar(idle)
    print(json.dumps(found))


async def write_once(url: str) -> None:
    limits = LIMITS[url.partition(":")[0]]
    async with AsyncDatabaseManager(url, "migrations", engine_args=limits) as manager:
        await write(manager, "another process")


if __name__ == "__main__":
    if len(sys.argv) == 2:
        asyncio.run(write_once(sys.argv[1]))
    else:
        asyncio.run(main(sys.argv[1], int(sys.argv[2])))
