"""What the workflows run does what they say; only GitHub's own command is played by a script."""

import os
import shutil
from pathlib import Path

import pytest
import yaml

from .conftest import ROOT
from .releases import LATER, Template, bash, commit_all, contents, git, releases

pytestmark = pytest.mark.slow


class Runner:
    """Runs scripts as GitHub does, with a repository as its `origin`."""

    def __init__(self, repository: Path, folder: Path) -> None:
        self.repository = repository
        self.origin = folder / "origin"
        self.output = folder / "output"
        self.calls = folder / "calls"
        self.output.touch()
        git(folder, "init", "--quiet", "--bare", str(self.origin))
        git(repository, "remote", "add", "origin", str(self.origin))
        git(repository, "push", "--quiet", "origin", "HEAD:main")
        programs = folder / "programs"
        programs.mkdir()
        gh = programs / "gh"
        gh.write_text(
            f'#!/bin/sh\nprintf "%s\\n" "$@" >> {self.calls}\n'
            f'for a in "$@"; do case "$a" in *.md) cat "$a" >> {self.calls};; esac; done\n'
        )
        gh.chmod(0o755)
        self.environment = {
            **os.environ,
            "PATH": f"{programs}:{os.environ['PATH']}",
            "GITHUB_OUTPUT": str(self.output),
            "RUNNER_TEMP": str(folder),
        }

    def run(self, script: str, **environment: str) -> tuple[int, str]:
        return bash(self.repository, script, self.environment | environment)

    def outputs(self) -> dict[str, str]:
        return dict(line.split("=", 1) for line in self.output.read_text().splitlines())

    def update(self, token: bool = True) -> tuple[int, str]:
        """Run the steps of the rendered update.yml, up to the first that fails."""
        workflow = yaml.safe_load((self.repository / ".github/workflows/update.yml").read_text())
        look, update, request = (
            step["run"] for step in workflow["jobs"]["update"]["steps"] if "run" in step
        )
        code, output = self.run(look)
        if code or "found" not in self.outputs():
            return code, output
        code, output = self.run(update, ANSWERS=self.outputs()["answers"])
        if code:
            return code, output
        version = self.outputs()["version"]
        return self.run(request, VERSION=version, HAS_UPDATE_TOKEN=str(token).lower())


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
    assert "Conflicts" not in calls
    git(project, "switch", "--quiet", "-")
    runner.calls.write_text("")
    code, output = runner.update()
    assert code == 0, output
    assert "waits for you" in output
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
    assert "Conflicts are marked on this branch, for you to settle:\n\n* `Dockerfile`\n" in (
        runner.calls.read_text()
    )


def test_nothing_happens_while_there_is_no_new_version(project: Path, runner: Runner) -> None:
    assert runner.update() == (0, "There is none.\n")
    assert runner.outputs() == {}
    assert git(project, "status", "--porcelain") == ""


def test_an_update_of_a_workflow_asks_for_the_token_that_it_needs(
    later: Template, runner: Runner
) -> None:
    later.change("update.yml", "timeout-minutes: 15", "timeout-minutes: 16")
    code, output = runner.update(token=False)
    assert (code, "needs the secret UPDATE_TOKEN" in output) == (1, True)
    assert not runner.calls.read_text().count("create")


def test_what_copier_says_is_in_the_pull_request(
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


def test_a_template_at_a_url_that_does_not_answer_is_an_error(
    later: Template, project: Path, runner: Runner
) -> None:
    answers = project / ".copier-answers.yml"
    text = answers.read_text().replace(f"{later.folder}", "file:///nowhere/template.git")
    answers.write_text(text)
    commit_all(project)
    assert runner.update()[0] != 0


@pytest.fixture
def released(tmp_path: Path) -> Runner:
    """A repository in which a version was set two commits ago."""
    folder = tmp_path / "repository"
    (folder / ".ci").mkdir(parents=True)
    git(folder, "init", "--quiet")
    (folder / ".ci/release").write_text((ROOT / ".ci/release").read_text())
    for version in ("1.0.0", "1.1.0"):
        (folder / "pyproject.toml").write_text(f'[project]\nversion = "{version}"\n')
        (folder / "CHANGELOG.md").write_text(
            "# Changelog\n\n## 1.1.0 - 2026-12-01\n\nMore.\n\n## 1.0.0 - 2026-11-21\n\nAll.\n"
        )
        commit_all(folder)
    commit_all(folder)
    return Runner(folder, tmp_path)


def released_commits(runner: Runner) -> dict[str, str]:
    """Return the tags of the origin, and their commits."""
    tags = git(runner.origin, "tag").split()
    return {tag: git(runner.origin, "rev-parse", f"{tag}^{{commit}}").strip() for tag in tags}


def test_every_version_without_a_tag_is_released_oldest_first(released: Runner) -> None:
    code, output = released.run("bash .ci/release")
    assert code == 0, output
    _, newest, oldest = git(released.repository, "log", "--format=%H").split()
    assert released_commits(released) == {"v1.0.0": oldest, "v1.1.0": newest}
    assert released.calls.read_text() == (
        "release\ncreate\nv1.0.0\n--verify-tag\n--title\n1.0.0\n--notes\nAll.\n"
        "release\ncreate\nv1.1.0\n--verify-tag\n--title\n1.1.0\n--notes\nMore.\n"
    )


def test_a_version_is_released_once(released: Runner) -> None:
    released.run("bash .ci/release")
    released.calls.unlink()
    before = released_commits(released)
    code, output = released.run("bash .ci/release")
    assert (code, output) == (0, "v1.0.0 is there already.\nv1.1.0 is there already.\n")
    assert released_commits(released) == before
    assert not released.calls.exists()


def test_a_version_that_has_been_released_is_left_alone_when_a_later_one_is(
    released: Runner,
) -> None:
    git(released.repository, "tag", "v1.0.0", "HEAD")
    git(released.repository, "push", "--quiet", "origin", "v1.0.0")
    code, output = released.run("bash .ci/release")
    assert code == 0, output
    assert (
        released_commits(released)["v1.0.0"]
        == git(released.repository, "rev-parse", "HEAD").strip()
    )
    assert "v1.0.0" not in released.calls.read_text()
    assert "create\nv1.1.0\n" in released.calls.read_text()


def test_a_version_without_a_section_in_the_changelog_is_not_released(released: Runner) -> None:
    pyproject = released.repository / "pyproject.toml"
    pyproject.write_text(pyproject.read_text().replace("1.1.0", "1.2.0"))
    commit_all(released.repository)
    code, output = released.run("bash .ci/release")
    assert (code, "no section for 1.2.0" in output) == (1, True)
    assert list(released_commits(released)) == ["v1.0.0", "v1.1.0"]
    changelog = released.repository / "CHANGELOG.md"
    changelog.write_text(changelog.read_text() + "\n## 1.2.0 - 2027-01-01\n\nLate.\n")
    commit_all(released.repository)
    assert released.run("bash .ci/release")[0] == 0
    assert "v1.2.0" in released_commits(released)


def test_every_released_version_has_its_section_in_the_changelog() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text()
    for version in releases():
        assert f"\n## {version} - 20" in changelog
