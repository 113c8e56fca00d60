"""Each request is logged in one line; all lines of a request have its id."""

import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import URL, literal, select

from my_service.web.dependencies import DatabaseReadSession

from .apps import app_for


@contextmanager
def serving(url: URL, **settings: Any) -> Iterator[TestClient]:
    """Serve an application without pytest's log handlers, with paths that log."""
    root = logging.root
    before = root.handlers, root.level
    root.handlers = []
    app = app_for(url, **settings)

    @app.get("/layer-test/log")
    def write() -> None:
        logging.getLogger("owner").info("hello")

    @app.get("/layer-test/log/{text}")
    async def query(text: str, session: DatabaseReadSession) -> str | None:
        return await session.scalar(select(literal(text)))

    try:
        with TestClient(app) as client:
            yield client
    finally:
        root.handlers, root.level = before


def test_each_line_of_a_request_has_its_id(url: URL, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(url) as client:
        response = client.get("/layer-test/log", headers={"X-Request-ID": "from-the-proxy"})
    assert response.headers["X-Request-ID"] == "from-the-proxy"
    mark = "INFO: [from-the-proxy] "
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith(mark)]
    hello, request = lines
    assert hello == f"{mark}hello"
    assert re.fullmatch(r"GET /layer-test/log 200 \d+\.\d ms", request.removeprefix(mark))


def test_lines_in_json_have_the_fields_of_the_request(
    url: URL,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with serving(url, log_format="json") as client:
        request_id = client.get("/layer-test/log").headers["X-Request-ID"]
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    hello, request = (line for line in lines if line.get("request_id") == request_id)
    assert hello["message"] == "hello"
    assert (request["method"], request["path"]) == ("GET", "/layer-test/log")
    assert request["status"] == 200
    assert request["duration_ms"] >= 0
    assert request["level"] == "INFO"
    assert "timestamp" in request


def test_a_path_or_an_id_cannot_forge_a_line(url: URL, capsys: pytest.CaptureFixture[str]) -> None:
    long = "x" * 200
    with serving(url) as client:
        response = client.get("/x%0aINFO:%20forged", headers={"X-Request-ID": long})
    assert response.headers["X-Request-ID"] != long
    lines = capsys.readouterr().err.splitlines()
    assert not any(line.startswith("INFO: forged") for line in lines)
    assert any(re.search(r"GET /x%0AINFO%3A%20forged 404", line) for line in lines)


@pytest.mark.parametrize(("seconds", "count"), [(0, 0), (1e-9, 1)])
def test_slow_statements_are_logged_without_values_if_a_limit_is_set(
    url: URL,
    capsys: pytest.CaptureFixture[str],
    seconds: float,
    count: int,
) -> None:
    with serving(url, slow_statement=seconds) as client:
        assert client.get("/layer-test/log/secret").json() == "secret"
    lines = capsys.readouterr().err.splitlines()
    logged = "\n".join(line for line in lines if "SELECT" in line)
    assert logged.count("Slow statement") == count
    assert "secret" not in logged
