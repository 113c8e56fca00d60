"""An update names the files that it deletes, and those that it cannot update."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from copier.errors import UserMessageError

from .support.releases import LATER, Template, commit_all, contents, git, update

pytestmark = pytest.mark.slow

USERS = "src/my_service/web/users.py"
DELETED = "were deleted, with your changes in them"
MOVED = "files were not updated, because you have moved them"


def rewrite(project: Path, path: str, old: str, new: str) -> None:
    """Replace a text in a file of a project, and commit that."""
    text = (project / path).read_text()
    assert old in text
    (project / path).write_text(text.replace(old, new))
    commit_all(project)


@pytest.fixture
def project(later: Template, tmp_path: Path) -> Path:
    return later.copy(tmp_path / "service")


def quote(text: str) -> str:
    return re.sub(r"^([a-z]\w*): (\w.*)$", r'\1: "\2"', text, flags=re.M)


def comment(text: str) -> str:
    return re.sub(r"$", "  # Ours.", text, flags=re.M)


SPELLINGS = [quote, comment]


@pytest.mark.parametrize("spell", SPELLINGS)
def test_a_package_is_not_renamed_whatever_the_yaml_style_of_its_recorded_name(
    project: Path, spell: Callable[[str], str]
) -> None:
    answers = project / ".copier-answers.yml"
    answers.write_text(spell(answers.read_text()))
    commit_all(project)
    before = contents(project)
    with pytest.raises(UserMessageError, match="The package is called my_service"):
        update(project, package_name="other")
    assert contents(project) == before


@pytest.mark.parametrize("spell", SPELLINGS)
def test_the_printed_commands_restore_an_api_that_was_deleted_with_fastapi(
    project: Path, spell: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    answers = project / ".copier-answers.yml"
    answers.write_text(spell(answers.read_text()))
    rewrite(project, USERS, 'prefix="/users"', 'prefix="/people"')
    mine = (project / USERS).read_bytes()
    update(project, None, fastapi=False)
    assert not (project / "src/my_service/web").exists()
    listing, restore = commands(capsys.readouterr().err)
    assert USERS in git(project, *listing).split()
    git(project, *restore)
    assert (project / USERS).read_bytes() == mine
    assert (project / "tests/web/test_users.py").is_file()


def test_the_printed_commands_list_the_files_that_another_answer_deletes(
    later: Template, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = later.copy(tmp_path / "service", database="postgresql", fastapi=False)
    rewrite(project, "compose.yaml", "services:\n", "services:\n  # Ours.\n")
    before = contents(project)
    update(project, None, database="sqlite")
    listing, restore = commands(capsys.readouterr().err)
    deleted = git(project, *listing).split()
    assert {*deleted} == before.keys() - contents(project).keys()
    assert "compose.yaml" in deleted
    assert restore == ["restore", "FILE"]


def test_an_update_that_deletes_nothing_and_updates_every_file_prints_no_more(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rewrite(project, USERS, 'prefix="/users"', 'prefix="/people"')
    update(project)
    message = capsys.readouterr().err
    assert "is up to date with the template" in message
    assert DELETED not in message
    assert MOVED not in message


def commands(message: str) -> tuple[list[str], list[str]]:
    """Return the arguments of the printed git commands that list deleted files and restore them."""
    listing, restore = re.findall(
        r"^  git (diff --.+|restore .+)$", message.split(DELETED)[1], re.M
    )
    return listing.split(), restore.split()


def moved_files(message: str) -> list[str]:
    """Return the lines of the message that name moved files."""
    _, lines = message.split(MOVED)
    return re.findall(r"^  ([\w./]+ -> [\w./]+)$", lines, re.M)


def add_files(later: Template) -> None:
    """Release a version that has a new file in the package, in the layer and in its tests."""
    (later.file("types.py").parent / "fresh.py").write_text('"""Fresh."""\n')
    (later.file("types.py").parents[1] / "fresh.py").write_text('"""Another."""\n')
    (later.file("test_savepoints.py.jinja").parent / "test_fresh.py").write_text(
        "from .models import Account\n"
    )
    later.file("types.py").write_text(later.file("types.py").read_text() + "\n# Fixed.\n")
    later.release(LATER)


def test_a_moved_layer_is_named(
    later: Template, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    modules = [path.name for path in (project / "src/my_service/db").glob("*.py")]
    shutil.move(project / "src/my_service/db", project / "src/my_service/storage")
    types = project / "src/my_service/storage/types.py"
    types.write_text("# Ours.\n" + types.read_text())
    commit_all(project)
    add_files(later)
    update(project, LATER)
    assert moved_files(capsys.readouterr().err) == [
        f"src/my_service/db/{name} -> src/my_service/storage/{name}" for name in sorted(modules)
    ]
    assert not (project / "src/my_service/db").exists(), "a fragment of the old folder"
    assert "# Fixed." not in types.read_text()


def test_every_moved_module_is_named(
    variant: str,
    untouched: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    project = Path(shutil.copytree(untouched[variant], tmp_path / "service"))
    modules = [*(project / "src").rglob("*.py*"), *(project / "tests").rglob("*.py*")]
    names = {path.relative_to(project).as_posix() for path in modules if path.read_text()}
    (project / "inner").mkdir()
    for folder in ("src", "tests"):
        shutil.move(project / folder, project / "inner" / folder)
    commit_all(project)
    update(project)
    assert {*moved_files(capsys.readouterr().err)} == {f"{name} -> inner/{name}" for name in names}


def test_a_renamed_package_is_named_until_the_answers_file_has_its_name(
    later: Template, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = ".copier-answers.yml"
    shutil.move(project / "src/my_service", project / "src/other")
    for path in project.rglob("*"):
        if path.is_file() and ".git" not in path.parts and path.name != answers:
            path.write_text(path.read_text().replace("my_service", "other"))
    commit_all(project)
    add_files(later)
    before = contents(project)
    update(project, LATER)
    message = capsys.readouterr().err
    assert "src/my_service/db/types.py -> src/other/db/types.py" in moved_files(message)
    assert f"set package_name in\n{answers} to the new name" in message
    assert not (project / "src/my_service").exists(), "a fragment of the old package"
    # Follow the message.
    git(project, "reset", "--quiet", "--hard")
    git(project, "clean", "--quiet", "-d", "--force")
    assert contents(project) == before
    rewrite(project, answers, "package_name: my_service", "package_name: other")
    capsys.readouterr()
    update(project, LATER)
    assert MOVED not in capsys.readouterr().err
    assert (project / "src/other/db/types.py").read_text().endswith("# Fixed.\n")


def test_deleted_files_are_neither_named_nor_restored(
    later: Template, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(project / "tests/db")
    shutil.rmtree(project / "src/my_service/web")
    (project / "Dockerfile").unlink()
    commit_all(project)
    add_files(later)
    update(project, LATER)
    assert MOVED not in capsys.readouterr().err
    assert not (project / "tests/db").exists()
    assert (project / "src/my_service/db/fresh.py").is_file()
    assert (project / "src/my_service/fresh.py").is_file()
