import pytest
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from fastapi.testclient import TestClient
from sqlalchemy import text
from starlette.testclient import WebSocketDenialResponse

from my_service.web.dependencies import (
    DatabaseReadSession,
    DatabaseSession,
)

from ..db.models import Page


def test_a_websocket_route_may_use_both_sessions(app: FastAPI) -> None:
    @app.websocket("/layer-test/socket")
    async def answer(
        socket: WebSocket,
        writer: DatabaseSession,
        reader: DatabaseReadSession,
    ) -> None:
        await socket.accept()
        for session in (writer, reader):
            await socket.send_json(await session.scalar(text("SELECT 1 + 1")))
        await socket.close()

    with TestClient(app) as client, client.websocket_connect("/layer-test/socket") as socket:
        assert [socket.receive_json(), socket.receive_json()] == [2, 2]


@pytest.mark.usefixtures("manager_with_tables")
@pytest.mark.parametrize("is_closed", [False, True])
def test_a_commit_that_fails_closes_the_websocket_and_is_logged(
    app: FastAPI,
    caplog: pytest.LogCaptureFixture,
    is_closed: bool,
) -> None:
    @app.websocket("/layer-test/socket")
    async def write(socket: WebSocket, session: DatabaseSession) -> None:
        await socket.accept()
        session.add_all([Page(path="/"), Page(path="/")])
        if is_closed:
            await socket.close()

    with (
        TestClient(app) as client,
        client.websocket_connect("/layer-test/socket") as socket,
        pytest.raises(WebSocketDisconnect) as caught,
    ):
        socket.receive_json()
    assert caught.value.code == (1000 if is_closed else 1011)
    assert "WebSocket '/layer-test/socket': unique violation" in caplog.text


def test_a_database_error_before_the_websocket_is_accepted_is_answered(app: FastAPI) -> None:
    @app.websocket("/layer-test/socket")
    async def fail(socket: WebSocket, session: DatabaseSession) -> None:
        await session.execute(text("SELECT * FROM layer_test_nowhere"))

    with (
        TestClient(app) as client,
        pytest.raises(WebSocketDenialResponse) as caught,
        client.websocket_connect("/layer-test/socket"),
    ):
        pass
    assert caught.value.status_code == 500
