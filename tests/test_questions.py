import keyword
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from jinja2 import Environment

from extensions import answers

from .conftest import ROOT, Render

QUESTIONS: dict[str, Any] = {
    name: question
    for name, question in yaml.safe_load((ROOT / "copier.yml").read_text()).items()
    if not name.startswith("_")
}
ASKED = {name: question for name, question in QUESTIONS.items() if question.get("when", True)}


def test_every_question_has_a_default_and_says_what_it_is_for() -> None:
    for name, question in ASKED.items():
        assert "default" in question, name
        assert question["help"].endswith(("?", ")")), name


@pytest.mark.parametrize(
    ("project_name", "distribution_name", "package_name"),
    [
        ("My Service", "my-service", "my_service"),
        ("Größe & Co.", "groe-co", "groe_co"),
        ("服务", "my-service", "my_service"),
        ("3D printers", "3d-printers", "app_3d_printers"),
        ("Test", "test", "test_service"),
        ("FastAPI", "fastapi-service", "fastapi_service"),
        ("import", "import", "import_service"),
        ("x" * 80, "x" * 50, "x" * 50),
    ],
)
def test_names_are_derived_that_would_be_accepted(
    project_name: str, distribution_name: str, package_name: str
) -> None:
    assert answers.distribution_name_for(project_name) == distribution_name
    assert answers.package_name_for(distribution_name) == package_name
    assert answers.distribution_name_problem(distribution_name) == ""
    assert answers.package_name_problem(package_name) == ""


BAD_ANSWERS = [
    ("project_name", "", "such as My Service"),
    ("project_name", "  ", "such as My Service"),
    ("project_name", "two\nlines", "one line"),
    ("project_name", " padded", "spaces"),
    ("project_name", "x" * 501, "at most 500"),
    ("description", "bell\x07", "U+0007"),
    ("description", "line\u2028separator", "U+2028"),
    ("description", "next\x85line", "U+0085"),
    ("author_name", "reversed \u202e", "U+202E"),
    ("author_name", "tab\tbed", "U+0009"),
    ("author_email", "nobody", "ada@example.org"),
    ("author_email", 'x"@example.org', "ada@example.org"),
    ("author_email", "a@b\n", "ada@example.org"),
    ("author_email", "a..b@example.org", "ada@example.org"),
    ("distribution_name", "", "such as my-service"),
    ("distribution_name", "-x", "such as my-service"),
    ("distribution_name", "ö", "such as my-service"),
    ("distribution_name", "a b", "such as my-service"),
    ("distribution_name", "x\n", "such as my-service"),
    ("distribution_name", "../x", "such as my-service"),
    ("distribution_name", "x" * 51, "at most 50"),
    ("distribution_name", "SQLAlchemy", "SQLAlchemy-service"),
    ("distribution_name", "pydantic.settings", "installed beside"),
    ("distribution_name", "python", "installed beside"),
    ("package_name", "", "such as my_service"),
    ("package_name", "1x", "such as my_service"),
    ("package_name", "a-b", "such as my_service"),
    ("package_name", "größe", "such as my_service"),
    ("package_name", "x\n", "such as my_service"),
    ("package_name", "../x", "such as my_service"),
    ("package_name", "x" * 51, "at most 50"),
    ("package_name", "_", "such as my_service"),
    ("package_name", "class", "class_service"),
    ("package_name", "AsyncSession", "hides something"),
    ("package_name", "librt", "hides something"),
    ("package_name", "orjson", "hides something"),
    ("package_name", "annotationlib", "annotationlib_service"),
    ("package_name", "CON", "CON_service"),
    ("package_name", "match", "match_service"),
    ("package_name", "json", "json_service"),
    ("package_name", "JSON", "JSON_service"),
    ("package_name", "sqlalchemy", "hides something"),
    ("package_name", "fastapi", "hides something"),
    ("package_name", "alembic", "hides something"),
    ("package_name", "tests", "hides something"),
    ("package_name", "__main__", "hides something"),
    ("fastapi", "nope", "yes or no"),
]


@pytest.mark.parametrize(("question", "answer", "message"), BAD_ANSWERS)
def test_a_bad_answer_is_refused_with_what_would_be_right(
    question: str, answer: str, message: str
) -> None:
    environment = Environment(autoescape=False)  # noqa: S701
    environment.add_extension(answers.Answers)
    validator = environment.from_string(QUESTIONS[question]["validator"])
    assert message in validator.render(
        {question: answer, "_copier_conf": {"data": {question: answer}}}
    )


@pytest.mark.parametrize("question", [name for name in ASKED if "validator" in ASKED[name]])
def test_copier_refuses_a_bad_answer_to_every_question(question: str, render: Render) -> None:
    answer, message = next(case[1:] for case in BAD_ANSWERS if case[0] == question and case[1])
    with pytest.raises(ValueError, match="Validation error") as raised:
        render(**{question: answer})
    assert message in str(raised.value)


@pytest.mark.parametrize("question", ["io", "database"])
def test_copier_refuses_what_is_no_choice(question: str, render: Render) -> None:
    with pytest.raises(ValueError, match="Invalid choice"):
        render(**{question: "both"})


def test_every_word_of_the_language_and_every_standard_module_is_refused() -> None:
    for name in {*keyword.kwlist, *keyword.softkwlist, *sys.stdlib_module_names}:
        assert answers.package_name_problem(name), name


# Installed since 2.0. A name that was accepted before is not refused, because Copier would put the
# default in its place; installing a project of this name fails.
LATER = {"asgi-correlation-id", "fastapi-offline", "python-json-logger", "squawk-cli"}


def test_what_a_project_installs_cannot_be_hidden_by_its_name(rendered: Mapping[str, Path]) -> None:
    for folder in rendered.values():
        text = (folder / "pyproject.toml").read_text()
        for line in text.split("[project.scripts]")[0].splitlines():
            if line.startswith('    "'):
                name = line.strip(' ",').split(">")[0].split("[")[0]
                assert name in LATER or answers.distribution_name_problem(name), name


@pytest.mark.parametrize(
    ("chosen", "expected", "unexpected"),
    [
        ({}, ["uv run my-service dev", "uv run pytest"], ["docker compose", "users add"]),
        (
            {"database": "postgresql", "fastapi": "no"},
            ["docker compose up", "my-service db sync", "my-service users add ada"],
            ["my-service dev"],
        ),
    ],
)
def test_the_next_commands_are_printed_for_the_variant(
    render: Render,
    capsys: pytest.CaptureFixture[str],
    chosen: dict[str, str],
    expected: list[str],
    unexpected: list[str],
) -> None:
    render(**chosen)
    printed = capsys.readouterr().err
    for text in expected:
        assert text in printed
    for text in unexpected:
        assert text not in printed
