"""`copier update` brings every fix to a project whose owner has changed it, and takes nothing."""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from .support.majors import check_conflict, comparable
from .support.owner import DELETED, edit
from .support.releases import (
    LATER,
    NEXT,
    ROOT,
    Template,
    commit_all,
    contents,
    git,
    releases,
    update,
)
from .support.run import full, is_full
from .support.tools import OWN_LAYER_TESTS, Tools
from .support.variants import HALF, VARIANTS

pytestmark = pytest.mark.slow

VERSIONS = list(releases())
# Its tests run by default.
TESTED = "sync-sqlite"
# Where a major version has changed lines that the owner of these tests has changed, too.
CONFLICTS = {"src/my_service/cli/__init__.py"}
# What a major version has dropped; the changelog says where it went.
DROPPED = {
    "all": {"src/my_service/db/libpq.py", "src/my_service/db/lock.py"},
    "postgresql": {"src/my_service/db/sqlite.py"},
    "sqlite": set(),
}
MARKERS = re.compile(rb"^(<<<<<<<|=======|>>>>>>>)", re.M)
MARKER_LINE = re.compile(r"^(?:<<<<<<< before updating|=======|>>>>>>> after updating)\n", re.M)


@pytest.mark.parametrize("version", VERSIONS)
def test_an_update_merges_what_is_new_with_all_that_the_owner_has_changed(
    version: str,
    variant: str,
    template: Template,
    untouched: Mapping[str, Path],
    edited: Mapping[str, Path],
    tmp_path: Path,
) -> None:
    """The result is what the owner would have made of the new version, file for file."""
    project = template.copy(tmp_path / "service", version, **VARIANTS[variant])
    base = contents(project)
    edit(project)
    mine = contents(project)
    update(project)
    assert not list(project.rglob("*.rej"))
    updated, expected = contents(project), contents(edited[variant])
    assert not set(DELETED) & updated.keys()
    assert updated.keys() == expected.keys()
    conflicts = {path for path, content in updated.items() if MARKERS.search(content)}
    is_minor = version in comparable((ROOT / "CHANGELOG.md").read_text(), VERSIONS)
    assert conflicts <= (set() if is_minor else CONFLICTS)
    for path in conflicts:
        check_conflict(base[path], mine[path], contents(untouched[variant])[path], updated[path])
    for path in updated.keys() - conflicts:
        assert updated[path] == expected[path], path


@pytest.mark.parametrize(
    "variant", [*HALF, *(pytest.param(name, marks=full) for name in VARIANTS if name not in HALF)]
)
def test_a_project_that_its_owner_has_changed_passes_its_own_checks(
    edited: Mapping[str, Path], variant: str, tools: Tools, database_url: str, tmp_path: Path
) -> None:
    """Its tests run in one of the variants, and in all of them in the full profile."""
    project = Path(shutil.copytree(edited[variant], tmp_path / "service"))
    tools.run(project, "ruff", "check", "--no-cache")
    tools.run(project, "ruff", "format", "--check", "--no-cache")
    tools.run(project, "mypy")
    if variant == TESTED or is_full():
        assert "passed" in tools.run(project, "pytest", "-p", "no:cacheprovider", OWN_LAYER_TESTS)
    # In one process, because three would take two seconds more.
    code = "from alembic.config import main; " + "; ".join(
        f"main({command})" for command in (["upgrade", "head"], ["check"], ["downgrade", "base"])
    )
    tools.run(project, "python", "-c", code, DATABASE_URL=database_url)


@pytest.mark.parametrize("version", VERSIONS)
def test_an_update_of_a_project_that_nobody_has_changed_gives_the_new_version(
    version: str,
    variant: str,
    template: Template,
    untouched: Mapping[str, Path],
    tmp_path: Path,
) -> None:
    project = template.copy(tmp_path / "service", version, **VARIANTS[variant])
    before = contents(project)
    update(project)
    after = contents(project)
    lost = before.keys() - after.keys()
    is_minor = version in comparable((ROOT / "CHANGELOG.md").read_text(), VERSIONS)
    dropped = DROPPED["all"] | DROPPED[VARIANTS[variant]["database"]]
    assert lost <= (set() if is_minor else dropped), "CONTRIBUTING.md tells how to drop a file"
    new = contents(untouched[variant])
    assert {path: after[path] for path in new} == new


def test_an_update_to_the_same_version_changes_nothing(
    variant: str, edited: Mapping[str, Path], tmp_path: Path
) -> None:
    project = Path(shutil.copytree(edited[variant], tmp_path / "service"))
    before = contents(project)
    for version in (NEXT, None):
        update(project, version)
        assert git(project, "status", "--porcelain") == ""
        assert contents(project) == before


def test_a_line_that_both_have_changed_is_one_conflict_that_shows_both(
    later: Template, tmp_path: Path
) -> None:
    project = later.copy(tmp_path / "service")
    line = "pool_timeout: float = Field(default={},"
    (later.folder / "template/.gitignore").write_text("/dist/\n")
    later.change("config.py.jinja", line.format(5), line.format(7))
    mine = project / "src/my_service/config.py"
    mine.write_text(mine.read_text().replace(line.format(5), line.format(6)))
    commit_all(project)
    update(project, LATER)
    before, ours, theirs, after = MARKER_LINE.split(mine.read_text())
    assert line.format(6) in ours
    assert line.format(7) in theirs
    assert "pool_timeout: float" not in before + after
    marked = [path for path, text in contents(project).items() if MARKERS.search(text)]
    assert marked == ["src/my_service/config.py"]
    assert git(project, "status", "--porcelain", "--", "src").startswith("UU ")
    assert not list(project.rglob("*.rej"))
    assert (project / ".gitignore").read_text() == "/dist/\n"
