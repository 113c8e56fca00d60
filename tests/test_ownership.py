"""Files that owners keep are never overwritten, restored or deleted by a new version."""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from copier.errors import UserMessageError
from pathspec import GitIgnoreSpec

from .support.majors import comparable
from .support.releases import LATER, ROOT, Template, commit_all, contents, git, releases, update
from .support.variants import VARIANTS

pytestmark = pytest.mark.slow

# As in the table of a project's README.
EXAMPLE = ["/README.md", "/tests/test_cli_users.py", "/tests/web/test_users.py"]
OWNED = [
    "/src/*/models.py",
    "/src/*/migrations/versions/",
    "/src/*/cli/__init__.py",
    "/src/*/cli/users.py",
    "/src/*/web/users.py",
    *EXAMPLE,
]


def owned(files: dict[str, bytes]) -> dict[str, bytes]:
    patterns = GitIgnoreSpec.from_lines(OWNED)
    return {path: content for path, content in files.items() if patterns.match_file(path)}


def changed(old: dict[str, bytes], new: dict[str, bytes]) -> set[str]:
    """Return the owners' files that are not the same in two projects."""
    assert len(owned(old)) >= 5
    return {path for path, _ in owned(old).items() ^ owned(new).items()}


def test_a_release_leaves_alone_what_owners_keep(
    variant: str, template: Template, untouched: Mapping[str, Path], tmp_path: Path
) -> None:
    """Compare versions of one major version, because even a merge would change these files."""
    changelog = (ROOT / "CHANGELOG.md").read_text()
    for version in comparable(changelog, list(releases())):
        old = template.copy(tmp_path / version, version, **VARIANTS[variant])
        assert changed(contents(old), contents(untouched[variant])) == set(), version


def test_the_table_in_a_projects_readme_names_what_owners_keep(
    template: Template, tmp_path: Path
) -> None:
    project = template.copy(tmp_path / "service")
    rows = (project / "README.md").read_text().split("| Kept by |")[1].split("\n\n")[0]
    *yours, last = [row for row in rows.splitlines() if row.endswith("| you |")]
    names = [name for row in yours for name in re.findall(r"`(\S+)`", row.split("|")[1])]
    assert last.startswith("| README, tests of the example |")
    assert {*(f"/src/*/{name}" for name in names), *EXAMPLE} == set(OWNED)


def exclude(template: Template, path: str) -> None:
    """Exclude a dropped or renamed file, as CONTRIBUTING.md describes."""
    questions = template.folder / "copier.yml"
    text = questions.read_text()
    assert "_exclude:\n" in text
    questions.write_text(text.replace("_exclude:\n", f"_exclude:\n  - {path}\n"))


@pytest.fixture
def project(later: Template, tmp_path: Path) -> Path:
    """A project with an edited file that the template will drop or rename."""
    folder = later.copy(tmp_path / "service")
    types = folder / "src/my_service/db/types.py"
    types.write_text(types.read_text() + "\n# Mine.\n")
    commit_all(folder)
    return folder


def test_a_file_that_a_release_drops_stays_with_its_edits(later: Template, project: Path) -> None:
    later.file("types.py").unlink()
    exclude(later, "src/*/db/types.py")
    later.release(LATER)
    before = contents(project)
    update(project, LATER)
    assert contents(project).keys() == before.keys()
    assert (project / "src/my_service/db/types.py").read_text().endswith("\n# Mine.\n")


def test_a_file_that_a_release_renames_stays_with_its_edits(later: Template, project: Path) -> None:
    old = later.file("types.py")
    old.rename(old.with_name("columns.py"))
    exclude(later, "src/*/db/types.py")
    later.release(LATER)
    update(project, LATER)
    assert (project / "src/my_service/db/types.py").read_text().endswith("\n# Mine.\n")
    assert "# Mine." not in (project / "src/my_service/db/columns.py").read_text()


def test_a_file_that_a_release_drops_without_excluding_it_is_deleted(
    later: Template, project: Path
) -> None:
    """Copier deletes it. A test of updates therefore compares the files."""
    later.file("types.py").unlink()
    later.release(LATER)
    before = contents(project)
    update(project, LATER)
    assert before.keys() - contents(project).keys() == {"src/my_service/db/types.py"}


def test_what_the_owner_has_deleted_stays_deleted(later: Template, tmp_path: Path) -> None:
    """Deleted files stay deleted if the template changes them, whoever owns them."""
    project = later.copy(tmp_path / "service")
    deleted = ["Dockerfile", "README.md", "src/my_service/web/users.py", "tests/web/test_users.py"]
    for name in deleted:
        (project / name).unlink()
    commit_all(project)
    for name in ("Dockerfile.jinja", "README.md.jinja"):
        path = later.file(name)
        path.write_text(path.read_text() + "\nMore.\n")
    later.release(LATER)
    update(project, LATER)
    commit_all(project)
    update(project, None, io="sync", database="postgresql")
    assert not set(deleted) & contents(project).keys()
    assert "io: sync" in (project / ".copier-answers.yml").read_text()


def test_the_package_is_not_renamed_by_an_answer(template: Template, tmp_path: Path) -> None:
    project = template.copy(tmp_path / "service")
    before = contents(project)
    with pytest.raises(UserMessageError, match="The package is called my_service") as raised:
        update(project, package_name="other")
    assert "move src/my_service to src/other" in str(raised.value)
    assert contents(project) == before
    assert git(project, "status", "--porcelain") == ""


def test_a_recorded_name_that_is_refused_now_is_not_replaced_by_the_default(
    template: Template, tmp_path: Path
) -> None:
    names = {"distribution_name": "python-json-logger", "package_name": "my_service"}
    project = template.copy(tmp_path / "service", "1.2.0", **names)
    before = contents(project)
    with pytest.raises(UserMessageError, match="'python-json-logger' is installed") as raised:
        update(project)
    assert "--data distribution_name=NAME" in str(raised.value)
    assert contents(project) == before
    update(project, distribution_name="other")
    assert 'name = "other"' in (project / "pyproject.toml").read_text()


def test_the_package_can_be_renamed_as_the_message_says(template: Template, tmp_path: Path) -> None:
    project = template.copy(tmp_path / "service")
    shutil.move(project / "src/my_service", project / "src/other")
    for path in project.rglob("*"):
        if path.is_file() and ".git" not in path.parts:
            path.write_text(path.read_text().replace("my_service", "other"))
    commit_all(project)
    before = contents(project)
    update(project)
    assert contents(project) == before
    assert before == contents(template.copy(tmp_path / "new", package_name="other"))
