"""Migration errors are printed with the schema state and the next step."""

import json
import shutil
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import URL, Column, Integer, Table

from my_service.config import get_settings
from my_service.database import Base, manager_from_config

from .databases import MIGRATIONS
from .test_cli import run


def add_migration(versions: Path, revision: str, after: str, upgrade: str = "pass") -> Path:
    """Write a migration that follows the revision `after`."""
    path = versions / f"{revision}.py"
    path.write_text(
        f"revision = {revision!r}\n"
        f"down_revision = {after!r}\n\n\n"
        f"def upgrade() -> None:\n    {upgrade}\n\n\n"
        f"def downgrade() -> None:\n    pass\n"
    )
    return path


@pytest.fixture
def versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the migrations that the commands use and the test may change."""
    folder = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setenv("DATABASE__ALEMBIC__MIGRATIONS_PATH", str(folder))
    return folder / "versions"


@pytest.fixture
def head(versions: Path, url: URL, monkeypatch: pytest.MonkeyPatch) -> str:
    """The newest revision, at which the database is."""
    monkeypatch.setenv("DATABASE_URL", url.render_as_string(hide_password=False))
    revision = json.loads(run("db", "status", "--json"))["current"]
    assert isinstance(revision, str)
    return revision


@pytest.mark.parametrize("arguments", ["sync", "upgrade", "check", "revision -m more"])
def test_two_heads_are_an_error_that_names_them(versions: Path, head: str, arguments: str) -> None:
    for revision in ("one", "other"):
        add_migration(versions, revision, head)
    output = run("db", *arguments.split(), exit_code=1)
    assert f"Database is diverged: at {head}, newest is one, other." in output
    assert 'uv run alembic merge heads -m "Merge"' in output
    assert "newest is one, other" in run("db", "status", exit_code=5)


@pytest.mark.parametrize("target", [None, "one", "heads"])
def test_heads_are_merged_wherever_the_database_is(
    versions: Path,
    head: str,
    target: str | None,
) -> None:
    for revision in ("one", "other"):
        add_migration(versions, revision, head)
    config = manager_from_config(get_settings()).alembic_cfg
    if target:
        command.upgrade(config, target)
    command.merge(config, "heads", message="Merge")
    assert run("db", "sync") == "Database upgraded.\n"
    assert "up to date" in run("db", "status")


def test_both_heads_may_be_undone(versions: Path, head: str) -> None:
    for revision in ("one", "other"):
        add_migration(versions, revision, head)
    command.upgrade(manager_from_config(get_settings()).alembic_cfg, "heads")
    output = run("db", "downgrade", head)
    assert "About to undo one" in output
    assert "About to undo other" in output


@pytest.mark.parametrize("command", ["upgrade", "downgrade"])
def test_an_unknown_revision_is_an_error(head: str, command: str) -> None:
    output = run("db", command, "nosuch", exit_code=1)
    assert "'nosuch'" in output
    assert f"newest is {head}" in output


def test_a_downgrade_that_cannot_run_is_not_announced(head: str) -> None:
    output = run("db", "downgrade", "-99", exit_code=1)
    assert "About to undo" not in output
    assert "didn't produce 99 migrations" in output


@pytest.mark.parametrize("arguments", ["check", "revision -m more"])
def test_models_are_compared_with_an_up_to_date_schema_only(
    versions: Path,
    empty_url: URL,
    monkeypatch: pytest.MonkeyPatch,
    arguments: str,
) -> None:
    monkeypatch.setenv("DATABASE_URL", empty_url.render_as_string(hide_password=False))
    assert "Database is empty: at no revision" in run("db", *arguments.split(), exit_code=1)
    run("db", "sync")
    current = json.loads(run("db", "status", "--json"))["current"]
    add_migration(versions, "later", current)
    output = run("db", *arguments.split(), exit_code=1)
    assert f"Database is behind: at {current}, newest is later. `db sync` brings it up" in output


@pytest.mark.parametrize("arguments", ["upgrade", "downgrade -1", "check", "revision -m more"])
def test_a_revision_without_a_file_is_an_error(versions: Path, head: str, arguments: str) -> None:
    later = add_migration(versions, "later", head)
    run("db", "sync")
    later.unlink()
    output = run("db", *arguments.split(), exit_code=1)
    assert f"at later, newest is {head}. Newer code has migrated it, or the file" in output


def test_an_empty_migration_is_written_without_a_database(
    versions: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE_URL", "sqlite:////nosuchfolder/file.db")
    run("db", "revision", "--empty", "-m", "more")
    assert list(versions.glob("*_more.py"))


@pytest.mark.parametrize(
    "arguments",
    ["status", "sync", "upgrade", "downgrade -1", "check", "revision -m more"],
)
def test_a_migration_that_follows_one_without_a_file_is_an_error(
    versions: Path,
    head: str,
    arguments: str,
) -> None:
    run("db", "sync")
    add_migration(versions, "later", "nosuch")
    with pytest.warns(UserWarning, match="nosuch"):
        output = run("db", *arguments.split(), exit_code=1)
    assert "the file of revision 'nosuch' is missing; restore it" in output


def test_sync_and_status_report_a_revision_without_a_file(
    versions: Path,
    head: str,
) -> None:
    later = add_migration(versions, "later", head)
    run("db", "sync")
    later.unlink()
    assert run("db", "sync").startswith("Database is newer than this code, or the file of ")
    assert "or the file of a migration is missing" in run("db", "status")


def test_check_lists_the_changes_that_lack_a_migration(
    versions: Path,
    head: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    table = Table("unforeseen", Base.metadata, Column("id", Integer, primary_key=True))
    try:
        output = run("db", "check", exit_code=1)
    finally:
        Base.metadata.remove(table)
    assert output == 'Error: model changes lack a migration; run `db revision -m "..."`\n'
    assert "Detected added table 'unforeseen'" in caplog.text


def test_revision_writes_no_migration_without_changes(versions: Path, head: str) -> None:
    before = sorted(versions.glob("*.py"))
    assert run("db", "revision", "-m", "more").startswith("No migration written")
    assert sorted(versions.glob("*.py")) == before
    run("db", "revision", "--empty", "-m", "more")
    assert len(sorted(versions.glob("*.py"))) == len(before) + 1


def test_migrations_are_named_alike_from_any_folder(versions: Path, head: str) -> None:
    run("db", "revision", "--empty", "-m", "more")
    assert list(versions.glob("[0-9]*_[0-9]*_*_more.py"))


def test_a_python_error_in_a_migration_keeps_its_traceback(versions: Path, head: str) -> None:
    add_migration(versions, "later", head, upgrade="1 / 0")
    with pytest.raises(ZeroDivisionError):
        run("db", "sync")


def test_a_database_error_in_a_migration_is_printed_with_the_schema_state(
    versions: Path,
    head: str,
) -> None:
    upgrade = "__import__('alembic').op.execute('SELECT * FROM nosuch')"
    add_migration(versions, "later", head, upgrade=upgrade)
    output = run("db", "sync", exit_code=1)
    assert "nosuch" in output
    assert f"Database is behind: at {head}" in output


def test_a_wrong_setting_is_named_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE__SQLALCHEMY__POOL_SIZE", "many")
    output = run("db", "status", exit_code=1)
    assert output.startswith("Error: DATABASE__SQLALCHEMY__POOL_SIZE: Input should be a valid ")


def test_an_owners_value_error_keeps_its_traceback(versions: Path, head: str) -> None:
    add_migration(versions, "later", head, upgrade="int('many')")
    with pytest.raises(ValueError, match="many"):
        run("db", "sync")
