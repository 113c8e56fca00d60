"""A PostgreSQL that tests stop and start again."""

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType

import psycopg
import pytest

from .layers import load


class Restartable:
    """A server that can be stopped and started again on its data and its port."""

    def __init__(self, url: str, postgres: ModuleType) -> None:
        self.url, self.postgres = url, postgres
        with psycopg.connect(url) as connection:
            [folder] = connection.execute("SHOW data_directory").fetchone() or [""]
        self.data = Path(folder)
        self.process: subprocess.Popen[bytes] | None = None

    def stop(self) -> None:
        pid_file = self.data / "postmaster.pid"
        os.kill(int(pid_file.read_text().split()[0]), signal.SIGINT)
        while pid_file.exists():
            time.sleep(0.01)
        if self.process:
            self.process.wait()

    def start(self) -> None:
        with (self.data / "restarted.log").open("ab") as log:
            self.process = subprocess.Popen(
                shlex.split((self.data / "postmaster.opts").read_text()),
                stdout=log,
                stderr=log,
                cwd=self.data,
                preexec_fn=self.postgres._end_with_parent,
                **self.postgres._unprivileged_account(),
            )
        while self.process.poll() is None:
            try:
                psycopg.connect(self.url).close()
            except psycopg.OperationalError:
                time.sleep(0.05)
            else:
                return
        pytest.fail("the server does not start again")

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop all processes of the server, so that it neither answers nor refuses."""
        postmaster = int((self.data / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        # The postmaster first: it starts no more of them then.
        processes = [postmaster, *map(int, children)]
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGSTOP)
        try:
            yield
        finally:
            for process in processes:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGCONT)


@contextmanager
def server_with(rendered: Mapping[str, Path], name: str, **settings: str) -> Iterator[Restartable]:
    """Run a server with settings of its own."""
    postgres = load(rendered["sync-postgresql"] / "tests/postgres.py", name)
    vars(postgres)["SETTINGS"].update(settings)
    with postgres.postgres_server() as url:
        restartable = Restartable(url, postgres)
        yield restartable
        if restartable.process:
            restartable.stop()
