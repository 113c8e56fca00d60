from fastapi.testclient import TestClient
from sqlalchemy import URL, text

from my_service.web.dependencies import DatabaseSession

from .conftest import app_for


def test_the_service_is_ready_with_a_migrated_database(client: TestClient) -> None:
    assert client.get("/livez").json() == {"status": "ok"}
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json()) == (200, {"status": "up to date"})


def test_an_empty_database_is_not_ready(empty_url: URL) -> None:
    with TestClient(app_for(empty_url)) as client:
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json()) == (503, {"status": "empty"})
        assert client.get("/livez").status_code == 200


def test_a_database_that_does_not_answer_is_not_ready(server: URL) -> None:
    nowhere = server.set(port=1)
    app = app_for(nowhere)

    @app.get("/work")
    async def work(session: DatabaseSession) -> None:
        await session.execute(text("SELECT 1"))

    with TestClient(app) as client:
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json()) == (503, {"status": "unreachable"})
        assert client.get("/livez").status_code == 200
        answer = client.get("/work")
        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == "1"
