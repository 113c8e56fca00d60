"""Requests wait for a connection and are answered with 503 if they get none in time."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import URL, Pool, event, text

from my_service.config import SQLAlchemySettings
from my_service.web.dependencies import (
    DatabaseReadSession,
    DatabaseSession,
)

from .apps import app_for

POOL = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 0.1}


@pytest.fixture
def small(url: URL) -> FastAPI:
    """An application with one connection that writes and one that reads."""
    app = app_for(url, POOL)

    @app.get("/layer-test/writer")
    async def write(session: DatabaseSession) -> None:
        await session.execute(text("SELECT 1"))

    @app.get("/layer-test/reader")
    async def read(session: DatabaseReadSession) -> None:
        await session.execute(text("SELECT 1"))

    return app


def occupy(app: FastAPI, session_type: Any) -> tuple[threading.Event, threading.Event]:
    """Add `/layer-test/long`; its session is open from the first event to the second."""
    began, ends = threading.Event(), threading.Event()

    @app.get("/layer-test/long")
    async def hold(session: session_type) -> None:
        await session.execute(text("SELECT 1"))
        began.set()
        await asyncio.to_thread(ends.wait, 10)

    return began, ends


@pytest.mark.parametrize(
    ("session_type", "path"),
    [(DatabaseSession, "writer"), (DatabaseReadSession, "reader")],
)
def test_a_request_that_gets_no_connection_in_time_is_answered_with_503(
    small: FastAPI,
    session_type: Any,
    path: str,
) -> None:
    began, ends = occupy(small, session_type)
    with TestClient(small) as client, ThreadPoolExecutor(9) as executor:
        long = executor.submit(client.get, "/layer-test/long")
        assert began.wait(10)
        try:
            waiting = [executor.submit(client.get, f"/layer-test/{path}") for _ in range(8)]
            for response in (future.result() for future in waiting):
                assert response.status_code == 503
                assert response.headers["Retry-After"] == "1"
            # Health checks do not use the connections of requests.
            assert client.get("/livez").status_code == 200
            assert client.get("/readyz").status_code == 200
        finally:
            ends.set()
        assert long.result().status_code == 200
        assert client.get(f"/layer-test/{path}").status_code == 200


def test_a_crowd_of_requests_opens_no_connection_twice(url: URL) -> None:
    app, opened = app_for(url), []

    @app.get("/layer-test/reader")
    async def read(session: DatabaseReadSession) -> None:
        await session.execute(text("SELECT 1"))
        await asyncio.sleep(0.05)

    def note(*args: object) -> None:
        opened.append(args)

    event.listen(Pool, "connect", note)
    try:
        with TestClient(app) as client, ThreadPoolExecutor(24) as executor:
            for _ in range(4):
                list(executor.map(client.get, ["/layer-test/reader"] * 24))
    finally:
        event.remove(Pool, "connect", note)
    assert len(opened) <= SQLAlchemySettings().pool_size


def test_readers_do_not_wait_for_writers(small: FastAPI) -> None:
    began, ends = occupy(small, DatabaseSession)
    with TestClient(small) as client, ThreadPoolExecutor(1) as executor:
        long = executor.submit(client.get, "/layer-test/long")
        assert began.wait(10)
        assert client.get("/layer-test/reader").status_code == 200
        ends.set()
        assert long.result().status_code == 200
