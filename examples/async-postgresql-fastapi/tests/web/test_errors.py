"""Errors are answered with problem details and without internals."""

import logging
from collections.abc import Iterator
from typing import Annotated

import pytest
from fastapi import Body, FastAPI, HTTPException
from fastapi.testclient import TestClient
from sqlalchemy import URL, text

from my_service.db import AsyncDatabaseManager
from my_service.web.dependencies import DatabaseSession

from ..db.models import Link, Page
from .apps import app_for

STATUSES = {"400", "404", "409", "413", "422", "500", "503"}


@pytest.fixture
def broken(app: FastAPI, manager_with_tables: AsyncDatabaseManager) -> Iterator[TestClient]:
    """A client of path operations that violate constraints or fail otherwise."""

    @app.post("/layer-test/unique")
    async def violate_unique(session: DatabaseSession) -> None:
        session.add_all([Page(path="/secret"), Page(path="/secret")])

    @app.post("/layer-test/foreign-key")
    async def violate_foreign_key(session: DatabaseSession) -> None:
        session.add(Link(page_id=4711, target="/secret"))

    @app.post("/layer-test/not-null")
    async def violate_not_null(session: DatabaseSession) -> None:
        statement = text("INSERT INTO layer_test_pages (visits, title) VALUES (1, :title)")
        await session.execute(statement, {"title": "secret"})

    @app.post("/layer-test/check")
    async def violate_check(session: DatabaseSession) -> None:
        table = "CREATE TABLE layer_test_checked (age INTEGER CHECK (age > 0))"
        await session.execute(text(table))
        await session.execute(text("INSERT INTO layer_test_checked VALUES (-4711)"))

    @app.post("/layer-test/syntax")
    async def fail_in_sql(session: DatabaseSession) -> None:
        statement = text("SELECT * FROM layer_test_nowhere WHERE title = :title")
        await session.execute(statement, {"title": "secret"})

    @app.post("/layer-test/invalid")
    async def need_a_number(number: Annotated[int, Body(embed=True)]) -> int:
        return number

    @app.get("/layer-test/missing")
    async def find_nothing() -> None:
        raise HTTPException(404, "There is no such page.")

    @app.post("/layer-test/bug")
    async def fail() -> None:
        raise KeyError("secret")

    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "status", "columns"),
    [
        ("unique", 409, ["path"]),
        ("foreign-key", 409, ["page_id"]),
        ("not-null", 422, ["path"]),
        ("check", 422, []),
    ],
)
def test_a_violated_constraint_is_answered_with_the_columns_that_the_driver_names(
    broken: TestClient,
    path: str,
    status: int,
    columns: list[str],
) -> None:
    response = broken.post(f"/layer-test/{path}")
    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/problem+json"
    problem = response.json()
    assert problem["columns"] == columns
    assert problem["status"] == status
    assert all(column in problem["detail"] for column in columns)


@pytest.mark.parametrize("path", ["unique", "foreign-key", "not-null", "check", "syntax", "bug"])
def test_answers_and_logs_of_errors_contain_neither_values_nor_sql(
    broken: TestClient,
    caplog: pytest.LogCaptureFixture,
    path: str,
) -> None:
    with caplog.at_level(logging.INFO):
        response = broken.post(f"/layer-test/{path}")
    logged = "\n".join(map(logging.Formatter().format, caplog.records))
    for hidden in ("secret", "4711", "INSERT", "SELECT"):
        assert hidden not in response.text
        if path != "bug":
            # A traceback contains lines of the owner's code.
            lines = [line for line in logged.splitlines() if not line.startswith("    ")]
            assert hidden not in "\n".join(lines)


@pytest.mark.parametrize("path", ["syntax", "bug"])
def test_an_unexpected_error_is_answered_with_500(broken: TestClient, path: str) -> None:
    response = broken.post(f"/layer-test/{path}")
    assert response.status_code == 500
    assert response.json()["title"] == "Internal Server Error"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/layer-test/nowhere", 404),
        ("GET", "/layer-test/missing", 404),
        ("PATCH", "/layer-test/missing", 405),
    ],
)
def test_an_unknown_path_row_or_method_is_answered_with_problem_details(
    broken: TestClient,
    method: str,
    path: str,
    status: int,
) -> None:
    response = broken.request(method, path)
    assert response.headers["Content-Type"] == "application/problem+json"
    problem = response.json()
    assert problem.keys() == {"type", "title", "status", "detail"}
    assert problem["status"] == response.status_code == status


def test_an_invalid_request_is_answered_without_the_values_that_were_sent(
    broken: TestClient,
) -> None:
    response = broken.post("/layer-test/invalid", json={"number": ["secret" * 1000]})
    assert response.status_code == 422
    assert response.json()["errors"][0]["loc"] == ["body", "number"]
    assert "secret" not in response.text


def test_a_body_that_is_too_large_is_answered_with_413(url: URL) -> None:
    app = app_for(url, max_body_size=1000)

    @app.post("/layer-test/size")
    async def measure(text: Annotated[str, Body()]) -> int:
        return len(text)

    with TestClient(app) as client:
        for content in (b"x" * 1001, iter([b"x" * 600] * 2)):
            response = client.post("/layer-test/size", content=content)
            assert response.status_code == 413
            assert response.headers["Content-Type"] == "application/problem+json"
            assert "1000" in response.json()["detail"]
        assert client.post("/layer-test/size", json="x" * 998).json() == 998


def test_every_operation_declares_the_errors(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    operations = [operation for path in paths.values() for operation in path.values()]
    assert len(operations) >= 2
    for operation in operations:
        assert operation["responses"].keys() >= STATUSES
        assert "application/problem+json" in operation["responses"]["404"]["content"]
