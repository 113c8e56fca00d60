"""The questions are a public interface, because projects record the answers."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import yaml
from jinja2 import Environment

from extensions import answers

from .support.copiers import Render
from .support.majors import comparable
from .support.questions import QUESTIONS
from .support.releases import ROOT, git, releases

PUBLIC = {
    "project_name": ("str", None, "My Service"),
    "distribution_name": ("str", None, "my-service"),
    "package_name": ("str", None, "my_service"),
    "description": ("str", None, "A service that owns its database layer"),
    "author_name": ("str", None, ""),
    "author_email": ("str", None, ""),
    "io": ("str", ["async", "sync"], "async"),
    "database": ("str", ["sqlite", "postgresql"], "sqlite"),
    "fastapi": ("bool", None, True),
}


def questionnaire(questions: dict[str, Any]) -> dict[str, tuple[str, list[str] | None, Any]]:
    """Return the type, the choices and the default of each question.

    Raises KeyError for a question without a default.
    """
    environment = Environment(autoescape=False)  # noqa: S701
    environment.add_extension(answers.Answers)
    asked: dict[str, tuple[str, list[str] | None, Any]] = {}
    context: dict[str, Any] = {}
    for name, question in questions.items():
        default = question["default"]
        if question.get("when", True) is False:
            continue
        if isinstance(default, str):
            default = environment.from_string(default).render(context)
        context[name] = default
        choices = list(question["choices"].values()) if "choices" in question else None
        asked[name] = (question["type"], choices, default)
    return asked


def test_the_questions_are_those_of_the_public_interface() -> None:
    asked = questionnaire(QUESTIONS)
    assert asked == PUBLIC
    assert list(asked) == list(PUBLIC)


@pytest.mark.parametrize(
    "change",
    [
        lambda questions: questions["io"]["choices"].popitem(),
        lambda questions: questions.update(colour={"type": "str", "default": "red"}),
        lambda questions: questions.update(colour={"type": "str"}),
        lambda questions: questions.pop("author_email"),
        lambda questions: questions["fastapi"].update(default=False),
        lambda questions: questions["fastapi"].update(type="str"),
        lambda questions: questions["description"].update(default="Another"),
    ],
)
def test_a_change_of_the_questions_is_noticed(change: Callable[[dict[str, Any]], None]) -> None:
    questions = deepcopy(QUESTIONS)
    change(questions)
    try:
        asked = questionnaire(questions)
    except KeyError:
        return
    assert asked != PUBLIC


def test_a_name_is_accepted_in_all_versions_of_a_major_version() -> None:
    for version in comparable((ROOT / "CHANGELOG.md").read_text(), list(releases())):
        source = git(ROOT, "show", f"{releases()[version]}:extensions/answers.py")
        old: dict[str, Any] = {"__name__": "old"}
        exec(compile(source, "answers.py", "exec"), old)  # noqa: S102
        for check in ("package_name_problem", "distribution_name_problem"):
            names = answers.INSTALLED | answers.OPTIONAL | answers.COMMANDS | answers.FOLDERS
            refused = {name for name in names if getattr(answers, check)(name)}
            assert refused <= {name for name in names if old[check](name)}, version


def test_the_answers_file_has_the_answers_only(render: Render) -> None:
    recorded = yaml.safe_load((render() / ".copier-answers.yml").read_text())
    assert recorded.keys() - {"_commit", "_src_path"} == PUBLIC.keys()
    assert (recorded["io"], recorded["database"], recorded["fastapi"]) == ("async", "sqlite", True)
