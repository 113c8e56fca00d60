"""Which server decides whether a service with a replica is ready."""

import pytest
from sqlalchemy import make_url

from .support.services import Request, Service, settle

pytestmark = pytest.mark.slow


@pytest.fixture
def database(postgres_url: str, service: Service) -> str:
    """The URL of a database with the tables of the service."""
    service.use(postgres_url, lambda manager: settle(manager.create()))
    return postgres_url


@pytest.fixture
def nowhere(database: str) -> str:
    return make_url(database).set(port=1).render_as_string(hide_password=False)


def test_a_service_whose_replica_is_missing_stays_ready(
    service: Service, database: str, nowhere: str
) -> None:
    def work(request: Request) -> None:
        assert request("GET", "/readyz") == 200
        assert request("POST", "/users", {"name": "ada"}) == 201
        assert request("GET", "/users") == 503

    service.serve(database, work, read_url=service.url(nowhere))


def test_a_service_that_can_only_read_is_not_ready(
    service: Service, database: str, nowhere: str
) -> None:
    def work(request: Request) -> None:
        assert request("GET", "/readyz") == 503
        assert request("GET", "/users") == 200

    service.serve(nowhere, work, read_url=service.url(database))
