import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pytest_copier.plugin import CopierFixture

from .layers import POSTGRESQL, SQLITE, Driver, load
from .owner import edit
from .releases import Template, build_template
from .tls import Certificates, Server, gate, server_with_tls
from .variants import VARIANTS

ROOT = Path(__file__).parents[1]
Render = Callable[..., Path]


COUNTED = {
    "updates of changed projects, versions x variants": "test_an_update_merges_what_is_new",
    "updates of unchanged projects, versions x variants": "test_an_update_of_a_project_that_nobody",
    "transitions of unchanged projects": "test_a_project_that_nobody_has_changed_becomes",
    "transitions of changed projects": "test_what_the_owner_has_written_survives",
}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how much has been proved: how many updates, transitions and hostile answers."""
    passed = [
        report for report in terminalreporter.stats.get("passed", []) if report.when == "call"
    ]
    for title, test in COUNTED.items():
        seconds = [report.duration for report in passed if f"::{test}" in report.nodeid]
        if seconds:
            terminalreporter.write_line(f"{title}: {len(seconds)}, {sum(seconds):.0f} s")
    for report in passed:
        for title, count in report.user_properties:
            terminalreporter.write_line(f"{title}: {count}, {report.duration:.0f} s")


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
def copier_template_paths() -> list[str]:
    return ["copier.yml", "extensions", "template"]


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
def rendered(render: Render) -> Iterator[dict[str, Path]]:
    """All variants with the default names, rendered once: look, but change nothing."""
    folders = {name: render(**answers) for name, answers in VARIANTS.items()}
    yield folders
    for folder in folders.values():
        shutil.rmtree(folder)


@pytest.fixture(params=VARIANTS)
def variant(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def project(rendered: dict[str, Path], variant: str) -> Path:
    return rendered[variant]


@pytest.fixture(params=["asyncpg", "psycopg-async", "psycopg"])
def driver(request: pytest.FixtureRequest, rendered: dict[str, Path]) -> Driver:
    """The rendered layer with a driver that reads libpq's parameters, or is made to."""
    return Driver(request.param, rendered)


@pytest.fixture(params=POSTGRESQL)
def postgresql(request: pytest.FixtureRequest, rendered: dict[str, Path]) -> Driver:
    return Driver(request.param, rendered)


@pytest.fixture(params=SQLITE)
def sqlite(request: pytest.FixtureRequest, rendered: dict[str, Path]) -> Driver:
    return Driver(request.param, rendered)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def server(rendered: dict[str, Path], certificates: Certificates) -> Iterator[Server]:
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
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """A repository with every released version of the template, and what is in the working tree."""
    return build_template(tmp_path_factory.mktemp("template") / "template")


@pytest.fixture
def later(template: Template, tmp_path: Path) -> Template:
    """The template, to be changed for a release that comes later."""
    return template.fork(tmp_path / "template")


@pytest.fixture(scope="session")
def untouched(template: Template, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """All variants as repositories, as they are rendered today: copy them, but change nothing."""
    folder = tmp_path_factory.mktemp("untouched")
    return {name: template.copy(folder / name, **answers) for name, answers in VARIANTS.items()}


@pytest.fixture(scope="session")
def edited(untouched: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What an owner would make of them: copy it, but change nothing."""
    folder = tmp_path_factory.mktemp("edited")
    for name, project in untouched.items():
        edit(Path(shutil.copytree(project, folder / name)))
    return {name: folder / name for name in untouched}


class Tools:
    """Runs commands in rendered projects, all in one environment that is made to fit exactly."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            **os.environ,
            "UV_PROJECT_ENVIRONMENT": str(folder / "environment"),
            "MYPY_CACHE_DIR": str(folder / "mypy"),
        }

    def run(self, project: Path, *command: str, fails: bool = False, **environment: str) -> str:
        """Run a command in a project's environment, and return what it prints."""
        result = subprocess.run(
            ["uv", "run", "--quiet", "--exact", *command],
            cwd=project,
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert (result.returncode != 0) is fails, result.stdout + result.stderr
        return result.stdout + result.stderr if fails else result.stdout


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Tools:
    return Tools(tmp_path_factory.mktemp("tools"))


@pytest.fixture(scope="session")
def postgres(rendered: dict[str, Path]) -> Iterator[str]:
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
