"""Upserts rows from a generator in a rendered project; see test_memory.py.

Arguments: the URL of an empty database and a number of rows. Prints by how many MiB the peak of
the process's memory grew, and the number of rows in the table.
"""

import asyncio
import inspect
import resource
import sys
from collections.abc import Iterator
from typing import Any

from my_service import db
from my_service.models import User
from sqlalchemy import func, select

Manager: Any = getattr(db, "AsyncDatabaseManager", None) or db.DatabaseManager


def rows(number: int) -> Iterator[dict[str, object]]:
    for index in range(number):
        yield {"name": f"user {index}", "full_name": "Ada Lovelace"}


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def waited(result: Any) -> Any:
    return await result if inspect.isawaitable(result) else result


async def main(url: str, number: int) -> None:
    manager = Manager(url, "migrations")
    session = manager.Session()
    connection = await waited(session.connection())
    create = User.metadata.create_all
    await waited(
        connection.run_sync(create) if hasattr(connection, "run_sync") else create(connection)
    )
    options: dict[str, Any] = {"on": "name", "returning": False}
    await waited(User.upsert_many(session, rows(2_000), **options))
    before = peak()
    await waited(User.upsert_many(session, rows(number), **options))
    grown = peak() - before
    found = await waited(session.scalar(select(func.count()).select_from(User)))
    print(f"{grown:.0f} {found}")
    await waited(session.close())
    await waited(manager.dispose())


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
