"""Every variant proves itself: with its own tools, in an environment with nothing else in it."""

import re
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import psycopg
import pytest

from .support.tools import Tools
from .support.variants import HALF

pytestmark = pytest.mark.slow


def test_its_linter_formatter_and_type_checker_have_nothing_to_say(
    project: Path, tools: Tools
) -> None:
    tools.run(project, "ruff", "check", "--no-cache")
    tools.run(project, "ruff", "format", "--check", "--no-cache")
    tools.run(project, "mypy")


def code(project: Path) -> dict[str, bytes]:
    """Return the files of the package and of the tests."""
    files = [path for folder in ("src", "tests") for path in (project / folder).rglob("*.py")]
    return {path.relative_to(project).as_posix(): path.read_bytes() for path in files}


def test_its_own_tests_pass_and_none_is_skipped(
    project: Path, variant: str, rendered: Mapping[str, Path], tools: Tools
) -> None:
    """Those that are the same with FastAPI run with it: the package is the same to the byte."""
    left_out = []
    if not variant.endswith("-fastapi"):
        ours, theirs = code(project), code(rendered[f"{variant}-fastapi"])
        assert len(ours) > 30
        # FastAPI adds two commands, and settings, whose tests run for both.
        for path, added in (("cli/__init__.py", b""), ("config.py", b"Literal, ")):
            found, more = ours.pop(f"src/my_service/{path}"), theirs.pop(f"src/my_service/{path}")
            assert set(found.splitlines()) < set(more.replace(added, b"").splitlines())
        ours.pop("tests/test_config.py")
        package = {path: text for path, text in ours.items() if path.startswith("src/")}
        assert package.items() <= theirs.items()
        same = [path for path, text in ours.items() if text == theirs.get(path)]
        assert len(same) > len(package) + 10
        left_out = [f"--ignore={path}" for path in same]
    output = tools.run(project, "pytest", "-p", "no:cacheprovider", *left_out)
    assert re.search(r"\d{2,} passed", output)
    assert "skipped" not in output


# With and without FastAPI, the package is the same: see above.
half = pytest.mark.parametrize("variant", HALF)


@half
def test_plain_alembic_migrates_checks_and_undoes(
    project: Path, tools: Tools, database_url: str
) -> None:
    for command in (["upgrade", "head"], ["check"], ["downgrade", "base"]):
        tools.run(project, "alembic", *command, DATABASE_URL=database_url)
    assert "CREATE TABLE users" in tools.run(
        project, "alembic", "upgrade", "head", "--sql", DATABASE_URL=database_url
    )


@half
def test_its_command_works_as_the_readme_says(
    project: Path, tools: Tools, database_url: str
) -> None:
    tools.install(project)
    environment = tools.environment | {"DATABASE_URL": database_url}

    def run(program: str, *arguments: str) -> str:
        # As an owner does, and not in a fork.
        command = [str(tools.environment_folder / "bin" / program), *arguments]
        result = subprocess.run(
            command, cwd=project, env=environment, capture_output=True, text=True, check=True
        )
        return result.stdout

    assert run("my-service", "db", "sync") == "Database created.\n"
    assert run("python", "-m", "my_service", "db", "sync") == "Database already up-to-date.\n"
    assert "ada" in run("my-service", "users", "add", "ada", "--full-name", "Ada Lovelace")
    assert "Ada Lovelace" in run("my-service", "users", "list")


@pytest.mark.parametrize("variant", ["async-sqlite-fastapi", "sync-postgresql"])
def test_a_new_migration_is_tidy_and_sorts_by_time(
    project: Path, tools: Tools, database_url: str, tmp_path: Path
) -> None:
    models = project / "src/my_service/models.py"
    versions = project / "src/my_service/migrations/versions"
    before, first = models.read_text(), set(versions.glob("*.py"))
    models.write_text(before + "    nickname: Mapped[str | None] = mapped_column(unique=False)\n")
    try:
        tools.run(project, "my-service", "db", "upgrade", DATABASE_URL=database_url)
        tools.run(project, "my-service", "db", "check", fails=True, DATABASE_URL=database_url)
        tools.run(
            project, "my-service", "db", "revision", "-m", "Add nickname", DATABASE_URL=database_url
        )
        [new] = set(versions.glob("*.py")) - first
        assert re.fullmatch(r"\d{8}_\d{4}_[0-9a-f]+_add_nickname\.py", new.name)
        assert sorted(versions.glob("*.py"))[-1] == new
        tools.run(project, "ruff", "check", "--no-cache")
        tools.run(project, "ruff", "format", "--check", "--no-cache")
        tools.run(project, "mypy")
        for command in (["upgrade"], ["check"], ["downgrade", "base"], ["upgrade"]):
            tools.run(project, "my-service", "db", *command, DATABASE_URL=database_url)
    finally:
        models.write_text(before)
        for path in set(versions.glob("*.py")) - first:
            path.unlink()


def test_a_table_without_its_migration_fails_the_projects_tests(
    rendered: Mapping[str, Path], tools: Tools
) -> None:
    project = rendered["sync-sqlite"]
    models = project / "src/my_service/models.py"
    before = models.read_text()
    models.write_text(before + "    nickname: Mapped[str | None]\n")
    try:
        output = tools.run(project, "pytest", "tests/test_migrations.py", fails=True)
    finally:
        models.write_text(before)
    assert "test_the_migrations_make_the_schema_of_the_models" in output


def test_the_server_of_the_tests_ends_with_them_even_if_they_are_killed(
    rendered: Mapping[str, Path], tmp_path: Path
) -> None:
    code = (
        "import os, signal\n"
        "from postgres import postgres_server\n"
        "with postgres_server() as url:\n"
        "    print(url, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    folder = rendered["sync-postgresql"] / "tests"
    killed = subprocess.run([sys.executable, "-c", code], cwd=folder, stdout=subprocess.PIPE)
    url = killed.stdout.decode().strip()
    assert url.startswith("postgresql://")
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError as error:
            if "refused" in str(error):
                return
    pytest.fail("the server still runs")
