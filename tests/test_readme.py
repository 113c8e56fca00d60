"""The commands of the README work as they stand there, with nothing but Python, pip and git."""

import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
import venv
from pathlib import Path
from textwrap import indent

import pytest
import yaml

from .support.ports import free_port
from .support.releases import ROOT


def command(name: str) -> str:
    """Return the command that the README marks with a name."""
    text = (ROOT / "README.md").read_text()
    found = re.search(rf"^<!-- command: {name} -->\n```sh\n(.+)\n```$", text, re.M)
    assert found
    return found[1]


class Machine:
    """A folder with a clone in it, and an environment that has Python, pip and git only."""

    def __init__(self, folder: Path) -> None:
        self.clone = folder / "clone"
        subprocess.run(["git", "clone", "--quiet", "--no-tags", ROOT, self.clone], check=True)
        # What has not been committed yet is to be tested too.
        tracked = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
        listed = subprocess.run(tracked, cwd=ROOT, check=True, capture_output=True, text=True)
        for name in filter(None, listed.stdout.split("\0")):
            if (ROOT / name).exists():
                (self.clone / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, self.clone / name)
        venv.create(folder / "python", with_pip=True)
        programs = folder / "programs"
        programs.mkdir()
        for program in (*Path("/bin").iterdir(), *Path("/usr/bin").iterdir()):
            if not program.name.startswith(("python", "pip", "uv", "copier", "pg_", "psql")):
                (programs / program.name).unlink(missing_ok=True)
                (programs / program.name).symlink_to(program)
        for command in (["add", "--all"], ["commit", "--quiet", "--allow-empty", "--message=Now"]):
            subprocess.run(["git", *command], cwd=self.clone, check=True)
        self.environment = {
            "PATH": f"{folder / 'python' / 'bin'}:{programs}",
            "HOME": str(folder),
            **dict.fromkeys(("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"), "Ada"),
            **dict.fromkeys(("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"), "ada@example.org"),
            "UV_PYTHON": sys.executable,
            # What has been fetched once is not fetched again.
            "UV_CACHE_DIR": subprocess.check_output(["uv", "cache", "dir"], text=True).strip(),
            **{
                name: value
                for name, value in os.environ.items()
                if name.startswith(("PIP_", "UV_", "SSL_", "http", "HTTP", "GIT_CONFIG"))
            },
        }

    def run(self, line: str, folder: Path | None = None, **environment: str) -> str:
        result = subprocess.run(
            ["bash", "-c", line],
            cwd=folder or self.clone,
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert result.returncode == 0, result.stdout
        return result.stdout


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    return Machine(tmp_path_factory.mktemp("machine"))


@pytest.mark.slow
def test_the_first_command_renders_a_service_and_prints_what_starts_it(machine: Machine) -> None:
    output = machine.run(command("render"))
    service = machine.clone.parent / "my-service"
    lines = [line.split("#")[0].strip() for line in output.splitlines()]
    change = next(index for index, line in enumerate(lines) if line.startswith("cd "))
    start = next(line for line in lines if line.startswith("uv run my-service dev"))
    for line in filter(None, lines[change + 1 : lines.index(start)]):
        machine.run(line, service)
    port = free_port()
    server = subprocess.Popen(
        ["bash", "-c", f"exec {start} --port {port}"], cwd=service, env=machine.environment
    )
    try:
        assert b"up to date" in _get(f"http://127.0.0.1:{port}/readyz")
        assert _get(f"http://127.0.0.1:{port}/users") == b"[]"
    finally:
        server.terminate()
        server.wait(timeout=30)
    assert "Added ada" in machine.run("uv run my-service users add ada", service)
    assert "ada" in machine.run("uv run my-service users list", service)
    # The printed steps have left nothing uncommitted, or the update would be refused.
    updated = machine.run(
        "uvx --with copier-template-extensions copier update --trust --defaults", service
    )
    assert "Error" not in updated
    assert machine.run("git status --porcelain", service) == ""


def _get(url: str) -> bytes:
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310
                body: bytes = response.read()
                return body
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


@pytest.mark.slow
def test_the_second_command_runs_the_tests(machine: Machine) -> None:
    # All modules are imported, and some quick tests run: this very test is one of the others.
    # One process is enough for them.
    options = "-m 'not slow' -k test_questions --numprocesses=1"
    output = machine.run(command("test"), PYTEST_ADDOPTS=options)
    assert re.search(r"\d{2,} passed", output)


def test_continuous_integration_runs_the_test_command() -> None:
    script = (ROOT / ".ci/run").read_text()
    assert "command: test" in script
    assert os.access(ROOT / ".ci/run", os.X_OK)
    ending = script.rstrip().splitlines()[-1]
    assert ending == 'exec bash -euo pipefail -c "$test_command"'
    assert command("test").endswith(" -m uv run pytest")


PAGES = [
    *ROOT.glob("*.md"),
    *(
        page
        for folder in ("benchmarks", "decisions", "docs")
        for page in ROOT.glob(f"{folder}/*.md")
    ),
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_between_pages_and_to_files_exist(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S)
    for link in re.findall(r"""\]\(([^)\s]+)\)|src="([^"]+)\"""", text):
        path, _, anchor = "".join(link).partition("#")
        if path.startswith("https:"):
            continue
        target = page.parent / path if path else page
        assert target.exists(), path
        if anchor:
            headings = re.findall(r"^#+ (.+)$", target.read_text(), re.M)
            assert anchor in {
                re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings
            }


def test_code_in_the_readme_is_that_of_the_example() -> None:
    package = ROOT / "examples/async-postgresql-fastapi/src/my_service"
    blocks = re.findall(r"^```python\n(.+?)^```$", (ROOT / "README.md").read_text(), re.M | re.S)
    assert len(blocks) == 2
    for block, module in zip(blocks, ("web/users.py", "cli/users.py"), strict=True):
        text = (package / module).read_text()
        assert block in text or indent(block, "    ") in text


def test_facts_that_are_told_twice_agree() -> None:
    lowest = yaml.safe_load((ROOT / "copier.yml").read_text())["_min_copier_version"]
    assert f'"copier>={lowest.removesuffix(".0")}"' in (ROOT / "pyproject.toml").read_text()
    workflow = (ROOT / ".github/workflows/ci.yml").read_text()
    assert f'"copier=={lowest}"' in workflow
    project = (ROOT / "template/pyproject.toml.jinja").read_text()
    for tool in ("mypy", "pytest", "ruff"):
        bound = rf'"{tool}>=[^"]+"'
        ours = re.search(bound, (ROOT / "pyproject.toml").read_text())
        theirs = re.search(bound, project)
        assert ours
        assert theirs
        assert ours[0] == theirs[0]
