"""Run the scripts of workflows as GitHub does."""

import os
from pathlib import Path

import yaml

from .releases import bash, git


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
