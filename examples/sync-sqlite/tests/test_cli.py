import json
import re
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import URL

from my_service.cli import main


def run(*arguments: str, exit_code: int = 0) -> str:
    """Run the command with the arguments and return its output."""
    result: Result = CliRunner().invoke(main, arguments)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == exit_code, result.output
    return result.output


@pytest.fixture(autouse=True)
def database_url(empty_url: URL, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", empty_url.render_as_string(hide_password=False))


def test_help_imports_no_library_but_click() -> None:
    code = "import sys; from my_service.cli import main; "
    code += "main(['--help'], standalone_mode=False); print(*sys.modules)"
    printed = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert "Manage the schema" in printed
    assert not {"alembic", "pydantic", "sqlalchemy", "uvicorn"} & {*printed.split()}


def test_the_summary_of_a_lazy_command_is_that_of_its_own_help() -> None:
    context = click.Context(main)
    for name, command in main.commands.items():
        loaded = main.resolve_command(context, [name])[1]
        assert loaded is not command
        assert loaded.get_short_help_str(200).startswith(command.get_short_help_str(200)[:-1])


def test_sync_creates_the_database_once() -> None:
    assert run("db", "sync") == "Database created.\n"
    assert run("db", "sync") == "Database already up-to-date.\n"


def test_sync_upgrades_a_database_that_is_behind() -> None:
    run("db", "upgrade")
    run("db", "downgrade", "-1")
    assert re.fullmatch(r"Database (created|upgraded)\.\n", run("db", "sync"))


def test_status_sets_the_exit_code() -> None:
    assert "empty" in run("db", "status", exit_code=3)
    run("db", "sync")
    assert "up to date" in run("db", "status")


def test_status_prints_json() -> None:
    run("db", "sync")
    status = json.loads(run("db", "status", "--json"))
    assert status["status"] == "up to date"
    assert status["current"] == status["latest"]


def test_downgrade_first_lists_the_migrations_to_undo() -> None:
    run("db", "sync")
    assert run("db", "downgrade", "base").startswith("About to undo ")
    assert run("db", "downgrade", "base") == ""


def test_check_passes_if_the_migrations_match_the_models() -> None:
    run("db", "sync")
    run("db", "check")


def test_drop_needs_a_confirmation() -> None:
    run("db", "sync")
    run("db", "drop", exit_code=1)
    assert "up to date" in run("db", "status")
    assert run("db", "drop", "--yes") == "Database dropped.\n"
    assert "empty" in run("db", "status", exit_code=3)


def test_drop_needs_a_second_flag_in_production(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRODUCTION", "1")
    run("db", "sync")
    assert "--even-in-production" in run("db", "drop", "--yes", exit_code=1)
    run("db", "drop", "--yes", "--even-in-production")


def test_an_unusable_url_ends_with_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "nosuchdb://user:secret@host/name")
    output = run("db", "status", exit_code=1)
    assert output.startswith("Error: unknown database 'nosuchdb'; use one of: ")
    assert "secret" not in output
