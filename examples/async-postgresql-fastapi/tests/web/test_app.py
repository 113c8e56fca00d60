from typing import Annotated

from fastapi import Depends
from fastapi.testclient import TestClient

from my_service.config import Settings, get_settings
from my_service.web.app import create_app


def test_a_route_gets_the_settings_that_the_application_was_built_with() -> None:
    settings = Settings(production=True)
    app = create_app(settings)

    @app.get("/production")
    async def production(given: Annotated[Settings, Depends(get_settings)]) -> bool:
        return given.production and given is settings

    with TestClient(app) as client:
        assert client.get("/production").json() is True
