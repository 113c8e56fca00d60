"""Migrates a schema for each tenant as the guide does, and by Alembic alone; see test_tenants.py.

Arguments: the guide, and the schemas. Prints the seconds that both take, the most connections that
the guide's way had open, and the names of the tenants that it says have failed, as JSON.
"""

import asyncio
import inspect
import json
import re
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psycopg
from alembic import command
from my_service.config import get_settings
from my_service.database import manager_from_config

guide, *schemas = sys.argv[1:]
url = get_settings().database.sqlalchemy.url


def sync_tenants() -> Any:
    codes = re.findall(r"```python\n(.*?)```", Path(guide).read_text(), re.DOTALL)
    [code] = [code for code in codes if "def sync_tenants" in code]
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102
    result = names["sync_tenants"](schemas)
    return asyncio.run(result) if inspect.isawaitable(result) else result


def upgrade_each() -> None:
    """Do what `alembic upgrade head` does for each, with as little around it as there can be."""
    for schema in schemas:
        option = f"options=-c%20search_path%3Dplain_{schema}"
        manager = manager_from_config({"sqlalchemy": {"url": f"{url}?{option}"}})
        command.upgrade(manager.alembic_cfg, "head")


class Counting(threading.Thread):
    """Counts the connections of others, ten times a second."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most, self.ended = 0, threading.Event()

    def run(self) -> None:
        question = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
        with psycopg.connect(url, autocommit=True) as connection:
            while not self.ended.wait(0.1):
                [found] = connection.execute(question).fetchone() or [0]
                self.most = max(self.most, found - 1)


def timed(work: Any) -> tuple[float, Any]:
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


if __name__ == "__main__":
    plain, _ = timed(upgrade_each)
    counting = Counting()
    counting.start()
    ours, failed = timed(sync_tenants)
    counting.ended.set()
    counting.join()
    print(json.dumps([plain, ours, counting.most, {k: str(v) for k, v in failed.items()}]))
