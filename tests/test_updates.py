"""`copier update` brings every fix to a project whose owner has changed it, and takes nothing."""

import re
from pathlib import Path

import pytest

from .conftest import Tools
from .owner import DELETED, edit
from .releases import NEXT, Template, commit_all, contents, git, releases, update
from .variants import VARIANTS

pytestmark = pytest.mark.slow

VERSIONS = list(releases())
MARKERS = re.compile(rb"^(<<<<<<<|=======|>>>>>>>)", re.M)


@pytest.fixture(scope="module")
def edited(template: Template, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What an owner would make of a project that is rendered today, in every variant."""
    folder = tmp_path_factory.mktemp("edited")
    for name, answers in VARIANTS.items():
        edit(template.copy(folder / name, **answers))
    return {name: folder / name for name in VARIANTS}


@pytest.mark.parametrize("version", VERSIONS)
def test_an_update_merges_what_is_new_with_all_that_the_owner_has_changed(
    version: str, variant: str, template: Template, edited: dict[str, Path], tmp_path: Path
) -> None:
    """The result is what the owner would have made of the new version, file for file."""
    project = template.copy(tmp_path / "service", version, **VARIANTS[variant])
    edit(project)
    update(project)
    assert not list(project.rglob("*.rej"))
    updated = contents(project)
    for path, content in updated.items():
        assert not MARKERS.search(content), path
    assert not set(DELETED) & updated.keys()
    assert updated == contents(edited[variant])


def test_a_project_that_its_owner_has_changed_passes_its_own_checks(
    edited: dict[str, Path], variant: str, tools: Tools, database_url: str
) -> None:
    project = edited[variant]
    tools.run(project, "ruff", "check", "--no-cache")
    tools.run(project, "ruff", "format", "--check", "--no-cache")
    tools.run(project, "mypy")
    assert "passed" in tools.run(project, "pytest", "-p", "no:cacheprovider")
    for command in (["upgrade", "head"], ["check"], ["downgrade", "base"]):
        tools.run(project, "alembic", *command, DATABASE_URL=database_url)


@pytest.mark.parametrize("version", VERSIONS)
def test_an_update_of_a_project_that_nobody_has_changed_gives_the_new_version(
    version: str, variant: str, template: Template, tmp_path: Path
) -> None:
    project = template.copy(tmp_path / "service", version, **VARIANTS[variant])
    before = contents(project)
    update(project)
    after = contents(project)
    assert before.keys() <= after.keys(), "CONTRIBUTING.md tells how to drop or rename a file"
    new = contents(template.copy(tmp_path / "new", **VARIANTS[variant]))
    assert {path: after[path] for path in new} == new


def test_an_update_to_the_same_version_changes_nothing(
    variant: str, template: Template, tmp_path: Path
) -> None:
    project = template.copy(tmp_path / "service", **VARIANTS[variant])
    edit(project)
    before = contents(project)
    for version in (NEXT, None):
        update(project, version)
        assert git(project, "status", "--porcelain") == ""
        assert contents(project) == before


def test_a_line_that_both_have_changed_is_one_conflict_that_shows_both(
    template: Template, tmp_path: Path
) -> None:
    newer = template.fork(tmp_path / "template")
    config = next((newer.folder / "template/src").glob("*/config.py.jinja"))
    config.write_text(
        config.read_text().replace(
            "pool_timeout: float = Field(default=5,", "pool_timeout: float = Field(default=7,"
        )
    )
    (newer.folder / "template/.gitignore").write_text("/dist/\n")
    newer.release("1000.0.0")
    project = newer.copy(tmp_path / "service")
    mine = project / "src/my_service/config.py"
    mine.write_text(
        mine.read_text().replace(
            "pool_timeout: float = Field(default=5,", "pool_timeout: float = Field(default=6,"
        )
    )
    commit_all(project)
    update(project, "1000.0.0")
    assert (
        "<<<<<<< before updating\n"
        "    pool_timeout: float = Field(default=6, gt=0)\n"
        "=======\n"
        "    pool_timeout: float = Field(default=7, gt=0)\n"
        ">>>>>>> after updating\n"
    ) in mine.read_text()
    marked = [path for path, text in contents(project).items() if MARKERS.search(text)]
    assert marked == ["src/my_service/config.py"]
    assert git(project, "status", "--porcelain", "--", "src").startswith("UU ")
    assert not list(project.rglob("*.rej"))
    assert (project / ".gitignore").read_text() == "/dist/\n"
