"""Three PostgreSQL servers under Patroni, which keeps its state by raft; production has etcd."""

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.request import Request, urlopen

import psutil
import psycopg
import yaml

from .interpreter import may_run_python
from .ports import free_port

NODES = ("a", "b", "c")
# In seconds. The lowest that Patroni accepts: a leader that is silent for so long is replaced.
TTL = 20
DCS = {
    **{"ttl": TTL, "loop_wait": 1, "retry_timeout": 5},
    # A leader that is gone is replaced, and not waited for.
    **{"primary_start_timeout": 0, "maximum_lag_on_failover": 100_000_000},
    "postgresql": {"use_pg_rewind": True, "use_slots": True},
}
PARAMETERS = {
    **{"unix_socket_directories": "", "max_connections": 100, "shared_buffers": "16MB"},
    # Nothing here has to survive a power cut.
    **{"fsync": "off", "wal_keep_size": "64MB"},
}


class Node:
    """A server and its Patroni."""

    def __init__(self, cluster: "Cluster", name: str) -> None:
        self.cluster, self.name = cluster, name
        self.folder = cluster.folder / name
        self.port, self.api, self.raft = (free_port() for _ in range(3))
        self.url = cluster.url(f"127.0.0.1:{self.port}")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self.cluster.python, "-m", "patroni", self.folder / "patroni.yml"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=self.cluster.environment,
                preexec_fn=_stop_with_parent,
                **self.cluster.account,
            )

    def processes(self) -> list[psutil.Process]:
        """Return the processes of the node, Patroni first."""
        found = []
        with suppress(psutil.NoSuchProcess):
            if self.process and self.process.poll() is None:
                found.append(psutil.Process(self.process.pid))
        with suppress(OSError, ValueError, psutil.NoSuchProcess):
            pid = int((self.folder / "data/postmaster.pid").read_text().split()[0])
            server = psutil.Process(pid)
            if str(self.folder) in " ".join(server.cmdline()):
                found += [server, *server.children(recursive=True)]
        return found

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all processes at once, as if it were a machine."""
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        if self.process:
            self.process.wait()

    def kill_server(self) -> None:
        """Kill PostgreSQL, but not Patroni."""
        for process in self.processes()[1:]:
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def ask(self, path: str, method: str = "GET", body: object = None) -> Any:
        """Send a request to Patroni. Raises OSError."""
        data = json.dumps(body).encode() if body is not None else None
        request = Request(f"http://127.0.0.1:{self.api}/{path}", data, method=method)
        with urlopen(request, timeout=10) as answer:  # noqa: S310
            content = answer.read()
        return json.loads(content) if content.startswith(b"{") else content.decode()

    def leads(self) -> bool:
        with suppress(OSError):
            return bool(self.ask("primary"))
        return False

    def switch_over(self) -> None:
        """Let another node lead."""
        self.ask("switchover", "POST", {"leader": self.name})

    def connect(self, **options: Any) -> psycopg.Connection:
        """Connect as the superuser."""
        options = {"connect_timeout": 5, "autocommit": True, **options}
        connection: psycopg.Connection = psycopg.connect(self.url, **options)
        return connection


class Cluster:
    def __init__(self, folder: Path, postgres: ModuleType, python: Callable[[], Path]) -> None:
        self.folder, self.postgres = folder, postgres
        self.account = postgres._unprivileged_account()
        self.binaries = postgres._binaries(folder if self.account else None)
        self.environment = {"PATH": os.environ["PATH"], "LANG": "C", "TMPDIR": str(folder)}
        self.python = [sys.executable]
        if not may_run_python(folder, self.account):
            self.python = [str(python() / "bin/python")]
            self.environment["LD_LIBRARY_PATH"] = str(python() / "lib")
        self.nodes = [Node(self, name) for name in NODES]

    def url(self, hosts: str) -> str:
        return f"postgresql://postgres:secret@{hosts}/postgres"

    @property
    def hosts(self) -> str:
        return ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def start(self, *, synchronous: bool) -> None:
        dcs = {**DCS, "synchronous_mode": synchronous}
        for node in self.nodes:
            node.folder.mkdir()
            (node.folder / "patroni.yml").write_text(yaml.safe_dump(self._settings(node, dcs)))
            if self.account:
                for path in (node.folder, *node.folder.iterdir()):
                    os.chown(path, self.account["user"], self.account["group"])
            node.start()
        self.wait_until_whole(90)

    def members(self) -> dict[str, dict[str, Any]]:
        """Return what Patroni knows of the nodes."""
        for node in self.nodes:
            if node.process and node.process.poll() is not None:
                continue
            with suppress(OSError, ValueError):
                return {member["name"]: member for member in node.ask("cluster")["members"]}
        return {}

    def leader(self) -> Node:
        """Return the node that writes."""
        [found] = [node for node in self.nodes if node.leads()]
        return found

    def replicas(self) -> list[Node]:
        return [node for node in self.nodes if not node.leads()]

    def wait_until_whole(self, seconds: float = 60) -> None:
        """Wait until there is a leader, and two replicas stream from it."""

        def is_whole() -> bool:
            members = self.members().values()
            return sorted((m["role"], m["state"]) for m in members) in (
                [("leader", "running"), ("replica", "streaming"), ("replica", "streaming")],
                [("leader", "running"), ("replica", "streaming"), ("sync_standby", "streaming")],
            )

        self.wait_for(is_whole, seconds)

    def wait_for(self, condition: Callable[[], object], seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            is_over = all(node.process and node.process.poll() is not None for node in self.nodes)
            if is_over or time.monotonic() > deadline:
                logs = [(node.folder / "log").read_text()[-3000:] for node in self.nodes]
                raise TimeoutError(f"{self.members()}\n" + "\n\n".join(logs))
            time.sleep(0.1)

    def stop(self) -> None:
        """End all processes, those that Patroni has just started, too."""
        for node in self.nodes:
            node.kill()
        while left := [process for process in psutil.process_iter() if self._owns(process)]:
            for process in left:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(left, 10)

    def _owns(self, process: psutil.Process) -> bool:
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            return any(word.startswith(str(self.folder)) for word in process.cmdline())
        return False

    def _settings(self, node: Node, dcs: dict[str, Any]) -> dict[str, Any]:
        others = [f"127.0.0.1:{other.raft}" for other in self.nodes if other is not node]
        api, server = f"127.0.0.1:{node.api}", f"127.0.0.1:{node.port}"
        superuser = {"username": "postgres", "password": "secret"}
        return {
            **{"scope": "service", "name": node.name},
            "restapi": {"listen": api, "connect_address": api},
            "raft": {
                **{"data_dir": str(node.folder / "raft"), "self_addr": f"127.0.0.1:{node.raft}"},
                "partner_addrs": others,
            },
            "bootstrap": {
                "dcs": dcs,
                "initdb": [{"encoding": "UTF8"}, "no-locale", "no-sync", "data-checksums"],
            },
            "postgresql": {
                **{"listen": server, "connect_address": server},
                **{"data_dir": str(node.folder / "data"), "bin_dir": str(self.binaries)},
                "pgpass": str(node.folder / "pgpass"),
                "basebackup": [{"checkpoint": "fast"}, "no-sync"],
                "authentication": dict.fromkeys(("superuser", "replication", "rewind"), superuser),
                # Checking passwords takes more time than all else that clients do here.
                "pg_hba": [
                    f"host {what} all 127.0.0.1/32 trust" for what in ("all", "replication")
                ],
                "parameters": PARAMETERS,
            },
        }


@contextmanager
def running_cluster(
    folder: Path, postgres: ModuleType, python: Callable[[], Path], *, synchronous: bool
) -> Iterator[Cluster]:
    """Run a cluster in a new folder."""
    folder.mkdir()
    cluster = Cluster(folder, postgres, python)
    if cluster.account:
        os.chown(folder, cluster.account["user"], cluster.account["group"])
    try:
        cluster.start(synchronous=synchronous)
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder)


def _stop_with_parent() -> None:
    # Patroni stops its server on SIGTERM. 1 is PR_SET_PDEATHSIG.
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
