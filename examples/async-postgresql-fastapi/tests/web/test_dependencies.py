from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi import FastAPI, HTTPException
from fastapi.testclient import TestClient
from sqlalchemy import select, text

from my_service.db import AsyncDatabaseManager
from my_service.web.dependencies import (
    DatabaseSession,
    make_db_session,
)

from ..db.models import Page


async def paths(manager: AsyncDatabaseManager) -> list[str]:
    async with manager.Session() as session:
        result = await session.scalars(select(Page.path))
        return list(result)


async def test_a_session_is_committed_at_the_end(manager_with_tables: AsyncDatabaseManager) -> None:
    async with make_db_session(manager_with_tables) as session:
        session.add(Page(path="/"))
    assert await paths(manager_with_tables) == ["/"]


async def test_a_session_is_rolled_back_on_any_error(
    manager_with_tables: AsyncDatabaseManager,
) -> None:
    async def fail() -> None:
        async with make_db_session(manager_with_tables) as session:
            session.add(Page(path="/"))
            await session.flush()
            raise KeyError

    with pytest.raises(KeyError):
        await fail()
    assert await paths(manager_with_tables) == []


async def test_an_http_error_rolls_back_too(
    app: FastAPI,
    manager_with_tables: AsyncDatabaseManager,
) -> None:
    @app.post("/layer-test/broken")
    async def broken(session: DatabaseSession) -> None:
        session.add(Page(path="/"))
        await session.flush()
        raise HTTPException(400)

    with TestClient(app) as client:
        assert client.post("/layer-test/broken").status_code == 400
    assert await paths(manager_with_tables) == []


@pytest.mark.usefixtures("manager_with_tables")
def test_a_commit_that_fails_is_not_answered_with_success(app: FastAPI) -> None:
    @app.post("/layer-test/late")
    async def late(session: DatabaseSession) -> dict[str, str]:
        session.add_all([Page(path="/"), Page(path="/")])
        return {"status": "saved"}

    with TestClient(app) as client:
        assert client.post("/layer-test/late").status_code == 409


@pytest.mark.usefixtures("manager_with_tables")
def test_more_requests_than_connections_are_all_answered(app: FastAPI) -> None:
    @app.get("/layer-test/page")
    async def read(session: DatabaseSession) -> int | None:
        page = await session.scalar(select(Page))
        return page and page.visits

    @app.put("/layer-test/page/{visits}")
    async def write(visits: int, session: DatabaseSession) -> None:
        await Page.update_or_create(session, {"visits": visits}, path="/")

    with TestClient(app) as client, ThreadPoolExecutor(24) as executor:

        def request(number: int) -> int:
            if number % 4:
                return client.get("/layer-test/page").status_code
            return client.put(f"/layer-test/page/{number}").status_code

        assert set(executor.map(request, range(48))) == {200}


def test_one_manager_serves_all_requests(app: FastAPI) -> None:
    seen = set()

    @app.get("/layer-test/connection")
    async def connection(session: DatabaseSession) -> None:
        await session.execute(text("SELECT 1"))
        seen.add(id(session.get_bind()))

    with TestClient(app) as client:
        for _ in range(10):
            client.get("/layer-test/connection")
    assert len(seen) == 1
