"""A PostgreSQL that streams from another one, which tests have started."""

import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from sqlalchemy import make_url

from .ports import free_port
from .restartable import Restartable


class Replica:
    """A server that follows another one, on a port of its own."""

    def __init__(self, primary: Restartable) -> None:
        self.postgres = primary.postgres
        self.folder = Path(tempfile.mkdtemp(prefix="replica-"))
        self.port = free_port()
        url = make_url(primary.url).set(port=self.port)
        self.url = url.render_as_string(hide_password=False)
        self.account = self.postgres._unprivileged_account()
        if self.account:
            shutil.chown(self.folder, self.account["user"], self.account["group"])
        [binary, *_] = shlex.split((primary.data / "postmaster.opts").read_text())
        self.binaries = Path(binary).parent
        self.data = self.folder / "data"
        subprocess.run(
            [
                *(self.binaries / "pg_basebackup", "--pgdata", self.data, "--dbname", primary.url),
                *("--write-recovery-conf", "--checkpoint", "fast", "--no-sync"),
            ],
            check=True,
            cwd=self.folder,
            **self.account,
        )
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, **settings: str) -> None:
        options = {**vars(self.postgres)["SETTINGS"], **settings}
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(self.binaries / "postgres", "-D", self.data, "-p", str(self.port)),
                    *(f"--{name}={value}" for name, value in options.items()),
                ],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                preexec_fn=self.postgres._end_with_parent,
                **self.account,
            )
        deadline = time.monotonic() + 30
        while True:
            try:
                psycopg.connect(self.url).close()
            except psycopg.OperationalError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        if self.process:
            os.kill(self.process.pid, signal.SIGINT)
            self.process.wait()
            self.process = None


@contextmanager
def replica_of(primary: Restartable, **settings: str) -> Iterator[Replica]:
    """Run a replica."""
    replica = Replica(primary)
    replica.start(**settings)
    try:
        yield replica
    finally:
        replica.stop()
        shutil.rmtree(replica.folder)
