"""PostgreSQL with TLS: its own where it was built with it, and a gate in front of it anywhere.

The wheel that the rendered projects bring is built without TLS. The gate speaks TLS in its place:
to a client there is no difference.
"""

import asyncio
import os
import shutil
import ssl
import struct
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import psycopg
import trustme
from sqlalchemy import URL, make_url

SSL_REQUEST = struct.pack("!ii", 8, 80877103)
REFUSAL = b"SFATAL\0VFATAL\0C28000\0Mno pg_hba.conf entry for this host\0\0"
# In the databases whose names begin with `gate`, the gate itself insists.
DATABASES = [f"{name}_{way}_only" for name in ("gate", "own") for way in ("tls", "plain")]
HBA = "host all all all scram-sha-256\nlocal all all scram-sha-256\n"
HBA_WITH_TLS = (
    "hostnossl own_tls_only all all reject\nhostssl own_plain_only all all reject\n" + HBA
)


class Certificates:
    """Those of a server called `localhost`, and of two authorities: its own and another."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        authority, other = trustme.CA(), trustme.CA()
        authority.cert_pem.write_to_path(folder / "right.pem")
        other.cert_pem.write_to_path(folder / "wrong.pem")
        server = authority.issue_cert("localhost")
        server.private_key_pem.write_to_path(folder / "server.key")
        for part in server.cert_chain_pems:
            part.write_to_path(folder / "server.pem", append=True)

    def context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.folder / "server.pem", self.folder / "server.key")
        return context


@dataclass
class Server:
    """A server, how to reach it, and which of its connections came through the gate with TLS."""

    url: URL
    sockets: Path
    encrypted: dict[int, bool] = field(default_factory=dict)


def binaries_with_tls() -> Path | None:
    """Return the folder of a PostgreSQL on this machine that was built with TLS, if there is one."""
    elsewhere = [str(path) for path in Path("/usr/lib/postgresql").glob("*/bin")]
    found = shutil.which("initdb", path=os.pathsep.join([os.environ["PATH"], *elsewhere]))
    folder = Path(found).resolve().parent if found else None
    return folder if folder and b"libssl" in (folder / "postgres").read_bytes() else None


@contextmanager
def server_with_tls(postgres: ModuleType, certificates: Certificates) -> Iterator[Server]:
    """Run the server of the rendered tests, `postgres`, with other binaries and TLS of its own."""
    account = postgres._unprivileged_account()
    with tempfile.TemporaryDirectory(prefix="tls-") as name:
        folder = Path(name)
        binaries = binaries_with_tls()
        (folder / "hba").write_text(HBA_WITH_TLS if binaries else HBA)
        for file in ("server.pem", "server.key"):
            shutil.copy(certificates.folder / file, folder)
        for path in (folder, *folder.iterdir()):
            path.chmod(0o700 if path.is_dir() else 0o600)
            if account:
                os.chown(path, account["user"], account["group"])
        own = {"hba_file": f"{folder}/hba", "unix_socket_directories": str(folder)}
        if binaries:
            own |= {
                "ssl": "on",
                "ssl_cert_file": f"{folder}/server.pem",
                "ssl_key_file": f"{folder}/server.key",
            }
            vars(postgres)["_binaries"] = lambda copy_to: binaries
        vars(postgres)["SETTINGS"].update(own)
        with postgres.postgres_server() as url:
            with psycopg.connect(url, autocommit=True) as connection:
                for database in DATABASES:
                    connection.execute(f"CREATE DATABASE {database}".encode())
            yield Server(make_url(url).set(host="localhost"), folder)


@contextmanager
def gate(server: Server, certificates: Certificates) -> Iterator[Server]:
    """Let clients in with TLS and without, and pass on what they say in clear text."""
    assert server.url.port
    loop = asyncio.new_event_loop()
    encrypted: dict[int, bool] = {}
    context = certificates.context()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            await serve(reader, writer)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        start = await reader.readexactly(8)
        tls = start == SSL_REQUEST
        if tls:
            writer.write(b"S")
            await writer.start_tls(context)
            start = await reader.readexactly(8)
        start += await reader.readexactly(int.from_bytes(start[:4]) - 8)
        if (b"\0gate_plain_only\0" if tls else b"\0gate_tls_only\0") in start:
            writer.write(b"E" + (len(REFUSAL) + 4).to_bytes(4) + REFUSAL)
            await writer.drain()
            return
        behind, before = await asyncio.open_connection("127.0.0.1", server.url.port)
        encrypted[before.get_extra_info("sockname")[1]] = tls
        before.write(start)
        await asyncio.gather(pass_on(reader, before), pass_on(behind, writer))

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    listener = loop.run_until_complete(asyncio.start_server(answer, "127.0.0.1", 0))
    port = listener.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield Server(server.url.set(port=port), server.sockets, encrypted)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        listener.close()
        loop.close()
