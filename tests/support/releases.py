"""The released versions of the template, as the history has them."""

import io
import shutil
import subprocess
import tarfile
import tomllib
import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from copier import VcsRef, run_copy, run_update

ROOT = Path(__file__).parents[2]
PARTS = ("copier.yml", "extensions", "template")
# What is in the working tree counts as a version above all that have been released.
NEXT = "999.0.0"
# For a release that nobody will ever see.
LATER = "1000.0.0"


def git(folder: Path, *command: str) -> str:
    """Run git in a folder, and return what it prints."""
    return subprocess.run(
        ["git", *command], cwd=folder, check=True, capture_output=True, text=True
    ).stdout


def bash(folder: Path, script: str, environment: dict[str, str]) -> tuple[int, str]:
    """Run a script up to the first failure; return its exit code, and what it prints."""
    result = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return result.returncode, result.stdout


@cache
def releases() -> dict[str, str]:
    """Return the commit that set each version in pyproject.toml, from 1.0.0 on, oldest first."""
    shallow = git(ROOT, "rev-parse", "--is-shallow-repository").strip() == "true"
    assert not shallow, "released versions are looked up in the history: git fetch --unshallow"
    log = git(ROOT, "log", "--reverse", "--format=%H", "-G", "^version = ", "--", "pyproject.toml")
    found = {}
    for commit in log.split():
        project = tomllib.loads(git(ROOT, "show", f"{commit}:pyproject.toml"))["project"]
        if int(project["version"].split(".")[0]) >= 1:
            found[project["version"]] = commit
    return found


def copy_working_tree(folder: Path) -> None:
    """Copy the template as it is now, committed or not, into a folder."""
    for part in PARTS:
        if (ROOT / part).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / part, folder / part, ignore=ignored)
        else:
            shutil.copy(ROOT / part, folder)


def build_template(folder: Path) -> "Template":
    """Build a repository with a tag for each released version, and the working tree on top."""
    folder.mkdir()
    git(folder, "init", "--quiet")
    template = Template(folder)
    for version, commit in releases().items():
        archive = subprocess.run(
            ["git", "archive", commit, *PARTS], cwd=ROOT, check=True, capture_output=True
        )
        template.clear()
        with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
            # Python 3.11.4 brought filters; from 3.14 on this one is the default.
            files.extraction_filter = getattr(tarfile, "data_filter", None)
            files.extractall(folder)  # noqa: S202
        template.release(version)
    template.clear()
    copy_working_tree(folder)
    template.release(NEXT)
    return template


@dataclass(frozen=True)
class Template:
    """A repository of the template."""

    folder: Path

    def fork(self, folder: Path) -> "Template":
        """Return a copy of it, for a release that nobody will ever see."""
        return Template(Path(shutil.copytree(self.folder, folder)))

    def file(self, name: str) -> Path:
        """Return the one file of that name in the template."""
        [found] = (self.folder / "template").rglob(name)
        return found

    def change(self, name: str, old: str, new: str) -> None:
        """Replace a text in a file, and release that."""
        text = self.file(name).read_text()
        assert old in text
        self.file(name).write_text(text.replace(old, new))
        self.release(LATER)

    def clear(self) -> None:
        """Remove what is in the working tree."""
        for part in self.folder.iterdir():
            if part.is_dir() and part.name != ".git":
                shutil.rmtree(part)

    def release(self, version: str) -> None:
        """Commit what is in the folder, and tag it as a version."""
        commit_all(self.folder)
        git(self.folder, "tag", f"v{version}")

    def copy(self, folder: Path, version: str = NEXT, **answers: Any) -> Path:
        """Render a project at a version, commit it, and return its folder."""
        with warnings.catch_warnings(action="ignore"):
            run_copy(
                str(self.folder),
                folder,
                data=answers,
                vcs_ref=f"v{version}",
                defaults=True,
                unsafe=True,
                quiet=True,
            )
        git(folder, "init", "--quiet")
        commit_all(folder)
        return folder


def commit_all(folder: Path) -> None:
    """Commit all that is in a folder, changed or not."""
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message=Now")


def update(project: Path, version: str | None = NEXT, **answers: Any) -> None:
    """Update a project to a version, or, with None, give it other answers at the version it has."""
    with warnings.catch_warnings(action="ignore"):
        run_update(
            project,
            data=answers,
            vcs_ref=f"v{version}" if version else VcsRef.CURRENT,
            defaults=True,
            overwrite=True,
            unsafe=True,
        )


def contents(folder: Path) -> dict[str, bytes]:
    """Return the files of a project by their paths, but for what git ignores and what it keeps."""
    listed = git(folder, "ls-files", "--cached", "--others", "--exclude-standard", "-z")
    paths = (name for name in listed.split("\0") if name and (folder / name).is_file())
    return {name: (folder / name).read_bytes() for name in sorted(paths)}
