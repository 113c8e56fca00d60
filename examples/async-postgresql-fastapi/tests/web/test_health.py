from fastapi.testclient import TestClient
from sqlalchemy import URL

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
    with TestClient(app_for(nowhere)) as client:
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json()) == (503, {"status": "unreachable"})
        assert client.get("/livez").status_code == 200
        users = client.get("/users")
        assert users.status_code == 503
        assert users.headers["Retry-After"] == "1"
