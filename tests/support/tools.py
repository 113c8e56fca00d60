"""The tools of rendered projects, in environments with nothing else in them."""

import hashlib
import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

from . import forks
from .shared import Shared

# Of the layer's tests, those that meet the project's own models and migrations.
OWN_LAYER_TESTS = "--ignore-glob=*/tests/db/test_[!m]*"


def _link(source: str, target: str) -> None:
    # Python writes what it has compiled into a file that it then renames.
    with suppress(FileNotFoundError):
        os.link(source, target)


class Tools:
    """Runs commands in rendered projects, each in an environment that is made to fit exactly."""

    def __init__(self, folder: Path, shared: Shared) -> None:
        self.folder, self.shared = folder, shared
        self.environment: dict[str, str] = {}
        # Of the project that was installed last.
        self.environment_folder = Path()

    def install(self, project: Path) -> None:
        """Install what a project declares, and nothing else, and the project itself.

        Projects that declare the same share an environment; only the path of the code differs.
        """
        declared = (project / "pyproject.toml").read_bytes()

        def make(folder: Path) -> None:
            # A copy, because `uv sync` writes uv.lock.
            shutil.copytree(project / "src", folder / "project/src")
            for name in ("pyproject.toml", "README.md"):
                shutil.copy(project / name, folder / "project")
            environment = os.environ | {"UV_PROJECT_ENVIRONMENT": str(folder / "environment")}

            def sync(*options: str) -> bool:
                command = ["uv", "sync", "--quiet", "--exact", *options]
                result = subprocess.run(command, cwd=folder / "project", env=environment)
                return result.returncode == 0

            # What a similar project needs has just been looked up.
            is_known = self._link_similar(folder / "environment") and sync("--offline")
            assert is_known or sync()
            [paths] = folder.glob("environment/lib/python*/site-packages/_editable_*.pth")
            assert paths.read_text().strip() == str(folder / "project/src")
            paths.unlink()

        name = f"environment-{hashlib.sha256(declared).hexdigest()[:12]}"
        folder = self.environment_folder = self.shared.make(name, make) / "environment"
        self.environment = {
            **os.environ,
            "VIRTUAL_ENV": str(folder),
            "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            # Instead of the file that an editable installation writes.
            "PYTHONPATH": str(project / "src"),
        }

    def _link_similar(self, folder: Path) -> bool:
        """Begin with the largest environment that is there: its files are installed and compiled.

        Return whether there is one.
        """
        there = [
            path.with_suffix("") / "environment"
            for path in self.shared.folder.glob("environment-*.made")
        ]
        if not there:
            return False
        largest = max(there, key=lambda path: len([*path.glob("lib/*/site-packages/*.dist-info")]))
        shutil.copytree(largest, folder, symlinks=True, copy_function=_link)
        for script in (folder / "bin").iterdir():
            content = script.read_bytes()
            if content.startswith(b"#!") and not script.is_symlink():
                # Its first lines name the interpreter. A new file, because the old one has two names.
                script.unlink()
                script.write_bytes(content.replace(str(largest).encode(), str(folder).encode()))
                script.chmod(0o755)
        return True

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
        result = forks.run([program, *command[1:]], project, self.environment | environment)
        assert (result.returncode != 0) is fails, result.stdout + result.stderr
        return result.stdout + result.stderr if fails else result.stdout
