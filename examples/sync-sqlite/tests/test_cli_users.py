import pytest
from sqlalchemy import URL

from .test_cli import run


@pytest.fixture(autouse=True)
def database_url(url: URL, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", url.render_as_string(hide_password=False))


def test_users_are_added_once_listed_and_shown() -> None:
    assert run("users", "add", "ada", "--full-name", "Ada Lovelace") == "Added ada (id 1).\n"
    assert run("users", "add", "ada") == "There is already ada (id 1).\n"
    assert run("users", "list") == "1\tada\tAda Lovelace\n"
    assert "full name: Ada Lovelace\n" in run("users", "show", "ada")


def test_an_unknown_user_is_an_error() -> None:
    assert run("users", "show", "bob", exit_code=1) == "Error: There is no user called bob.\n"


@pytest.mark.parametrize("name", ["", " ", "x" * 101])
def test_a_name_has_1_to_100_characters(name: str) -> None:
    assert "1 to 100 characters" in run("users", "add", name, exit_code=2)


def test_a_missing_table_is_named_with_the_schema_state(
    empty_url: URL,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE_URL", empty_url.render_as_string(hide_password=False))
    output = run("users", "list", exit_code=1)
    assert "users" in output
    assert "SELECT" not in output
    assert "Database is empty: at no revision" in output
    assert "`db sync`" in output
