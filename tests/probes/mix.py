"""Runs statements of its own kind through PgBouncer, beside other processes; see test_pgbouncer.py.

Arguments: "read", "delete" or "write", the URL, and the number of runs. Each run opens a manager,
so that the driver would name its statements from the beginning. Prints as JSON how many runs saw
something else than their own, by what they saw.
"""

import asyncio
import inspect
import json
import sys
from collections import Counter
from typing import Any

from my_service.database import manager_from_config
from sqlalchemy import text

# psycopg prepares a statement when it is executed for the sixth time.
TIMES = 6
# With a number and ten times that number; there are no rows to delete.
STATEMENTS = {
    "read": ["SELECT CAST(:ten AS INTEGER)", "SELECT CAST(:number AS INTEGER) * 10"],
    "delete": [
        "DELETE FROM kept WHERE id = CAST(:number AS INTEGER) - 100",
        "DELETE FROM kept WHERE id > CAST(:ten AS INTEGER) + 100",
    ],
    "write": [
        "UPDATE counted SET value = CAST(:ten AS INTEGER) RETURNING value",
        "INSERT INTO added (value) VALUES (CAST(:ten AS INTEGER)) RETURNING value",
    ],
}


async def waited(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


async def run(kind: str, url: str) -> None:
    manager = manager_from_config({"sqlalchemy": {"url": url}})
    try:
        for number in range(TIMES):
            session = manager.ReadSession() if kind == "read" else manager.Session()
            try:
                for statement in STATEMENTS[kind]:
                    values = {"number": number, "ten": number * 10}
                    result = await waited(session.execute(text(statement), values))
                    if kind == "delete":
                        assert result.rowcount == 0, "a row was deleted"
                    else:
                        assert result.all() == [(number * 10,)], "a value of another"
                await waited(session.commit())
            finally:
                await waited(session.close())
    finally:
        await waited(manager.dispose())


async def main(kind: str, url: str, runs: int) -> None:
    wrong: Counter[str] = Counter()
    for _ in range(runs):
        try:
            await run(kind, url)
        except Exception as error:
            wrong[f"{type(error).__name__}: {error}"[:200]] += 1
    print(json.dumps(wrong))


asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
