import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_copier.plugin import CopierFixture

from .variants import VARIANTS

ROOT = Path(__file__).parents[1]
Render = Callable[..., Path]


@pytest.fixture(scope="session", autouse=True)
def clean_environment(sessionpatch: pytest.MonkeyPatch) -> None:
    """Hide what the environment of this run would tell the projects' own tools."""
    for name in ("DATABASE_URL", "TEST_DATABASE_URL", "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE"):
        sessionpatch.delenv(name, raising=False)
    for name in list(os.environ):
        if name.startswith(("DATABASE__", "PYTEST_", "COV_")):
            sessionpatch.delenv(name)


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
