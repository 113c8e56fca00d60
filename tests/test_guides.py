"""`docs/updating.md` describes what Copier does and prints."""

import os
import re
from pathlib import Path

import pytest
import yaml

from .support.releases import NEXT, ROOT, Template, bash, commit_all, git, releases

pytestmark = pytest.mark.slow

UPDATING = (ROOT / "docs/updating.md").read_text()
[UPDATE, CHANGE] = re.findall(r"^```sh\n(uvx .*)\n```$", UPDATING, re.M)
OLDEST = next(iter(releases()))


def run(project: Path, command: str, **environment: str) -> tuple[int, str]:
    """Run a line of the page in a project; return its exit code and its output."""
    return bash(project, command, os.environ | environment)


def is_quoted(output: str) -> bool:
    """Return whether the page has a row for a message that Copier prints."""
    rows = re.findall(r"^\| `(.+?)` \|", UPDATING, re.M)
    pattern = "|".join(re.escape(row).replace("…", ".*") for row in rows)
    assert len(rows) >= 5
    return bool(re.search(pattern, output))


@pytest.fixture
def project(template: Template, tmp_path: Path) -> Path:
    return template.copy(tmp_path / "service", OLDEST)


def test_the_first_line_updates_to_the_newest_version(project: Path, template: Template) -> None:
    code, output = run(project, UPDATE)
    assert (code, "is up to date with the template" in output) == (0, True)
    assert f"_commit: v{NEXT}" in (project / ".copier-answers.yml").read_text()


def test_the_second_line_changes_an_answer_and_not_the_version(project: Path) -> None:
    code, output = run(project, CHANGE)
    assert (code, "is up to date with the template" in output) == (0, True)
    recorded = yaml.safe_load((project / ".copier-answers.yml").read_text())
    assert (recorded["io"], recorded["_commit"]) == ("sync", f"v{OLDEST}")


def test_a_dirty_repository_is_refused_until_all_is_committed(project: Path) -> None:
    (project / "uv.lock").write_text("")
    code, output = run(project, UPDATE)
    assert (code, is_quoted(output)) == (1, True)
    commit_all(project)
    assert run(project, UPDATE)[0] == 0


def test_a_template_that_is_not_trusted_is_refused(project: Path) -> None:
    code, output = run(project, UPDATE.replace(" --trust", ""))
    assert (code, is_quoted(output)) == (4, True)


def test_a_template_can_be_trusted_once_and_for_all(
    project: Path, template: Template, tmp_path: Path
) -> None:
    [settings] = re.findall(r"^```yaml\n(trust:\n.*?)```$", UPDATING, re.M | re.S)
    [source] = re.findall(r"^  - (\S+)$", settings, re.M)
    file = tmp_path / "settings.yml"
    file.write_text(settings.replace(source, str(template.folder)))
    command = UPDATE.replace(" --trust", "")
    assert run(project, command, COPIER_SETTINGS_PATH=str(file))[0] == 0


def test_without_the_package_of_the_extensions_the_message_names_it(project: Path) -> None:
    command = UPDATE.replace(" --with copier-template-extensions", "")
    code, output = run(project, command)
    assert (code, is_quoted(output)) == (1, True)


def test_an_unknown_version_is_refused_until_it_is_rendered_anew(
    project: Path, template: Template
) -> None:
    """As after rendering a clone with uncommitted changes: its commit exists nowhere."""
    answers = project / ".copier-answers.yml"
    answers.write_text(answers.read_text().replace(f"v{OLDEST}", "v9.9.9-1-g0123456"))
    commit_all(project)
    code, output = run(project, UPDATE)
    assert (code, is_quoted(output)) == (1, True)
    [recopy] = re.findall(r"`(uvx [^`]* copier recopy [^`]*)`", UPDATING)
    assert run(project, recopy)[0] == 0
    commit_all(project)
    assert run(project, UPDATE)[0] == 0
    assert git(project, "status", "--porcelain") == ""


@pytest.mark.parametrize("source", [".", "../nowhere"])
def test_a_template_that_is_elsewhere_is_refused_until_the_answers_say_where(
    source: str, project: Path, template: Template
) -> None:
    answers = project / ".copier-answers.yml"
    text = answers.read_text()
    answers.write_text(text.replace(f"_src_path: {template.folder}", f"_src_path: {source}"))
    commit_all(project)
    code, output = run(project, UPDATE)
    assert (code, is_quoted(output)) == (1, True)
    answers.write_text(text)
    commit_all(project)
    assert run(project, UPDATE)[0] == 0


def test_a_package_with_another_name_is_refused(project: Path) -> None:
    code, output = run(project, f"{UPDATE} --data package_name=other")
    assert (code, is_quoted(output)) == (1, True)


def test_a_folder_that_is_no_repository_is_refused(project: Path) -> None:
    (project / ".git").rename(project.parent / "elsewhere")
    code, output = run(project, UPDATE)
    assert (code, is_quoted(output)) == (1, True)
