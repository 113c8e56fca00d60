"""The tools of rendered projects, in an environment with nothing else in it."""

import os
import shutil
import subprocess
from pathlib import Path

from .shared import Shared


class Tools:
    """Runs commands in rendered projects, all in one environment that is made to fit exactly."""

    def __init__(self, folder: Path, shared: Shared) -> None:
        self.environment_folder = folder / "environment"
        self.environment = {
            **os.environ,
            "UV_PROJECT_ENVIRONMENT": str(self.environment_folder),
            "VIRTUAL_ENV": str(self.environment_folder),
            "PATH": f"{self.environment_folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        }
        self.shared = shared
        self.folder = folder
        # For each pyproject.toml, a copy of the first project that has it.
        self.copies: dict[bytes, Path] = {}
        self.installed: Path | None = None

    def install(self, project: Path) -> None:
        """Install what a project declares, and nothing else, and the project itself, editable.

        Projects that declare the same have been built alike: only the path of the code differs.
        """
        declared = (project / "pyproject.toml").read_bytes()
        copy = self.copies.get(declared)
        if copy is None:
            copy = self.copies[declared] = self.folder / f"project-{len(self.copies)}"
            shutil.copytree(project / "src", copy / "src")
            for name in ("pyproject.toml", "README.md"):
                shutil.copy(project / name, copy)
        if copy != self.installed:
            subprocess.run(
                ["uv", "sync", "--quiet", "--exact"], cwd=copy, env=self.environment, check=True
            )
            self.installed = copy
        [paths] = self.environment_folder.glob("lib/python*/site-packages/_editable_*.pth")
        paths.write_text(str(project / "src"))

    def _mypy_cache(self, project: Path) -> Path:
        """Return a cache that has the libraries, which take most of mypy's time."""

        def check(folder: Path) -> None:
            program = self.environment_folder / "bin/mypy"
            subprocess.run([program, "--cache-dir", folder], cwd=project, capture_output=True)

        cache = self.folder / "mypy"
        if not cache.exists():
            shutil.copytree(self.shared.make("mypy", check), cache)
        return cache

    def run(self, project: Path, *command: str, fails: bool = False, **environment: str) -> str:
        """Run a command in a project's environment, and return what it prints."""
        self.install(project)
        if command[0] == "mypy":
            environment["MYPY_CACHE_DIR"] = str(self._mypy_cache(project))
        program = shutil.which(command[0], path=self.environment["PATH"])
        assert program, f"there is no {command[0]}"
        result = subprocess.run(
            [program, *command[1:]],
            cwd=project,
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert (result.returncode != 0) is fails, result.stdout + result.stderr
        return result.stdout + result.stderr if fails else result.stdout
