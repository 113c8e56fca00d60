"""The examples in docs/http.md work as described."""

import asyncio
import shutil
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from .support.run import full
from .support.serving import Answer, Server, serving
from .support.structure import block

pytestmark = pytest.mark.slow

CLIENTS, ROUNDS = 16, 6
ADDED = """
    from my_service.web.retry import RetryMiddleware

    app.add_middleware(RetryMiddleware)
    return app
"""


def example(project: Path, content: str) -> str:
    return block((project / "docs/http.md").read_text(), content)


@pytest.fixture
def serializable(postgres_url: str) -> str:
    """The URL of a database whose transactions are serializable by default."""
    name = urlsplit(postgres_url).path.removeprefix("/")
    with psycopg.connect(postgres_url) as connection:
        connection.execute(
            f"ALTER DATABASE {name} SET default_transaction_isolation TO serializable".encode()
        )
    return postgres_url


async def write(server: Server) -> list[Answer]:
    """Create users and replace the same user from many clients at once."""

    async def client(number: int) -> list[Answer]:
        answers = []
        for turn in range(ROUNDS):
            name = f"{number}-{turn}"
            body = f'{{"name": "{name}", "full_name": "full {name}"}}'
            answers.append(await server.fetch("/users", "POST", body))
            body = body.replace('"name": "', '"name": "put ', 1)
            answers.append(await server.fetch("/users/1", "PUT", body))
            answers.append(await server.fetch("/users/1"))
        return answers

    await server.fetch("/users", "POST", '{"name": "first"}')
    answers = await asyncio.gather(*(client(number) for number in range(CLIENTS)))
    return list(chain.from_iterable(answers))


@pytest.mark.parametrize(
    ("is_retried", "io"),
    [(True, "async"), (True, "sync"), (False, "async"), pytest.param(False, "sync", marks=full)],
)
def test_with_the_middleware_no_request_fails_because_of_a_concurrent_one(
    rendered: Mapping[str, Path], tmp_path: Path, serializable: str, io: str, is_retried: bool
) -> None:
    project = tmp_path / "project"
    shutil.copytree(rendered[f"{io}-postgresql-fastapi"], project)
    retry = example(project, "class RetryMiddleware")
    (project / "src/my_service/web/retry.py").write_text(retry)
    added = ADDED if is_retried else ""
    settings = {"DATABASE_URL": serializable, "DATABASE__SQLALCHEMY__POOL_TIMEOUT": "30"}
    with serving(project, tmp_path, added=added, **settings) as server:
        server.sync(project, **settings)
        answers = asyncio.run(write(server))
    statuses = {answer.status for answer in answers}
    if not is_retried:
        assert 503 in statuses
        return
    assert statuses == {200, 201}, statuses
    with psycopg.connect(serializable) as connection:
        names = connection.execute("SELECT name, full_name FROM users ORDER BY id").fetchall()
    assert len(names) == 1 + CLIENTS * ROUNDS
    assert names[0][0].removeprefix("put ") == names[0][1].removeprefix("full ")


@pytest.mark.parametrize("io", ["async", "sync"])
def test_the_route_that_retries_its_work_succeeds(
    rendered: Mapping[str, Path], tmp_path: Path, serializable: str, io: str
) -> None:
    project = tmp_path / "project"
    shutil.copytree(rendered[f"{io}-postgresql-fastapi"], project)
    users = project / "src/my_service/web/users.py"
    text = users.read_text().replace(
        "import DatabaseRead", "import DatabaseManagerDependency, DatabaseRead"
    )
    users.write_text(
        f"{text}\n\n{example(project, 'await manager.run' if io == 'async' else 'manager.run')}"
    )
    settings = {"DATABASE_URL": serializable, "DATABASE__SQLALCHEMY__POOL_TIMEOUT": "30"}

    async def greet(server: Server) -> list[Answer]:
        await server.fetch("/users", "POST", '{"name": "ada", "full_name": "Ada"}')
        requests = (server.fetch("/users/1/greetings", "POST") for _ in range(CLIENTS))
        return await asyncio.gather(*requests)

    with serving(project, tmp_path, **settings) as server:
        server.sync(project, **settings)
        answers = asyncio.run(greet(server))
        user = server.get("/users/1").body
    assert {answer.status for answer in answers} == {200}
    assert user.count("Dear ") == CLIENTS
