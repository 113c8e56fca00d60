"""Load services with requests, beside a plain service and the documented pattern of sqlalchemy-helpers.

    uv run python -m benchmarks.http [--quick]

Each service is one process on the same PostgreSQL, and the services take turns of a second:

* `ours`: as rendered.
* `plain`: an engine for the life of the application, a session for each request, and uvicorn without
  extras.
* `uvloop`: the same application, served by uvloop and httptools, as `ours` and those below are.
* `floor`: statements that are built once, and no transaction for reads.
* `ancestor`: a manager for each request.

The figures are medians. `CPU` is what the server's process needs for a request, where `plain` needs 1;
it can be measured on Linux only. `errors` are answers other than 2xx, no answer within ten seconds, and
connections that were cut.
"""

import asyncio
import math
import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen
from uuid import uuid4

import psycopg

from tests.support.ports import free_port
from tests.support.variants import VARIANTS

from .projects import SUBJECTS, clean_environment, machine, print_table, rendered_projects

NAMES = ("async-postgresql-fastapi", "sync-postgresql-fastapi")
# The factories of the services, and options of uvicorn.
WHO = {
    "ours": ("create_ours", ()),
    "plain": ("create_plain", ("--loop", "asyncio", "--http", "h11")),
    "uvloop": ("create_plain", ()),
    "floor": ("create_floor", ()),
    "ancestor": ("create_ancestor", ()),
}
CLIENTS = (1, 16, 64, 256)
# Seconds that clients wait for an answer after the end of a turn.
PATIENCE = 10
HEADER = ["project", "request", "clients", "who", "a second", "p50 ms", "p99 ms", "CPU", "errors"]
HEADER += ["connections"]


@dataclass
class Turn:
    """What a second of load has shown."""

    times: list[float]
    errors: int
    cpu: float
    connections: int


class Service:
    """A service in a process of its own."""

    def __init__(self, port: int, pid: int, url: str) -> None:
        self.port, self.pid = port, pid
        # Opened now, because there may be none left under load.
        self.connection = psycopg.connect(url, autocommit=True)

    def cpu_seconds(self) -> float:
        if sys.platform != "linux":
            return float("nan")
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def connections(self) -> int:
        counted = self.connection.execute(
            "SELECT count(*) - 1 FROM pg_stat_activity WHERE datname = current_database()"
        ).fetchone()
        return int(counted[0]) if counted else 0

    def cut_connections(self) -> None:
        """Close what the service leaves open, which the others would not get."""
        self.connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

    async def load(self, method: str, clients: int, seconds: float) -> Turn:
        """Send requests one after the other from each client."""
        times: list[float] = []
        errors = 0
        end = time.monotonic() + seconds

        async def client() -> None:
            nonlocal errors
            try:
                async with asyncio.timeout(seconds + PATIENCE):
                    await talk()
            except TimeoutError:
                errors += 1

        async def talk() -> None:
            nonlocal errors
            while time.monotonic() < end:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                try:
                    while (began := time.monotonic()) < end:
                        writer.write(request(method))
                        head = await reader.readuntil(b"\r\n\r\n")
                        length = head.lower().partition(b"content-length: ")[2].split(b"\r", 1)[0]
                        await reader.readexactly(int(length))
                        errors += not head.startswith(b"HTTP/1.1 2")
                        times.append(time.monotonic() - began)
                except (ConnectionError, asyncio.IncompleteReadError):
                    errors += 1
                finally:
                    writer.close()

        before = self.cpu_seconds()
        counting = asyncio.create_task(asyncio.to_thread(self.connections))
        await asyncio.gather(*(client() for _ in range(clients)))
        return Turn(times, errors, self.cpu_seconds() - before, await counting)


def request(method: str) -> bytes:
    body = "" if method == "GET" else f'{{"name": "{uuid4().hex}"}}'
    path = "/users" if method == "POST" else "/users/1"
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()


@contextmanager
def serving(project: Path, python: Path, who: str, url: str) -> Iterator[Service]:
    port = free_port()
    driver = "asyncpg" if project.name.startswith("async") else "psycopg"
    environment = clean_environment() | {
        "DATABASE_URL": url,
        "DRIVER_URL": url.replace("postgresql:", f"postgresql+{driver}:"),
        "LOG_LEVEL": "CRITICAL",
    }
    subprocess.run([python, "-m", "my_service", "db", "sync"], env=environment, check=True)
    with psycopg.connect(url) as connection:
        connection.execute("INSERT INTO users (name, created_at) VALUES ('first', now())")
    factory, options = WHO[who]
    command = [str(python), "-m", "uvicorn", "--factory", f"http_subjects:{factory}", *options]
    process = subprocess.Popen(
        [*command, "--port", str(port), "--no-access-log", "--log-level", "critical"],
        cwd=project,
        env=environment,
    )
    try:
        while process.poll() is None:
            try:
                urlopen(f"http://127.0.0.1:{port}/users/1").close()
                break
            except URLError:
                time.sleep(0.1)
        service = Service(port, process.pid, url)
        with service.connection:
            yield service
    finally:
        process.kill()
        process.wait()


def main() -> None:
    quick = "--quick" in sys.argv
    rounds, seconds, many = (1, 0.1, (2,)) if quick else (2, 1, CLIENTS)
    rows: list[list[object]] = [[*HEADER]]
    with rendered_projects(NAMES) as projects:
        for name in NAMES:
            project = projects.folder / name
            subject = SUBJECTS.get_template("http.py.jinja").render(**VARIANTS[name])
            (project / "http_subjects.py").write_text(subject)
            python = project / ".venv/bin/python"
            environment = clean_environment()
            sync = ["uv", "sync", "--quiet", "--no-dev", "--python", sys.executable]
            subprocess.run(sync, cwd=project, env=environment, check=True)
            install = ["uv", "pip", "install", "--quiet", "--python", str(python)]
            others = ["sqlalchemy-helpers", "psycopg[binary]"]
            subprocess.run([*install, *others], env=environment, check=True)
            with ExitStack() as stack:
                services = {
                    who: stack.enter_context(
                        serving(project, python, who, projects.new_database("postgresql"))
                    )
                    for who in WHO
                }
                for method in ("GET", "POST", "PUT"):
                    for clients in many:
                        turns: dict[str, list[Turn]] = defaultdict(list)
                        for _ in range(rounds):
                            for who, service in services.items():
                                turns[who].append(
                                    asyncio.run(service.load(method, clients, seconds))
                                )
                                if who == "ancestor":
                                    service.cut_connections()
                        rows += table(name, method, clients, turns)
    print_table(rows, 4)
    print(f"\n{machine()}")


def table(
    name: str, method: str, clients: int, turns: dict[str, list[Turn]]
) -> Iterator[list[object]]:
    def cpu(who: str) -> float:
        return statistics.median(turn.cpu / max(len(turn.times), 1) for turn in turns[who])

    place = name.removesuffix("-fastapi")
    for who, found in turns.items():
        # A service that is overloaded may answer nothing.
        times = sorted(time for turn in found for time in turn.times) or [math.nan]
        rates = [len(turn.times) / (sum(turn.times) or math.inf) * clients for turn in found]
        yield [
            *(place, method, clients, who, f"{statistics.median(rates):.0f}"),
            f"{times[len(times) // 2] * 1000:.1f}",
            f"{times[int(len(times) * 0.99)] * 1000:.1f}",
            f"{cpu(who) / (cpu('plain') or float('nan')):.2f}",
            sum(turn.errors for turn in found),
            max(turn.connections for turn in found),
        ]


if __name__ == "__main__":
    main()
