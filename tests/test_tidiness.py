"""Rendered files look hand-written for the project."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from .support.copiers import Render
from .support.releases import ROOT
from .support.structure import rendered_files
from .support.variants import VARIANTS

NAMES: dict[str, dict[str, str]] = {
    "default names": {},
    "short names": {"project_name": "X", "distribution_name": "x", "package_name": "x"},
    "long names": {
        "project_name": "A very long name, " * 20 + "at last",
        "distribution_name": "a-very-long-distribution-name-of-just-fifty-letter",
        "package_name": "a_very_long_package_name_of_just_fifty_characters_",
        "description": "An endless description " * 20 + "ends.",
        "author_name": "Wolfeschlegelsteinhausenbergerdorff " * 10 + "Senior",
        "author_email": "somebody.with.a.long.name@a.host.with.a.long.name.example.org",
    },
    "names in many scripts": {
        "project_name": "Größe \"quoted\" 'and' \\ Служба 服务 👩‍💻 {{ braces }} <b>&amp;</b> $HOME `x` %s",
        "description": "«Ελληνικά», עברית and العربية: #hash, @at, *star*, [x](y), {curly}, C:\\new",
        "author_name": 'Ada "Countess", O\'Lovelace (née Byron) \\ 艾达',
        "author_email": "ada+test@example.org",
    },
}


# All variants with the default names, and two opposite ones with all other names.
CASES = [
    (variant, names)
    for names in NAMES
    for variant in VARIANTS
    if names == "default names" or variant in {"async-postgresql-fastapi", "sync-sqlite"}
]


@pytest.fixture(scope="module", params=CASES, ids=" with ".join)
def case(request: pytest.FixtureRequest) -> tuple[str, str]:
    case: tuple[str, str] = request.param
    return case


@pytest.fixture(scope="module")
def names(case: tuple[str, str]) -> str:
    return case[1]


@pytest.fixture(scope="module")
def folder(case: tuple[str, str], render: Render, rendered: Mapping[str, Path]) -> Path:
    variant, names = case
    if names == "default names":
        return rendered[variant]
    return render(**VARIANTS[variant], **NAMES[names])


def test_files_are_tidy(folder: Path) -> None:
    for path in rendered_files(folder):
        text = path.read_text()
        where = path.relative_to(folder)
        assert text == "" or text.endswith("\n"), f"{where} has no final newline"
        assert not text.endswith("\n\n"), f"{where} ends in blank lines"
        assert not text.startswith("\n"), f"{where} begins with a blank line"
        assert not re.search(r"[ \t]+$", text, re.M), f"{where} has trailing spaces"
        assert "\t" not in text, f"{where} has tabs"
        # The formatter also reads Python in Markdown.
        may_hold_code = path.suffix in {".py", ".mako"} or "```python" in text
        blank = "\n\n\n\n" if may_hold_code else "\n\n\n"
        assert blank not in text, f"{where} has too many blank lines"
        assert len(text.splitlines()) <= 250, f"{where} is too long"


def test_no_trace_of_the_template_is_left(folder: Path) -> None:
    for path in rendered_files(folder):
        assert "{" not in path.name
        assert path.suffix != ".jinja"
        text = path.read_text().replace("{{ braces }}", "")
        text = re.sub(r"\$\{\{.*?\}\}", "", text)
        assert not re.search(r"\{%|%\}|\{\{ | \}\}|\{#|#\}", text), path


def test_configuration_files_can_be_read(folder: Path) -> None:
    for path in rendered_files(folder):
        if path.suffix in {".yml", ".yaml"}:
            list(yaml.safe_load_all(path.read_text()))
        elif path.suffix == ".toml":
            tomllib.loads(path.read_text())
        elif path.suffix == ".py":
            compile(path.read_text(), path, "exec")


def test_text_answers_arrive_unchanged(folder: Path, names: str) -> None:
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    answers = NAMES[names]
    assert project["description"] == answers.get("description", project["description"])
    authors: dict[str, Any] = (project.get("authors") or [{}])[0]
    assert authors.get("name", "") == answers.get("author_name", "")
    assert authors.get("email", "") == answers.get("author_email", "")
    assert answers.get("project_name", "My Service") in (folder / "README.md").read_text()


def test_the_linter_and_the_formatter_find_nothing(folder: Path) -> None:
    for command in (["check"], ["format", "--check"]):
        subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--no-cache"], cwd=folder, check=True
        )


def test_a_project_can_be_read_in_an_hour(rendered: Mapping[str, Path]) -> None:
    sources = rendered_files(rendered["async-postgresql-fastapi"] / "src")
    code = [path.read_text().splitlines() for path in sources if path.suffix == ".py"]
    assert len(sources) <= 50
    assert sum(bool(line.strip()) for lines in code for line in lines) <= 2361


def test_env_example_has_every_setting(project: Path) -> None:
    config = next((project / "src").glob("*/config.py")).read_text()
    example = (project / ".env.example").read_text()
    settings = re.findall(r"^    ([a-z_]+): (?!DatabaseSettings|SQLAlch|Alembic)", config, re.M)
    assert "url" in settings
    for name in settings:
        is_url = name in ("url", "read_url")
        prefix = "DATABASE_" if is_url else "(DATABASE__(SQLALCHEMY|ALEMBIC)__)?"
        assert re.search(rf"^#{prefix}{name.upper()}=", example, re.M), name


@pytest.mark.parametrize("variant", ["async-postgresql-fastapi", "sync-sqlite"])
def test_rendering_twice_gives_the_same_files(
    variant: str, rendered: Mapping[str, Path], render: Render
) -> None:
    again = render(**VARIANTS[variant])
    first = {
        path.relative_to(rendered[variant]): path.read_bytes()
        for path in rendered_files(rendered[variant])
    }
    second = {path.relative_to(again): path.read_bytes() for path in rendered_files(again)}
    assert first == second


def test_template_syntax_in_a_name_is_not_rendered(render: Render) -> None:
    folder = render(project_name="{{ 7 * 7 }} {% raw %}")
    assert "{{ 7 * 7 }} {% raw %}" in (folder / "README.md").read_text()


def test_nothing_is_executed_by_rendering() -> None:
    questions = yaml.safe_load((ROOT / "copier.yml").read_text())
    assert not {"_tasks", "_migrations"} & questions.keys()


def test_no_python_file_of_the_template_has_more_than_250_lines() -> None:
    for folder in ("benchmarks", "extensions", "tests"):
        for path in (ROOT / folder).rglob("*.py"):
            assert len(path.read_text().splitlines()) <= 250, path
