"""HAProxy as Patroni's documentation sets it up: a port that writes, and one that reads."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .cluster import Cluster
from .debian import unpack, wait_for_port
from .ports import free_port

SETTINGS = """
defaults
  mode tcp
  retries 1
  option redispatch 1
  timeout client 30m
  timeout connect 4s
  timeout server 30m
  timeout check 1s
"""
# Sessions with a server that fails its checks are cut: a machine that is frozen never would.
LISTEN = """
listen {name}
  bind 127.0.0.1:{port}
  option httpchk OPTIONS /{check}
  http-check expect status 200
  default-server inter 500ms fall 2 rise 1 on-marked-down shutdown-sessions
{servers}
"""


def unpack_haproxy(folder: Path) -> None:
    unpack(folder, "haproxy", "liblua5", "libopentracing")


@contextmanager
def haproxy(cluster: Cluster, binaries: Path) -> Iterator[tuple[str, str]]:
    """Run it in front of a cluster, and yield the host and port that writes, and the one that reads."""
    folder = cluster.folder / "haproxy"
    folder.mkdir()
    for file in binaries.iterdir():
        if file.is_file():
            shutil.copy(file, folder)
    ports = [free_port() for _ in range(2)]
    servers = "\n".join(
        f"  server {node.name} 127.0.0.1:{node.port} maxconn 100 check port {node.api}"
        for node in cluster.nodes
    )
    listened = zip(("primary", "read-only"), ports, strict=True)
    (folder / "haproxy.cfg").write_text(
        SETTINGS
        + "".join(
            LISTEN.format(name=check, check=check, port=port, servers=servers)
            for check, port in listened
        )
    )
    if cluster.account:
        for path in (folder, *folder.iterdir()):
            os.chown(path, cluster.account["user"], cluster.account["group"])
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [folder / "haproxy", "-db", "-f", folder / "haproxy.cfg"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder,
            env=cluster.environment | {"LD_LIBRARY_PATH": str(folder)},
            preexec_fn=cluster.postgres._end_with_parent,
            **cluster.account,
        )
    try:
        wait_for_port(process, ports[0], folder / "log")
        yield f"127.0.0.1:{ports[0]}", f"127.0.0.1:{ports[1]}"
    finally:
        process.kill()
        process.wait()
