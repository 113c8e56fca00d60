from typing import Annotated

import pytest
from fastapi import Depends
from fastapi.testclient import TestClient
from sqlalchemy import URL

from my_service.config import Settings, get_settings
from my_service.web.app import create_app

from .apps import app_for

ORIGIN = "https://example.org"


def test_a_route_gets_the_settings_that_the_application_was_built_with() -> None:
    settings = Settings(production=True)
    app = create_app(settings)

    @app.get("/production")
    async def production(given: Annotated[Settings, Depends(get_settings)]) -> bool:
        return given.production and given is settings

    with TestClient(app) as client:
        assert client.get("/production").json() is True


def test_the_pages_about_the_api_need_no_other_server(client: TestClient) -> None:
    for page in ("/docs", "/redoc"):
        assert "https://" not in client.get(page).text
    assert client.get("/static-offline-docs/swagger-ui-bundle.js").status_code == 200


def test_the_pages_about_the_api_can_be_switched_off(url: URL) -> None:
    with TestClient(app_for(url, docs=False)) as client:
        for page in ("/docs", "/redoc", "/openapi.json"):
            assert client.get(page).status_code == 404


@pytest.mark.parametrize("origins", [[], [ORIGIN]])
def test_only_pages_of_the_origins_in_the_settings_may_use_the_api(
    url: URL,
    origins: list[str],
) -> None:
    with TestClient(app_for(url, cors_origins=origins)) as client:
        headers = client.get("/livez", headers={"Origin": ORIGIN}).headers
    assert headers.get("Access-Control-Allow-Origin") == (ORIGIN if origins else None)


def test_responses_have_security_headers(client: TestClient) -> None:
    for path in ("/livez", "/nowhere"):
        headers = client.get(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
