"""Projects whose owner works on Windows are updated like any other."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from .support.releases import LATER, Template, commit_all, contents, git, update

pytestmark = pytest.mark.slow

CONFIG = "src/my_service/config.py"
LINE = "pool_timeout: float = Field(default={},"


def commit_crlf(project: Path) -> None:
    """Commit text with Windows' line ends, as an editor writes it and Git is not told otherwise."""
    git(project, "config", "core.autocrlf", "false")


def convert_to_crlf(project: Path) -> None:
    """Let Git convert line ends, as its installer for Windows suggests."""
    git(project, "config", "core.autocrlf", "true")


@pytest.mark.parametrize("configure", [commit_crlf, convert_to_crlf])
def test_windows_line_ends_are_no_conflict(
    configure: Callable[[Path], None], later: Template, tmp_path: Path
) -> None:
    project = later.copy(tmp_path / "service")
    configure(project)
    for name in git(project, "ls-files", "*.py", "*.toml", "*.md", "Dockerfile").split():
        file = project / name
        text = file.read_text()
        if name == CONFIG:
            text = text.replace('log_level: str = "INFO"', 'log_level: str = "DEBUG"')
        file.write_bytes(text.replace("\n", "\r\n").encode())
    commit_all(project)
    later.change("config.py.jinja", LINE.format(5), LINE.format(7))
    later.file("types.py").write_text(later.file("types.py").read_text() + "\n# Fixed.\n")
    git(later.folder, "commit", "--quiet", "--all", "--message=Fix")
    git(later.folder, "tag", "--force", f"v{LATER}")
    update(project, LATER)
    conflicts = git(project, "diff", "--name-only", "--diff-filter=U").split()
    assert conflicts == []
    assert not [
        name for name, text in contents(project).items() if re.search(rb"^<<<<", text, re.M)
    ]
    config = (project / CONFIG).read_text()
    assert LINE.format(7) in config
    assert '"DEBUG"' in config
    assert (project / "src/my_service/db/types.py").read_text().endswith("# Fixed.\n")
    changed = git(project, "diff", "--stat=200", "HEAD", "--", "src").splitlines()
    assert {line.split("|")[0].strip() for line in changed[:-1]} == {
        CONFIG,
        "src/my_service/db/types.py",
    }
