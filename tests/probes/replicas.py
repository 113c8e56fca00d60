"""Runs a command of a rendered project in many processes at once; see test_replicas.py.

Arguments: "sync" or "alembic", the number of processes, and the URLs of the databases to do it on,
one after the other. Prints the exit codes as JSON, a list for each database.
"""

import json
import multiprocessing
import os
import sys
from multiprocessing.synchronize import Barrier

from alembic.config import main as alembic
from my_service.cli import main
from my_service.config import AlembicSettings

CONFIG = str(AlembicSettings().migrations_path / "alembic.ini")


def run(command: str, url: str, barrier: Barrier) -> None:
    os.environ["DATABASE_URL"] = url
    barrier.wait()
    if command == "sync":
        main(["db", "sync"])
    else:
        alembic(["-c", CONFIG, "upgrade", "head"])


def at_once(command: str, url: str, number: int) -> list[int | None]:
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(number)
    processes = [context.Process(target=run, args=(command, url, barrier)) for _ in range(number)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return [process.exitcode for process in processes]


if __name__ == "__main__":
    command, number, *urls = sys.argv[1:]
    print(json.dumps([at_once(command, url, int(number)) for url in urls]))
