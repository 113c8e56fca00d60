"""A password of any characters goes all the way, and is seen nowhere on it."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from psycopg import sql

from .support.run import full
from .support.tools import Tools

pytestmark = pytest.mark.slow

PASSWORD = "s3cret@:/#%? +&=%25$'\"\\"  # noqa: S105


@pytest.mark.parametrize(
    "variant", ["async-postgresql", pytest.param("sync-postgresql", marks=full)]
)
def test_a_password_of_any_characters_reaches_the_server_and_no_output(
    rendered: Mapping[str, Path], tools: Tools, postgres: str, variant: str
) -> None:
    role = variant.replace("-", "_") + "_role"
    with psycopg.connect(postgres, autocommit=True) as connection:
        for statement in ("CREATE ROLE {0} LOGIN PASSWORD {1}", "CREATE DATABASE {0} OWNER {0}"):
            query = sql.SQL(statement).format(sql.Identifier(role), sql.Literal(PASSWORD))
            connection.execute(query)
    server = f"{postgres.rpartition('@')[2].partition('/')[0]}/{role}"
    url = f"postgresql://{role}:{quote(PASSWORD, safe='')}@{server}"
    wrong = f"postgresql://{role}:{quote('wrong' + PASSWORD, safe='')}@{server}"

    def run(command: str, fails: bool = False, **environment: str) -> str:
        shown = tools.run(
            rendered[variant],
            "sh",
            "-c",
            f"{command} 2>&1",
            fails=fails,
            **{"DATABASE__SQLALCHEMY__ECHO": "true", **environment},
        )
        for secret in (PASSWORD, repr(PASSWORD)[1:-1], quote(PASSWORD, safe=""), "s3cret"):
            assert secret not in shown
        return shown

    assert "Applied 0001" in run("alembic upgrade head", DATABASE_URL=url)
    assert "up to date" in run("my-service db status", DATABASE__SQLALCHEMY__URL=url)
    assert "up-to-date" in run("my-service db sync", DATABASE_URL=url)
    for command in ("alembic upgrade head", "my-service db sync"):
        shown = run(command, fails=True, DATABASE_URL=wrong)
        assert "the server rejected the user or the password in DATABASE_URL" in shown
    bare = url.replace(quote(PASSWORD, safe=""), "s3cret@:/")
    assert "percent-encoded" in run("my-service db status", fails=True, DATABASE_URL=bare)
