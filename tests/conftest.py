import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pytest_copier.plugin import CopierFixture

from .support.copiers import Render, read_once
from .support.layers import POSTGRESQL, SQLITE, Driver, load
from .support.owner import edit
from .support.pgbouncer import direct_url, pgbouncer_url, proxied_url, run_pgbouncer
from .support.releases import Template, build_template, copy_working_tree, git
from .support.run import (
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_terminal_summary,
    pytest_xdist_auto_num_workers,
    pytest_xdist_make_scheduler,
)
from .support.services import service
from .support.shared import ByVariant, Shared
from .support.tls import Certificates, Server, gate, server_with_tls
from .support.tools import Tools
from .support.variants import VARIANTS

__all__ = [
    "direct_url",
    "pgbouncer_url",
    "proxied_url",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_terminal_summary",
    "pytest_xdist_auto_num_workers",
    "pytest_xdist_make_scheduler",
    "run_pgbouncer",
    "service",
]


@pytest.fixture(scope="session", autouse=True)
def clean_environment(sessionpatch: pytest.MonkeyPatch) -> None:
    """Hide what the environment of this run would tell the projects' own tools."""
    for name in ("DATABASE_URL", "TEST_DATABASE_URL", "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE"):
        sessionpatch.delenv(name, raising=False)
    for name in list(os.environ):
        if name.startswith(("DATABASE__", "PYTEST_", "COV_", "PG")):
            sessionpatch.delenv(name)
    # For the commits in projects, on a machine where nobody has told git a name.
    for role in ("AUTHOR", "COMMITTER"):
        sessionpatch.setenv(f"GIT_{role}_NAME", "Ada")
        sessionpatch.setenv(f"GIT_{role}_EMAIL", "ada@example.org")


@pytest.fixture(scope="session")
def set_default_gitconfig() -> Mapping[str, str]:
    """Let Git do less for repositories that are soon removed."""
    return {"core.looseCompression": "0", "maintenance.auto": "false"}


@pytest.fixture(scope="session", autouse=True)
def commits_are_read_once(
    sessionpatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    read_once(sessionpatch, tmp_path_factory.mktemp("clones"))


@pytest.fixture(scope="session")
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Shared:
    return Shared(request.config, tmp_path_factory)


@pytest.fixture(scope="session")
def copier_template(shared: Shared, clean_environment: None) -> Path:
    """A repository of what is in the working tree, committed or not."""

    def make(folder: Path) -> None:
        folder.mkdir()
        copy_working_tree(folder)
        git(folder, "init", "--quiet")
        Template(folder).release("99.99.99")

    return shared.make("source", make)


@pytest.fixture(scope="session")
def render(
    copier_template: Path,
    tmp_path_factory: pytest.TempPathFactory,
    sessionpatch: pytest.MonkeyPatch,
) -> Render:
    """Render a project with the given answers into a new folder, and return the folder."""
    copier = CopierFixture(copier_template, {}, sessionpatch)

    def render(**answers: Any) -> Path:
        return copier.copy(tmp_path_factory.mktemp("project"), **answers).path

    return render


@pytest.fixture(scope="session")
def rendered(
    render: Render, shared: Shared, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, Path]:
    """All variants with the default names: look, run their tools, but change nothing.

    Each is rendered once in a run, and each process has a copy.
    """
    folder = tmp_path_factory.mktemp("rendered")

    def make(name: str) -> Path:
        first = shared.make(
            f"rendered-{name}", lambda folder: render(**VARIANTS[name]).rename(folder)
        )
        return Path(shutil.copytree(first, folder / name))

    return ByVariant(make)


@pytest.fixture(params=VARIANTS)
def variant(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def project(rendered: Mapping[str, Path], variant: str) -> Path:
    return rendered[variant]


@pytest.fixture(params=["asyncpg", "psycopg-async", "psycopg"])
def driver(request: pytest.FixtureRequest, rendered: Mapping[str, Path]) -> Driver:
    """The rendered layer with a driver that reads libpq's parameters, or is made to."""
    return Driver(request.param, rendered)


@pytest.fixture(params=POSTGRESQL)
def postgresql(request: pytest.FixtureRequest, rendered: Mapping[str, Path]) -> Driver:
    return Driver(request.param, rendered)


@pytest.fixture(params=SQLITE)
def sqlite(request: pytest.FixtureRequest, rendered: Mapping[str, Path]) -> Driver:
    return Driver(request.param, rendered)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def server(rendered: Mapping[str, Path], certificates: Certificates) -> Iterator[Server]:
    """A server with TLS, where it was built with it."""
    postgres = load(rendered["sync-postgresql"] / "tests/postgres.py", "postgres_with_tls")
    with server_with_tls(postgres, certificates) as server:
        yield server


@pytest.fixture(scope="session")
def gated(server: Server, certificates: Certificates) -> Iterator[Server]:
    """The same server, through a gate that speaks TLS."""
    with gate(server, certificates) as gated:
        yield gated


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the certificates in ~/.postgresql."""
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture(scope="session")
def template(shared: Shared) -> Template:
    """A repository with every released version of the template, and what is in the working tree."""
    return Template(shared.make("template", build_template))


@pytest.fixture
def later(template: Template, tmp_path: Path) -> Template:
    """The template, to be changed for a release that comes later."""
    return template.fork(tmp_path / "template")


@pytest.fixture(scope="session")
def untouched(template: Template, shared: Shared) -> Mapping[str, Path]:
    """All variants as repositories, as they are rendered today: copy them, but change nothing."""

    def make(name: str) -> Path:
        return shared.make(
            f"untouched-{name}", lambda folder: template.copy(folder, **VARIANTS[name])
        )

    return ByVariant(make)


@pytest.fixture(scope="session")
def edited(untouched: Mapping[str, Path], shared: Shared) -> Mapping[str, Path]:
    """What an owner would make of them: copy it, but change nothing."""

    def make(name: str) -> Path:
        return shared.make(
            f"edited-{name}", lambda folder: edit(Path(shutil.copytree(untouched[name], folder)))
        )

    return ByVariant(make)


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory, shared: Shared) -> Tools:
    return Tools(tmp_path_factory.mktemp("tools"), shared)


@pytest.fixture(scope="session")
def postgres(rendered: Mapping[str, Path]) -> Iterator[str]:
    """The URL of a server, started by the very code that the rendered projects carry."""
    module = load(rendered["sync-postgresql"] / "tests/postgres.py", "postgres")
    with module.postgres_server() as url:
        yield url


@pytest.fixture
def postgres_url(postgres: str, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database on the server."""
    name = re.sub(r"\W", "_", tmp_path.name)
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
        yield f"{postgres.rsplit('/', 1)[0]}/{name}"
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
def database_url(request: pytest.FixtureRequest, variant: str, tmp_path: Path) -> str:
    """The URL of an empty database of the variant's kind."""
    if "sqlite" in variant:
        return f"sqlite:///{tmp_path}/service.db"
    url: str = request.getfixturevalue("postgres_url")
    return url
