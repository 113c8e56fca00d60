"""A response of 2xx means that what the path operation wrote is in the database."""

from contextlib import suppress

import pytest
from fastapi import BackgroundTasks, FastAPI, Response
from fastapi.testclient import TestClient
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError, InvalidRequestError

from my_service.db import AsyncDatabaseManager
from my_service.web.dependencies import (
    DatabaseManagerDependency,
    DatabaseReadSession,
    DatabaseSession,
)

from ..db.models import Page


async def paths(manager: AsyncDatabaseManager) -> list[str]:
    async with manager.Session() as session:
        result = await session.scalars(select(Page.path))
        return list(result)


async def test_success_is_not_answered_if_a_swallowed_error_has_lost_the_write(
    app: FastAPI,
    manager_with_tables: AsyncDatabaseManager,
) -> None:
    @app.post("/layer-test/swallowed")
    async def swallow(session: DatabaseSession) -> None:
        session.add(Page(path="/"))
        await session.flush()
        with suppress(DBAPIError):
            await session.execute(text("SELECT * FROM layer_test_nowhere"))

    with TestClient(app) as client:
        status = client.post("/layer-test/swallowed").status_code
    assert (status, await paths(manager_with_tables)) == (500, [])


async def test_a_write_after_an_error_in_a_savepoint_is_committed(
    app: FastAPI,
    manager_with_tables: AsyncDatabaseManager,
) -> None:
    @app.post("/layer-test/savepoint")
    async def recover(session: DatabaseSession) -> None:
        try:
            async with session.begin_nested():
                await session.execute(text("SELECT * FROM layer_test_nowhere"))
        except DBAPIError:
            session.add(Page(path="/"))

    with TestClient(app) as client:
        assert client.post("/layer-test/savepoint").status_code == 200
    assert await paths(manager_with_tables) == ["/"]


@pytest.mark.usefixtures("manager_with_tables")
def test_what_is_written_is_there_when_a_background_task_begins(app: FastAPI) -> None:
    seen: list[str] = []

    async def look(manager: AsyncDatabaseManager) -> None:
        seen.extend(await paths(manager))

    @app.post("/layer-test/background")
    async def write(
        session: DatabaseSession, manager: DatabaseManagerDependency, tasks: BackgroundTasks
    ) -> Response:
        session.add(Page(path="/"))
        tasks.add_task(look, manager)
        return Response("saved", 202)

    with TestClient(app) as client:
        assert client.post("/layer-test/background").status_code == 202
    assert seen == ["/"]


async def test_a_session_that_is_used_after_the_response_raises_an_error(
    app: FastAPI,
    manager_with_tables: AsyncDatabaseManager,
) -> None:
    async def write_late(session: DatabaseSession) -> None:
        session.add(Page(path="/late"))
        await session.flush()

    @app.post("/layer-test/late")
    async def write(session: DatabaseSession, tasks: BackgroundTasks) -> None:
        session.add(Page(path="/"))
        tasks.add_task(write_late, session)

    with TestClient(app) as client, pytest.raises(RuntimeError) as caught:
        client.post("/layer-test/late")
    assert isinstance(caught.value.__cause__, InvalidRequestError)
    assert await paths(manager_with_tables) == ["/"]


@pytest.mark.usefixtures("manager_with_tables")
def test_a_read_finds_what_the_request_before_has_written(app: FastAPI) -> None:
    @app.put("/layer-test/visits/{visits}")
    async def write(visits: int, session: DatabaseSession) -> None:
        await Page.update_or_create(session, {"visits": visits}, path="/")

    @app.get("/layer-test/visits")
    async def read(session: DatabaseReadSession) -> int:
        page = await Page.get_one(session, path="/")
        return page.visits

    with TestClient(app) as client:
        for number in range(20):
            client.put(f"/layer-test/visits/{number}")
            assert client.get("/layer-test/visits").json() == number
