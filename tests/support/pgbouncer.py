"""A PgBouncer that pools by transaction, in front of the PostgreSQL of the rendered tests."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest
from sqlalchemy import make_url

from .debian import unpack, wait_for_port
from .layers import load
from .ports import free_port
from .shared import Shared

# Takes the URL of a server and the number of connections for each database.
RunPgBouncer = Callable[[str, int], AbstractContextManager[str]]

PARAMETER = "?pgbouncer=true"
# Anybody may connect, and is the superuser of the server. Databases are opened as they are named.
SETTINGS = """
[databases]
* = host=127.0.0.1 port={port} user=postgres password={password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen_port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {servers}
max_client_conn = 500
server_login_retry = 1
"""


@pytest.fixture(scope="session")
def run_pgbouncer(rendered: Mapping[str, Path], shared: Shared) -> RunPgBouncer:
    """Run it in front of the server of a URL; see `pgbouncer`."""
    libraries = ("libevent-", "libcares", "libc-ares")
    binaries = shared.make("pgbouncer", lambda folder: unpack(folder, "pgbouncer", *libraries))
    postgres = load(rendered["sync-postgresql"] / "tests/postgres.py", "postgres_of_pgbouncer")
    return partial(pgbouncer, binaries, postgres)


@pytest.fixture(scope="session")
def pgbouncer_url(run_pgbouncer: RunPgBouncer, postgres: str) -> Iterator[str]:
    """The proxy in front of the server of all tests, with four connections for each database."""
    with run_pgbouncer(postgres, 4) as url:
        yield url


@pytest.fixture
def direct_url(postgres_url: str) -> str:
    """The URL of an empty database."""
    return postgres_url


@pytest.fixture
def proxied_url(direct_url: str, pgbouncer_url: str) -> str:
    """The URL of the same database through the proxy, with the parameter."""
    url = make_url(pgbouncer_url).set(database=make_url(direct_url).database)
    return url.render_as_string(hide_password=False)


@contextmanager
def pgbouncer(binaries: Path, postgres: ModuleType, server: str, servers: int) -> Iterator[str]:
    """Run it with at most `servers` connections to the server for each database, and yield a URL.

    `binaries` is what `unpack` has made, `postgres` the module of the rendered tests. The URL is
    that of `server`, with another port and the parameter.
    """
    url = make_url(server)
    account = postgres._unprivileged_account()
    listen_port = free_port()
    with tempfile.TemporaryDirectory(prefix="pgbouncer-") as name:
        folder = Path(name)
        for file in binaries.iterdir():
            if file.is_file():
                shutil.copy(file, folder)
        (folder / "settings.ini").write_text(
            SETTINGS.format(
                port=url.port, password=url.password, listen_port=listen_port, servers=servers
            )
        )
        if account:
            for path in (folder, *folder.iterdir()):
                os.chown(path, account["user"], account["group"])
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [folder / "pgbouncer", folder / "settings.ini"],
                stdout=log,
                stderr=log,
                cwd=folder,
                env={**os.environ, "LD_LIBRARY_PATH": str(folder)},
                preexec_fn=postgres._end_with_parent if sys.platform == "linux" else None,
                **account,
            )
        try:
            wait_for_port(process, listen_port, folder / "log")
            proxied = url.set(port=listen_port).render_as_string(hide_password=False)
            yield proxied + PARAMETER
        finally:
            process.kill()
            process.wait()
