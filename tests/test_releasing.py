"""Run `.ci/release`; a script replaces `gh`."""

from pathlib import Path

import pytest

from .support.releases import ROOT, commit_all, git, releases
from .support.runner import Runner

pytestmark = pytest.mark.slow


@pytest.fixture
def released(tmp_path: Path) -> Runner:
    """A repository with two versions, and a commit after them."""
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
    """Return the tags of the origin and their commits."""
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
    assert (code, output) == (0, "v1.0.0 exists already.\nv1.1.0 exists already.\n")
    assert released_commits(released) == before
    assert not released.calls.exists()


def test_only_the_version_without_a_tag_is_released(released: Runner) -> None:
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
