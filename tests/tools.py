"""The tools of rendered projects, in an environment with nothing else in it."""

import os
import subprocess
from pathlib import Path


class Tools:
    """Runs commands in rendered projects, all in one environment that is made to fit exactly."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            **os.environ,
            "UV_PROJECT_ENVIRONMENT": str(folder / "environment"),
            "MYPY_CACHE_DIR": str(folder / "mypy"),
        }

    def run(self, project: Path, *command: str, fails: bool = False, **environment: str) -> str:
        """Run a command in a project's environment, and return what it prints."""
        result = subprocess.run(
            ["uv", "run", "--quiet", "--exact", *command],
            cwd=project,
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert (result.returncode != 0) is fails, result.stdout + result.stderr
        return result.stdout + result.stderr if fails else result.stdout
