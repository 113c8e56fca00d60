"""Run the rendered update.yml; a script replaces `gh`."""

import shutil
from pathlib import Path

import pytest

from .support.releases import LATER, Template, commit_all, contents, git
from .support.runner import Runner

pytestmark = pytest.mark.slow


@pytest.fixture
def project(later: Template, tmp_path: Path) -> Path:
    return later.copy(tmp_path / "service")


@pytest.fixture
def runner(project: Path, tmp_path: Path) -> Runner:
    return Runner(project, tmp_path)


def test_an_update_is_offered_as_a_pull_request(
    later: Template, project: Path, runner: Runner, tmp_path: Path
) -> None:
    later.change("Dockerfile.jinja", "WORKDIR /app", "WORKDIR /srv")
    code, output = runner.update()
    assert code == 0, output
    branch = f"template-{LATER}"
    assert git(project, "log", "-1", "--format=%s", f"origin/{branch}").strip() == (
        f"Update to version {LATER} of the template"
    )
    git(project, "switch", "--quiet", branch)
    assert contents(project) == contents(later.copy(tmp_path / "new", LATER))
    calls = runner.calls.read_text()
    assert f"pr\ncreate\n--head\n{branch}\n" in calls
    assert "Resolve the conflicts" not in calls
    git(project, "switch", "--quiet", "-")
    runner.calls.write_text("")
    code, output = runner.update()
    assert code == 0, output
    assert "exists already" in output
    assert "create" not in runner.calls.read_text()


def test_a_conflict_is_named_in_the_pull_request(
    later: Template, project: Path, runner: Runner
) -> None:
    file = project / "Dockerfile"
    file.write_text(file.read_text().replace("WORKDIR /app", "WORKDIR /mine"))
    commit_all(project)
    later.change("Dockerfile.jinja", "WORKDIR /app", "WORKDIR /srv")
    code, output = runner.update()
    assert code == 0, output
    assert "Resolve the conflicts on this branch:\n\n* `Dockerfile`\n" in runner.calls.read_text()


def test_nothing_happens_without_a_new_version(project: Path, runner: Runner) -> None:
    assert runner.update() == (0, "No new version.\n")
    assert runner.outputs() == {}
    assert git(project, "status", "--porcelain") == ""


def test_an_update_of_a_workflow_without_the_token_is_an_error(
    later: Template, runner: Runner
) -> None:
    later.change("update.yml", "timeout-minutes: 15", "timeout-minutes: 16")
    code, output = runner.update(token=False)
    assert (code, "needs the secret UPDATE_TOKEN" in output) == (1, True)
    assert not runner.calls.read_text().count("create")


def test_the_output_of_copier_is_in_the_pull_request(
    later: Template, project: Path, runner: Runner
) -> None:
    shutil.move(project / "src/my_service/db/types.py", project / "src/my_service/types.py")
    commit_all(project)
    later.change("Dockerfile.jinja", "WORKDIR /app", "WORKDIR /srv")
    code, output = runner.update()
    assert code == 0, output
    assert "  src/my_service/db/types.py -> src/my_service/types.py\n" in runner.calls.read_text()


@pytest.mark.parametrize("name", [".copier-answers.service.yml", ".copier-answers.zzz.yml"])
def test_an_answers_file_with_another_name_is_found(
    name: str, later: Template, project: Path, runner: Runner
) -> None:
    (project / ".copier-answers.yml").rename(project / name)
    (project / ".copier-answers.other.yml").write_text("_src_path: /nowhere\ncolour: red\n")
    commit_all(project)
    later.change("Dockerfile.jinja", "WORKDIR /app", "WORKDIR /srv")
    code, output = runner.update()
    assert code == 0, output
    changed = git(project, "show", "--name-only", "--format=", f"origin/template-{LATER}")
    assert changed.split() == [name, "Dockerfile"]


@pytest.mark.parametrize("source", ["/nowhere/template", ".", "../template", "C:\\template"])
def test_a_project_from_a_local_path_passes_with_a_notice(
    source: str, later: Template, project: Path, runner: Runner
) -> None:
    answers = project / ".copier-answers.yml"
    text = answers.read_text()
    assert f"_src_path: {later.folder}\n" in text
    answers.write_text(text.replace(f"{later.folder}", source))
    commit_all(project)
    code, output = runner.update()
    assert (code, output.startswith("::notice::")) == (0, True), output
    assert source in output
    assert ".copier-answers.yml" in output
    assert runner.outputs() == {}


def test_a_project_without_an_answers_file_passes_with_a_notice(
    project: Path, runner: Runner
) -> None:
    (project / ".copier-answers.yml").unlink()
    commit_all(project)
    code, output = runner.update()
    assert (code, "::notice::" in output) == (0, True), output
    assert runner.outputs() == {}


def test_an_unreachable_template_is_an_error(
    later: Template, project: Path, runner: Runner
) -> None:
    answers = project / ".copier-answers.yml"
    text = answers.read_text().replace(f"{later.folder}", "file:///nowhere/template.git")
    answers.write_text(text)
    commit_all(project)
    assert runner.update()[0] != 0
