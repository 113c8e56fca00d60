"""Rendered projects whose commands run in the environment of these tests."""

import os
import subprocess
import sys
from pathlib import Path

from . import forks

HEADER = '''"""{title}"""

import sqlalchemy as sa
from alembic import context, op

revision = "{revision}"
down_revision = "{down}"
branch_labels = None
depends_on = None

'''


class Commands:
    """Runs the commands of a project, on one database."""

    def __init__(self, project: Path, url: str) -> None:
        self.project = project
        self.versions = project / "src/my_service/migrations/versions"
        self.environment = {"PYTHONPATH": str(project / "src"), "DATABASE_URL": url}

    def add(self, number: int, upgrade: str, downgrade: str = "pass", top: str = "") -> Path:
        """Write a migration that follows the one with the number before, from the bodies of both."""
        bodies = {"upgrade": upgrade, "downgrade": downgrade}
        text = HEADER.format(
            title=f"Change {number}", revision=f"{number:04}", down=f"{number - 1:04}"
        )
        for name, body in bodies.items():
            lines = body.strip("\n").replace("\n", "\n    ")
            top += f"\n\ndef {name}() -> None:\n    {lines}\n"
        path = self.versions / f"20260102_0000_{number:04}_change.py"
        path.write_text(text + top)
        return path

    def start(self, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
        """Start a command."""
        return subprocess.Popen(
            [sys.executable, "-m", "my_service", *arguments],
            cwd=self.project,
            env=os.environ | self.environment | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: str, fails: bool = False, stdin: str = "", **environment: str) -> str:
        """Run a command, and return what it prints."""
        result = forks.run(
            [sys.executable, "-m", "my_service", *arguments],
            self.project,
            os.environ | self.environment | environment,
            stdin,
        )
        output = result.stderr + result.stdout
        assert (result.returncode != 0) is fails, output
        return output
