"""`?pgbouncer=true`, alone, is all that a proxy needs which gives each transaction another server."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import ArgumentError

from .support.pgbouncer import PARAMETER, RunPgBouncer
from .support.releases import ROOT
from .support.run import full
from .support.services import Service, opened, settle

pytestmark = pytest.mark.slow

RUNS = 100


@pytest.mark.parametrize("servers", [pytest.param(1, marks=full), 2])
@pytest.mark.parametrize(
    "service",
    [
        *("asyncpg", "psycopg"),
        *(pytest.param(driver, marks=full) for driver in ("psycopg-async", "psycopg2")),
    ],
    indirect=True,
)
def test_no_process_sees_the_result_of_anothers_statement(
    service: Service,
    run_pgbouncer: RunPgBouncer,
    direct_url: str,
    servers: int,
    tmp_path: Path,
) -> None:
    with psycopg.connect(direct_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT * FROM generate_series(1, 100) AS id")
        connection.execute("CREATE TABLE counted AS SELECT 0 AS value")
        connection.execute("CREATE TABLE added (value INTEGER)")
    with run_pgbouncer(direct_url, servers) as url:
        processes = [
            subprocess.Popen(
                [sys.executable, ROOT / "tests/probes/mix.py", kind, service.url(url), str(RUNS)],
                cwd=tmp_path,
                env=os.environ | {"PYTHONPATH": str(service.source)},
                stdout=subprocess.PIPE,
            )
            for kind in ("read", "delete", "write")
        ]
        wrong = [json.loads(process.communicate()[0]) for process in processes]
    assert wrong == [{}, {}, {}]
    with psycopg.connect(direct_url) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (100,)
        assert connection.execute("SELECT count(*) FROM added").fetchone() == (6 * RUNS,)


@pytest.mark.parametrize("engine", ["engine", "read_engine"])
def test_without_the_parameter_the_first_connection_is_refused_by_name(
    service: Service, proxied_url: str, engine: str
) -> None:
    failed = service.module("db").ConnectionFailed

    def connect(engine: Any) -> Any:
        connection = engine.connect()
        return connection.start() if service.io == "async" else connection

    def work(manager: Any) -> None:
        with pytest.raises(failed, match=r"looks like PgBouncer.*\?pgbouncer=true") as raised:
            settle(connect(getattr(manager, engine)))
        assert service.failure_of(raised.value) == "PROXIED"

    for without in (proxied_url.removesuffix(PARAMETER), proxied_url.replace("true", "false")):
        service.use(without, work)
        # Also where no limit is set that a start-up parameter would have to say.
        service.use(without, work, statement_timeout=0, idle_in_transaction_session_timeout=0)


def test_asyncpg_refuses_statements_outside_of_transactions(
    rendered: Mapping[str, Path], proxied_url: str
) -> None:
    """It parses and runs a statement in two steps, which would go to two servers."""
    service = Service("asyncpg", rendered)
    level = {"isolation_level": "AUTOCOMMIT"}

    def work(manager: Any) -> None:
        with opened(manager.Session()) as session, pytest.raises(ArgumentError, match="AUTOCOMMIT"):
            settle(session.connection(execution_options=level))

    def work_at_once(manager: Any) -> None:
        with opened(manager.Session()) as session, pytest.raises(ArgumentError, match="AUTOCOMMIT"):
            settle(session.execute(text("SELECT 1")))

    service.use(proxied_url, work)
    service.use(proxied_url, work_at_once, **level)
