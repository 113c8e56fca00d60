from fastapi import FastAPI, WebSocket
from fastapi.testclient import TestClient
from sqlalchemy import text

from my_service.web.dependencies import (
    DatabaseReadSession,
    DatabaseSession,
)


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
