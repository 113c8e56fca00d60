"""An answer can be changed later: a project moves from any variant to any other."""

import shutil
from collections.abc import Callable, Mapping
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from extensions.project import TASKS, left_to_do

from .support.owner import DELETED
from .support.releases import commit_all, contents, git, update
from .support.run import is_full
from .support.tools import Tools
from .support.variants import VARIANTS

pytestmark = pytest.mark.slow

TRANSITIONS = list(permutations(VARIANTS, 2))


def changes(old: str, new: str) -> int:
    """Return how many answers differ between two variants."""
    return sum(VARIANTS[old][name] != VARIANTS[new][name] for name in VARIANTS[old])


# Those that change one answer; the others are made of these.
STEPS = [pair for pair in TRANSITIONS if changes(*pair) == 1]
# What an owner changes in files that only FastAPI needs: Git keeps it, and the message says how.
HTTP = [f"src/my_service/web/{name}.py" for name in ("app", "users")] + ["tests/web/test_users.py"]
Move = Callable[[str, str], Path]


@pytest.fixture
def move(edited: Mapping[str, Path], tmp_path: Path) -> Move:
    """Move a project that its owner has changed from a variant to another."""

    def move(old: str, new: str) -> Path:
        project = Path(shutil.copytree(edited[old], tmp_path / "service"))
        update(project, None, **VARIANTS[new])
        return project

    return move


@pytest.mark.parametrize(
    ("old", "new"),
    # Those that change two answers in the full profile only.
    [pair for pair in TRANSITIONS if is_full() or changes(*pair) != 2],
)
def test_a_project_that_nobody_has_changed_becomes_the_other_variant(
    old: str,
    new: str,
    untouched: Mapping[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    project = Path(shutil.copytree(untouched[old], tmp_path / "service"))
    update(project, None, **VARIANTS[new])
    assert contents(project) == contents(untouched[new])
    told = capsys.readouterr().err
    assert not any(task in told for _, _, _, task, _ in TASKS)
    other_database = VARIANTS[old]["database"] != VARIANTS[new]["database"]
    assert ("uses another database now" in told) is other_database


@pytest.mark.parametrize(("old", "new"), STEPS)
def test_what_the_owner_has_written_survives_another_answer(
    old: str, new: str, untouched: Mapping[str, Path], edited: Mapping[str, Path], move: Move
) -> None:
    rendered, before = contents(untouched[old]), contents(edited[old])
    project = move(old, new)
    after = contents(project)
    assert not list(project.rglob("*.rej"))
    assert not set(DELETED) & after.keys()
    for path, content in before.items():
        gone = path in HTTP and not VARIANTS[new]["fastapi"]
        if path not in rendered:
            assert after[path] == content
        elif content != rendered[path] and not gone:
            theirs = set(content.splitlines()) - set(rendered[path].splitlines())
            assert theirs <= set(after[path].splitlines()), path
    conflicts = git(project, "diff", "--name-only", "--diff-filter=U").split()
    # The lines that FastAPI takes away are the neighbours of those that the owner has deleted.
    switched = VARIANTS[old]["fastapi"] != VARIANTS[new]["fastapi"]
    assert conflicts == (["src/my_service/cli/__init__.py"] if switched else [])


def test_async_code_in_a_sync_project_is_listed(
    move: Move, capsys: pytest.CaptureFixture[str]
) -> None:
    move("async-sqlite-fastapi", "sync-sqlite-fastapi")
    told = capsys.readouterr().err
    assert (
        "Make this code sync:\n\n"
        "  src/my_service/orders.py:4, 9, 11\n"
        "  src/my_service/web/orders.py:14\n\n"
    ) in told


def test_sync_code_in_an_async_project_is_listed(
    move: Move, capsys: pytest.CaptureFixture[str]
) -> None:
    move("sync-sqlite-fastapi", "async-sqlite-fastapi")
    told = capsys.readouterr().err
    assert ("Make this code async:\n\n  src/my_service/orders.py:4, 11\n\n") in told


def test_of_modules_with_the_same_name_only_that_of_the_template_is_left_out(
    tmp_path: Path,
) -> None:
    for place in ("src/my_service/logs.py", "src/my_service/web/logs.py"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text("await work()\n")
    after: Any = {"io": "sync", "fastapi": True, "_copier_conf": {"dst_path": tmp_path}}
    found = left_to_do(after, {"io": "async", "fastapi": True})
    assert found == {"Make this code sync": ["src/my_service/logs.py:1"]}


def test_what_the_owner_has_added_to_the_api_stays_when_fastapi_goes(
    move: Move, capsys: pytest.CaptureFixture[str]
) -> None:
    project = move("async-sqlite-fastapi", "async-sqlite")
    assert [path.name for path in (project / "src/my_service/web").iterdir()] == ["orders.py"]
    assert "  src/my_service/web/orders.py:3\n" in capsys.readouterr().err


def test_an_answer_that_is_not_recorded_takes_its_default(
    untouched: Mapping[str, Path], tmp_path: Path
) -> None:
    project = Path(shutil.copytree(untouched["async-sqlite-fastapi"], tmp_path / "service"))
    before = contents(project)
    answers = project / ".copier-answers.yml"
    kept = [line for line in answers.read_text().splitlines() if line.startswith(("#", "_"))]
    answers.write_text("\n".join(kept))
    commit_all(project)
    update(project)
    assert contents(project) == before


@pytest.mark.parametrize("io", ["async", "sync"])
def test_migrations_that_were_written_on_sqlite_run_on_postgresql(
    io: str, move: Move, tools: Tools, postgres_url: str
) -> None:
    project = move(f"{io}-sqlite-fastapi", f"{io}-postgresql-fastapi")
    for command in (["upgrade", "head"], ["check"], ["downgrade", "base"]):
        tools.run(project, "alembic", *command, DATABASE_URL=postgres_url)
