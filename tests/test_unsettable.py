"""Computed answers cannot be set, and only yes and no are accepted for a yes-or-no question."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from extensions.answers import default_url

from .support.copiers import Render
from .support.questions import QUESTIONS
from .support.releases import Template, commit_all, contents, update
from .support.structure import rendered_files

EVIL = "EVIL; rm"


@pytest.mark.parametrize(
    ("database", "url"),
    [
        ("sqlite", "sqlite:///my-service.db"),
        ("postgresql", "postgresql://postgres@localhost:5432/my_service"),
    ],
)
def test_the_default_url_follows_from_the_answers(database: str, url: str) -> None:
    assert default_url(database, "my_service", "My.Service") == url


@pytest.mark.slow
@pytest.mark.parametrize("name", ["slug", "default_url", "gone", "moved", "keep_api"])
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_an_unknown_answer_changes_nothing(
    name: str, database: str, rendered: dict[str, Path], render: Render
) -> None:
    given = contents_without_answers(render(database=database, **{name: EVIL}))
    assert given == contents_without_answers(rendered[f"async-{database}-fastapi"])


def contents_without_answers(folder: Path) -> dict[str, bytes]:
    contents = {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in rendered_files(folder)
    }
    del contents[".copier-answers.yml"]
    return contents


def test_the_only_computed_answer_is_read_from_the_project() -> None:
    computed = [
        name for name, question in QUESTIONS.items() if question.get("when", True) is not True
    ]
    assert computed == ["before"]


@pytest.mark.parametrize("value", [5, "5", EVIL, "{lost: x}"])
def test_a_computed_answer_is_refused(value: Any, render: Render) -> None:
    with pytest.raises(ValueError, match="'before': Remove this answer"):
        render(before=value)


@pytest.mark.slow
def test_a_computed_answer_in_the_answers_file_changes_nothing(
    template: Template, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = template.copy(tmp_path / "service")
    answers = project / ".copier-answers.yml"
    answers.write_text(answers.read_text() + f"slug: {EVIL}\ndefault_url: {EVIL}\n")
    commit_all(project)
    update(project)
    assert "is up to date with the template" in capsys.readouterr().err
    after = contents(project)
    assert EVIL.encode() not in b"".join(after.values())
    assert after == contents(template.copy(tmp_path / "new"))


@pytest.mark.parametrize("value", ["nope", "2", "yess", "", "fastapi", "null"])
def test_an_answer_other_than_yes_or_no_is_refused(value: str, render: Render) -> None:
    with pytest.raises(ValueError, match="'fastapi': Answer yes or no"):
        render(fastapi=value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(True, True), (False, False), ("Yes", True), ("no", False), ("true", True), ("0", False)],
)
def test_every_spelling_of_yes_and_no_is_accepted(
    value: Any, expected: bool, render: Render
) -> None:
    project = render(fastapi=value)
    assert (project / "src/my_service/web").is_dir() is expected
    recorded = yaml.safe_load((project / ".copier-answers.yml").read_text())
    assert recorded["fastapi"] is expected
