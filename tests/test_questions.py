import keyword
import re
import sys
from collections.abc import Mapping
from importlib.metadata import distributions
from pathlib import Path

import pytest
from jinja2 import Environment

from extensions import answers, async_to_sync

from .support.copiers import Render
from .support.questions import QUESTIONS
from .support.tools import Tools

ASKED = {name: question for name, question in QUESTIONS.items() if question.get("when", True)}


def test_every_question_has_a_default_and_a_help_text() -> None:
    for name, question in ASKED.items():
        assert "default" in question, name
        assert re.fullmatch(r"[A-Z].*[\w?)]", question["help"]), name


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
def test_derived_names_are_accepted(
    project_name: str, distribution_name: str, package_name: str
) -> None:
    assert answers.distribution_name_for(project_name) == distribution_name
    assert answers.package_name_for(distribution_name) == package_name
    assert answers.distribution_name_problem(distribution_name) == ""
    assert answers.package_name_problem(package_name) == ""


INVALID_ANSWERS = [
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


@pytest.mark.parametrize(("question", "answer", "message"), INVALID_ANSWERS)
def test_an_invalid_answer_is_refused_with_a_message(
    question: str, answer: str, message: str
) -> None:
    environment = Environment(autoescape=False)  # noqa: S701
    environment.add_extension(answers.Answers)
    validator = environment.from_string(QUESTIONS[question]["validator"])
    assert message in validator.render(
        {question: answer, "_copier_conf": {"data": {question: answer}}}
    )


@pytest.mark.parametrize("question", [name for name in ASKED if "validator" in ASKED[name]])
def test_copier_refuses_an_invalid_answer_to_every_question(question: str, render: Render) -> None:
    answer, message = next(case[1:] for case in INVALID_ANSWERS if case[0] == question and case[1])
    with pytest.raises(ValueError, match="Validation error") as raised:
        render(**{question: answer})
    assert message in str(raised.value)


@pytest.mark.parametrize("question", ["io", "database"])
def test_copier_refuses_an_unknown_choice(question: str, render: Render) -> None:
    with pytest.raises(ValueError, match="Invalid choice"):
        render(**{question: "both"})


def test_keywords_and_standard_modules_are_refused() -> None:
    for name in {*keyword.kwlist, *keyword.softkwlist, *sys.stdlib_module_names}:
        assert answers.package_name_problem(name), name


def test_the_names_of_async_code_are_refused() -> None:
    imported = {name for _, name in async_to_sync.IMPORTS if name}
    for name in {*imported, *async_to_sync.NAMES, *async_to_sync.DROPPED_DECORATORS}:
        assert answers.package_name_problem(name), name


def normalized(requirement: str) -> str:
    """Return the name of a distribution or requirement in lower case with underscores."""
    return re.sub(r"[-_.]+", "_", re.split(r"[^\w.-]", requirement)[0].lower())


@pytest.mark.slow
def test_the_tables_of_names_are_what_projects_install(
    rendered: Mapping[str, Path], tools: Tools
) -> None:
    names: set[str] = set()
    optional: set[str] = set()
    # Together, these variants have all dependencies.
    for variant in ("async-sqlite-fastapi", "async-postgresql-fastapi", "sync-postgresql-fastapi"):
        tools.install(rendered[variant])
        [packages] = tools.environment_folder.glob("lib/python*/site-packages")
        for distribution in distributions(path=[str(packages)]):
            if distribution.name == "my-service":
                continue
            assert answers.distribution_name_problem(distribution.name), distribution.name
            names.add(normalized(distribution.name))
            optional |= {normalized(required) for required in distribution.requires or ()}
            for file in distribution.files or ():
                module = file.parts[0].split(".")[0]
                if file.suffix == ".py":
                    code = (packages / file).read_text(errors="replace")
                    optional |= {*re.findall(r"^ *(?:import|from) (\w+)", code, re.M)}
                    optional |= {*re.findall(r'import_module\("(\w+)"', code)}
                if module.isidentifier() and file.suffix in {".py", ".so"}:
                    assert answers.package_name_problem(module), module
                    names.add(module.lower())
        for command in (tools.environment_folder / "bin").iterdir():
            if re.fullmatch(r"[a-z][a-z0-9-]*", command.name) and command.name != "my-service":
                assert answers.distribution_name_problem(command.name), command.name
    assert names >= answers.INSTALLED
    assert optional >= answers.OPTIONAL
    assert not names & answers.OPTIONAL


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
