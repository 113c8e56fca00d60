"""Any answer is refused with a message, or arrives in the project unchanged."""

import ast
import json
import re
import shutil
import tomllib
from collections import Counter
from collections.abc import Callable
from functools import cache
from itertools import cycle, product
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from extensions import answers as filters
from extensions.async_to_sync import IMPORTS, NAMES

from .support.releases import ROOT
from .support.run import is_full
from .support.structure import ANY, PLACEHOLDERS, Baseline, Template, built_metadata, imported
from .support.variants import VARIANTS

ENVIRONMENT = jinja2.Environment(autoescape=False, extensions=[filters.Answers])  # noqa: S701
VALIDATORS = yaml.safe_load((ROOT / "copier.yml").read_text(encoding="utf-8"))
QUESTIONS = list(PLACEHOLDERS)
FREE_TEXT = ["project_name", "description", "author_name", "author_email"]
FRAGMENTS = [
    # Hypothesis draws the first one most often.
    "\"\"\" ''' \\ {{ 7 * 7 }} ${{ secrets.X }} $(id) # : x",
    *("'", '"', '"""', "'''", "\\", '\\"', "`", "\\n", "\\u0041", "\\N{BULLET}", "\\x00"),
    *("{{ 7 * 7 }}", "{% raw %}", "{% endfilter %}", "{#", "#}", "${{ secrets.X }}", "{", "}}"),
    *("$(id)", "`id`", "$HOME", "; id", "&& id", "| sh", "%s", "%(here)s", "%%", "<b>&amp;"),
    *("#", " # ", ": ", "- ", "&a", "*a", "!!python/object:os.system", "? ", "|", ">-", "---", ","),
    *("</script>", "<!--", "]", "[tool.x]", "[[", "= 1", "FROM scratch", "RUN id", "import os"),
    *("await ", "async with ", "AsyncSession", "# type: ignore", "# noqa", "@x", "%YAML 1.1"),
    *("true", "null", "~", "yes", "0x10", "1e3", "2026-01-01", ".nan", "007", "1_0", "1:30"),
    *("../", "..", "/etc/passwd", "C:\\new", "NUL", "x" * 200),
    *("\U0001f469\u200d\U0001f4bb", "עברית", "e\u0301", "ﬁ", "\u200b"),
    *("\x00", "\n", "\r", "\t", "\x0b", "\x1b[2J", "\x7f", "\x85", "\u2028", "\u2029", "\ud800"),
    *("\u202e", "\u2066", "\u200f", "\ufeff", "\ufffe", "\U000e0041", "\xa0", " "),
    *("\nRUN id", "\n[tool.x]", '"\nimport os\n"', "\n- a: b", "\n\n", '", "x": "'),
]
VISIBLE = [fragment for fragment in FRAGMENTS if fragment.isprintable()]
HIDDEN = [fragment for fragment in FRAGMENTS if not fragment.isprintable()]
SLIPS = [text for fragment in HIDDEN for text in (f"x{fragment}x", f"x{fragment}")]
WORDS = [
    *("true", "null", "yes", "on", "NaN", "e", "self", "print", "str", "id", "Base", "User", "x"),
    *("config", "models", "db", "web", "app", "main", "cli", "database", "copier", "yaml", "_"),
    *("0x10", "1e3", "2026-01-01", "007", "1.0", "a--b"),
    *("os", "json", "class", "match", "tests", "__init__", "sqlalchemy", "python", "uv", "pip"),
    *("..", "../x", "x/../../../y", "/x", "a/b", "a.b", "a b", "-x", "1x", "x\n", "x" * 501),
    *sorted({*NAMES, *(name for _, name in IMPORTS if name)}),
]
SENTENCE = r"\S+( \S+){5,}\."
EMPTY = [(), ("author_name",), ("author_email",), ("author_name", "author_email"), ("description",)]


def joined(*parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(st.one_of(parts), min_size=1, max_size=4).map("".join)


LINE = joined(
    st.sampled_from(VISIBLE), st.text(st.characters(exclude_categories=["C", "Z"]), max_size=20)
).map(str.strip)
ANYTHING = st.one_of(
    st.tuples(LINE, st.sampled_from(HIDDEN), LINE).map("".join),
    joined(st.sampled_from(FRAGMENTS), st.text(max_size=20), st.text(st.characters(), max_size=3)),
)
LIKELY = {
    "project_name": LINE,
    "distribution_name": st.sampled_from(WORDS)
    | st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,50}[A-Za-z0-9])?", fullmatch=True),
    "package_name": st.sampled_from(WORDS)
    | st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,50}", fullmatch=True),
    "description": LINE,
    "author_name": LINE,
    "author_email": st.sampled_from(["%s@x.org", "a+b@x.org", "a.b@x", "a..b@x.org", "a@-x.org"])
    | st.from_regex(r"[A-Za-z0-9_%+-]{1,9}@[a-z0-9]{1,9}(\.[a-z]{2,3})?", fullmatch=True)
    | st.from_regex(r"[a-z0-9]{1,9}@[a-z0-9]{1,9}\.[a-z]{2,3}", fullmatch=True),
}
# Accepted answers match these, whatever else their validators check.
LINE_OF_TEXT = r"[^\0-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]{0,500}"
SAFE = dict.fromkeys(FREE_TEXT, LINE_OF_TEXT) | {
    "distribution_name": r"[A-Za-z0-9._-]{1,50}",
    "package_name": r"[A-Za-z0-9_]{1,50}",
    "author_email": r"([A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+)?",
}


@st.composite
def hostile_answers(draw: st.DrawFn) -> dict[str, Any]:
    """Draw answers that are likely to be accepted, in some cases with one that is not."""
    variant = draw(st.sampled_from(list(VARIANTS)))
    wild = draw(st.none() | st.sampled_from(QUESTIONS))
    answers = {name: draw(ANYTHING if name == wild else LIKELY[name]) for name in QUESTIONS}
    for name in draw(st.sampled_from(EMPTY)):
        answers[name] = ""
    for name in draw(st.sets(st.sampled_from(["distribution_name", "package_name"]))):
        del answers[name]
    return answers | VARIANTS[variant]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    return Template(tmp_path_factory.mktemp("hostile"))


def check_refusal(error: ValueError, answers: dict[str, Any]) -> None:
    match = re.fullmatch(r"Validation error for question '(\w+)': (.+)", str(error))
    assert match, str(error)
    assert match[1] in answers, "a derived answer was refused"
    assert re.fullmatch(SENTENCE, match[2]), "the message is no sentence"


def check_project(project: Path, answers: dict[str, Any], baseline: Baseline) -> None:
    differences = list(baseline.differences(project, answers))
    assert not differences, "\n".join(differences)
    table = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    author = {"name": answers["author_name"], "email": answers["author_email"]}
    author = {key: text for key, text in author.items() if text}
    assert table["name"] == answers["distribution_name"]
    assert table["description"] == answers["description"]
    assert table.get("authors", []) == ([author] if author else [])
    built = built_metadata(project)
    assert (built.name, built.summary or "") == (table["name"], table["description"])
    readme = (project / "README.md").read_bytes().decode()
    assert readme.startswith(f"# {answers['project_name']}\n\n{answers['description']}")
    with imported(answers["package_name"], project / "src") as modules:
        if answers["fastapi"]:
            assert modules[".web.app"].create_app().title == answers["project_name"]


@pytest.mark.slow
def test_answers_are_refused_with_a_message_or_arrive_unchanged(
    template: Template, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    seen: Counter[str] = Counter()
    # A project takes half a second. The validators alone are given more, below.
    number = settings().max_examples // 2

    @given(hostile_answers())
    @settings(
        max_examples=number,
        derandomize=True,
        database=None,
        print_blob=True,
        # Without Phase.explain, which takes minutes.
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
    )
    def check(answers: dict[str, Any]) -> None:
        project = tmp_path / "around/outer/project"
        project.parent.mkdir(parents=True)
        seen[f"{answers['io']}-{answers['database']}-{answers['fastapi']}"] += 1
        try:
            template.render(project, answers)
        except ValueError as error:
            check_refusal(error, answers)
            assert not list(project.parent.iterdir())
            seen["refused"] += 1
        else:
            recorded = yaml.safe_load((project / ".copier-answers.yml").read_text())
            assert answers.items() <= recorded.items()
            check_project(project, recorded, template.baseline(recorded))
            seen["rendered"] += 1
        finally:
            outside = {path for path in tmp_path.rglob("*") if project not in (path, *path.parents)}
            shutil.rmtree(tmp_path / "around")
            assert outside == {project.parent, project.parent.parent}

    cases = [*product(["description"], SLIPS), *product(["package_name"], WORDS)]
    # All of them in the full profile. The validators are given all of them in any profile, below.
    some = cases if is_full() else cases[:: len(cases) // number * 2]
    for (question, text), variant in zip(some, cycle(VARIANTS.values()), strict=False):
        check = example(PLACEHOLDERS | {question: text} | variant)(check)
    check()
    assert min(seen["rendered"], seen["refused"]) >= number / 4, seen
    assert len(seen) == 2 + len(VARIANTS), seen
    record_property("hostile answers", f"{seen['rendered']} rendered, {seen['refused']} refused")


@pytest.mark.slow
def test_free_text_is_in_quoting_files_only_and_workflows_have_the_command_only(
    template: Template,
) -> None:
    app = f"src/{PLACEHOLDERS['package_name']}/web/app.py"
    quoted = {".copier-answers.yml", "README.md", "pyproject.toml", app}
    for variant in VARIANTS.values():
        for path, content in template.baseline(PLACEHOLDERS | variant).files.items():
            text = path + content.decode()
            assert path in quoted or not any(PLACEHOLDERS[name] in text for name in FREE_TEXT)
            without_command = text.replace(PLACEHOLDERS["distribution_name"], "")
            assert not (path.startswith(".github") and ANY.search(without_command))


@cache
def validator(question: str) -> jinja2.Template:
    return ENVIRONMENT.from_string(VALIDATORS[question]["validator"])


def problem(question: str, text: str) -> str:
    return validator(question).render({question: text})


def test_accepted_answers_are_safe_in_python_toml_and_yaml() -> None:
    seen: Counter[str] = Counter()

    @given(st.one_of(*(st.tuples(st.just(name), ANYTHING | LIKELY[name]) for name in QUESTIONS)))
    @settings(derandomize=True, database=None)
    def check(case: tuple[str, str]) -> None:
        question, text = case
        if message := problem(question, text):
            assert re.fullmatch(SENTENCE, message)
            advice = re.search(r"(?:such as|choose) ([\w.-]+)(?:, or .+)?\.$", message)
            assert not (advice and problem(question, advice[1]))
            seen[f"{question} refused"] += 1
            return
        assert re.fullmatch(SAFE[question], text)
        quoted = filters.quoted(text)
        for read in (json.loads, ast.literal_eval, yaml.safe_load):
            assert read(quoted) == text
        assert tomllib.loads(f"text = {quoted}") == {"text": text}
        if question == "package_name":
            ast.parse(f"from {text}.x import y")
        seen[f"{question} accepted"] += 1
        if question == "project_name":
            text = filters.distribution_name_for(text)
            assert not problem("distribution_name", text)
        if question in ("project_name", "distribution_name"):
            assert not problem("package_name", filters.package_name_for(text))

    for case in product(QUESTIONS, (*SLIPS, *WORDS)):
        check = example(case)(check)
    check()
    assert len(seen) == 2 * len(QUESTIONS), seen
    assert min(seen.values()) >= settings().max_examples / 20, seen
