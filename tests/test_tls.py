"""TLS is what the URL asks for, the same with every driver and never less."""

import pytest
from sqlalchemy import Connection, text

from .support.layers import Driver
from .support.tls import Certificates, Server, binaries_with_tls

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("home")]

MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
TLS_OF = ("gate", "own") if binaries_with_tls() else ("gate",)


def outcome(driver: Driver, server: Server, database: str, **query: str) -> str:
    """Return what becomes of a connection: "TLS", "plain", or "refused"."""

    def look(connection: Connection) -> str:
        statement = "SELECT ssl, inet_client_port() FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        own, port = connection.execute(text(statement)).one()
        return "TLS" if own or server.encrypted.get(port) else "plain"

    host = query.pop("host", "localhost")
    url = server.url.set(host=host, database=database, query=query)
    try:
        return driver.connect(url, look)
    except Exception as error:
        if type(error).__name__ != "ConnectionFailed":
            raise
        return "refused"


@pytest.mark.parametrize("tls_of", TLS_OF)
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"], ids=["right-name", "wrong-name"])
@pytest.mark.parametrize("authority", ["right", "wrong", None])
@pytest.mark.parametrize("mode", MODES)
def test_sslmode_is_what_libpq_says_it_is(
    driver: Driver,
    server: Server,
    gated: Server,
    certificates: Certificates,
    tls_of: str,
    host: str,
    authority: str | None,
    mode: str,
) -> None:
    query = {"sslmode": mode}
    if authority:
        query["sslrootcert"] = f"{certificates.folder}/{authority}.pem"
    expected = "plain" if mode in ("disable", "allow") else "TLS"
    if mode.startswith("verify") and authority != "right":
        expected = "refused"
    if mode == "verify-full" and host != "localhost":
        expected = "refused"
    if authority == "wrong" and mode == "require":
        expected = "refused"
    if authority == "wrong" and mode == "prefer" and driver.name == "psycopg":
        # libpq prefers no TLS at all to that of a stranger. asyncpg encrypts, without a check.
        expected = "plain"
    used = gated if tls_of == "gate" else server
    assert outcome(driver, used, "postgres", host=host, **query) == expected


@pytest.mark.parametrize("tls_of", TLS_OF)
@pytest.mark.parametrize("mode", [None, *MODES[:4]])
def test_a_server_that_insists_on_one_way_gets_it_unless_the_url_forbids_it(
    driver: Driver, server: Server, gated: Server, tls_of: str, mode: str | None
) -> None:
    used = gated if tls_of == "gate" else server
    query = {"sslmode": mode} if mode else {}
    expected = "refused" if mode == "disable" else "TLS"
    assert outcome(driver, used, f"{tls_of}_tls_only", **query) == expected
    expected = "refused" if mode == "require" else "plain"
    assert outcome(driver, used, f"{tls_of}_plain_only", **query) == expected
