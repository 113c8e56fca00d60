"""The process that forks, in the environment of a project: see forks.py."""

import gc
import json
import os
import runpy
import socket
import sys
from contextlib import suppress
from importlib import import_module
from typing import Any

# What the commands import, where it is installed.
LIBRARIES = (
    *("alembic.autogenerate", "alembic.command", "alembic.config", "click", "pydantic_settings"),
    *("sqlalchemy.ext.asyncio", "sqlalchemy.orm", "aiosqlite", "asyncpg", "psycopg"),
    *("sqlalchemy.dialects.postgresql", "sqlalchemy.dialects.sqlite"),
)


def next_command(control: socket.socket) -> dict[str, Any] | None:
    """Return a command in the process that shall run it, and None when there are no more."""
    while True:
        data, descriptors, _, _ = socket.recv_fds(control, 1, 4)
        if not data:
            return None
        if os.fork() == 0:
            break
        for descriptor in descriptors:
            os.close(descriptor)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
    control.close()
    connection = socket.socket(fileno=descriptors[0])
    with connection.makefile() as lines:
        request: dict[str, Any] = json.loads(lines.readline())
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        connection.sendall(str(os.waitstatus_to_exitcode(status)).encode())
        os._exit(0)
    connection.close()
    for number, descriptor in enumerate(descriptors[1:]):
        os.dup2(descriptor, number)
        os.close(descriptor)
    return request


def main() -> None:
    sys.path.pop(0)
    for name in LIBRARIES:
        with suppress(ImportError):
            import_module(name)
    gc.freeze()
    request = next_command(socket.socket(fileno=int(sys.argv[1])))
    if not request:
        return
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    [first, *arguments] = request["arguments"]
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:0] = [os.getcwd() if first == "-m" else os.path.dirname(first), *filter(None, paths)]
    sys.argv[:] = arguments if first == "-m" else [first, *arguments]
    if first == "-m":
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(first, run_name="__main__")


if __name__ == "__main__":
    main()
