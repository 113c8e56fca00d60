"""What owners take away from a project, and what they add to it, leaves all its checks green."""

import re
import shlex
from pathlib import Path

import pytest

from .support.copiers import Render
from .support.run import is_full
from .support.tools import OWN_LAYER_TESTS, Tools
from .support.variants import VARIANTS

pytestmark = pytest.mark.slow


def own_tests(project: Path, tools: Tools, **environment: str) -> str:
    """Run the project's own tests, and return what they print.

    What happens while a file is locked depends on neither the example nor a setting: in a changed
    project, these tests run in test_updates.py, and here in the full profile.
    """
    left_out = [] if is_full() else ["--ignore=tests/test_locked_file.py"]
    command = ["pytest", "-p", "no:cacheprovider", OWN_LAYER_TESTS, *left_out]
    return tools.run(project, *command, fails=False, **environment)


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text, f"{path.name} has no {old!r}"
    path.write_text(text.replace(old, new))


def example(project: Path) -> str:
    """Return what the project's README says of deleting the example."""
    section = (project / "README.md").read_text().split("## What you may delete\n")[1]
    return section.split("* The example: ")[1].split("\n* ")[0]


def delete_example(project: Path) -> None:
    """Do what the README says, up to the migration."""
    package = project / "src/my_service"
    text = example(project)
    assert text.startswith("`User` in `models.py`, ")
    assert "the tests about\n  users" in text or "the tests about users" in text
    (package / "models.py").write_text('"""The tables."""\n')
    for file, importer in re.findall(r"`(\S+)` with its\s+lines in `(\S+)`", text):
        (package / file).unlink()
        name = Path(file).stem
        replace(package / importer, f", {name}\n", "\n") if "web" in file else None
        lines = (package / importer).read_text().splitlines(keepends=True)
        (package / importer).write_text("".join(line for line in lines if name not in line))
    for path in (project / "tests").rglob("*users*.py"):
        path.unlink()


@pytest.mark.parametrize(
    ("variant", "without"),
    [
        ("async-sqlite-fastapi", "class"),
        ("sync-sqlite", "file"),
        ("async-postgresql", "file"),
        ("sync-postgresql-fastapi", "class"),
    ],
)
def test_the_example_can_be_deleted_as_the_readme_says(
    variant: str, without: str, render: Render, tools: Tools, database_url: str
) -> None:
    """Also when no model and no file models.py is left.

    The project's own tests run in one of the variants, and in all of them in the full profile.
    """
    project = render(**VARIANTS[variant])
    migrated = ["uv run my-service db sync", "uv run my-service db upgrade"]
    [revision] = re.findall(r"`(uv run [^`]+ db revision [^`]+)`", example(project))
    commands = [shlex.split(line)[2:] for line in (migrated[0], revision, migrated[1])]
    tools.run(project, *commands[0], DATABASE_URL=database_url)
    delete_example(project)
    if without == "file":
        (project / "src/my_service/models.py").unlink()
    for command in commands[1:]:
        tools.run(project, *command, DATABASE_URL=database_url)
    [dropped] = (project / "src/my_service/migrations/versions").glob("*_drop_users.py")
    assert 'op.drop_table("users")' in dropped.read_text()
    tools.run(project, "ruff", "check", "--no-cache")
    tools.run(project, "ruff", "format", "--check", "--no-cache")
    tools.run(project, "mypy")
    if variant == "sync-sqlite" or is_full():
        assert "skipped" not in own_tests(project, tools)
    # Among the findings would be that of the dropped table.
    since = ("--since", "heads") if "postgresql" in database_url else ()
    tools.run(project, "my-service", "db", "check", *since, DATABASE_URL=database_url)


TABLES = """

class Page(Base):
    __tablename__ = "pages"

    id: Mapped[int] = mapped_column(primary_key=True)


class Link(Base):
    __tablename__ = "links"

    id: Mapped[int] = mapped_column(primary_key=True)


class Word(Base):
    __tablename__ = "words"

    id: Mapped[int] = mapped_column(primary_key=True)
"""


@pytest.mark.parametrize("variant", ["sync-sqlite-fastapi"])
def test_tables_of_the_owners_do_not_meet_those_of_the_tests(
    variant: str, render: Render, tools: Tools, database_url: str
) -> None:
    project = render(**VARIANTS[variant])
    models = project / "src/my_service/models.py"
    models.write_text(models.read_text() + TABLES)
    for command in (["sync"], ["revision", "-m", "Create pages, links and words"]):
        tools.run(project, "my-service", "db", *command, DATABASE_URL=database_url)
    own = [f"tests/db/test_{name}.py" for name in ("manager", "queries")]
    tools.run(project, "pytest", "-p", "no:cacheprovider", *own)


OUTER = {
    "PRODUCTION": "1",
    "LOG_LEVEL": "ERROR",
    "DATABASE_URL": "postgresql://nobody@nowhere.invalid/nothing",
    "DATABASE__SQLALCHEMY__ECHO": "1",
    "database__alembic__migrations_path": "/nowhere",
}


@pytest.mark.parametrize("variant", ["sync-sqlite-fastapi"])
def test_a_required_setting_costs_one_line_of_the_tests(
    variant: str, render: Render, tools: Tools
) -> None:
    """Whatever the environment says, and the file .env: the tests see nothing of either."""
    project = render(**VARIANTS[variant])
    setting = '    log_level: str = "INFO"\n'
    replace(project / "src/my_service/config.py", setting, f"{setting}    api_key: str\n")
    line = "ENVIRONMENT: dict[str, str] = {"
    replace(project / "tests/conftest.py", f"{line}}}", f'{line}"API_KEY": "secret"}}')
    (project / "tests/test_api_key.py").write_text(
        "from my_service.config import get_settings\n\n\n"
        "def test_the_key_is_that_of_the_tests() -> None:\n"
        '    assert get_settings().api_key == "secret"\n'
    )
    tools.run(project, "mypy")
    tools.run(project, "ruff", "check", "--no-cache")
    tools.run(project, "ruff", "format", "--check", "--no-cache")
    outer = {"API_KEY": "outer", **OUTER}
    (project / ".env").write_text("".join(f"{name}={value}\n" for name, value in outer.items()))
    own_tests(project, tools, **outer)
