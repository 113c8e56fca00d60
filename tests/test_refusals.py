"""What keeps us from connecting has the same name on every driver, and no password is shown."""

import os
import re
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL

from .support.layers import Driver
from .support.tls import Server

pytestmark = pytest.mark.slow

SECRET = "s3cret"  # noqa: S105


def refusal(driver: Driver, url: str | URL) -> tuple[str, str]:
    """Return the name of a failure to connect, and all that can be seen of it."""
    with pytest.raises(driver.errors.ConnectionFailed, match=r"^could not connect; ") as raised:
        driver.connect(url, lambda connection: None)
    error = raised.value
    shown = "".join([str(error), repr(error), *traceback.format_exception(error)])
    assert "()" not in str(error)
    assert driver.failures.failure_of(error) is error.failure
    return error.failure.name, shown


@pytest.mark.parametrize(
    ("change", "failure", "hint"),
    [
        ({"host": "127.0.0.1", "port": 1}, "UNREACHABLE", "check that the server is running"),
        # The port is in what drivers say, and looks like a code of PostgreSQL's.
        ({"host": "127.0.0.1", "port": 23505}, "UNREACHABLE", "check that the server is running"),
        ({"host": "127.0.0.1", "port": 28000}, "UNREACHABLE", "check that the server is running"),
        ({"host": "nosuch.invalid"}, "UNREACHABLE", "check that the server is running"),
        ({"password": f"{SECRET}, but wrong"}, "WRONG_CREDENTIALS", "the user or the password"),
        ({"username": "nosuch"}, "WRONG_CREDENTIALS", "the user or the password"),
        ({"database": "nosuch"}, "UNKNOWN_DATABASE", "create it or correct DATABASE_URL"),
    ],
)
def test_a_bad_url_fails_with_the_same_name_and_hint_on_every_driver(
    postgresql: Driver, server: Server, change: dict[str, Any], failure: str, hint: str
) -> None:
    url = server.url.set(**{"password": SECRET, **change})
    if "database" in change:
        url = url.set(password=server.url.password)
    name, shown = refusal(postgresql, url)
    assert name == failure
    assert hint in shown
    assert SECRET not in shown
    assert str(url.password) not in shown


def test_a_user_without_permission_for_the_database_has_wrong_credentials(
    driver: Driver, server: Server, gated: Server
) -> None:
    query = {"sslmode": "disable"}
    name, _ = refusal(driver, gated.url.set(database="gate_tls_only", query=query))
    assert name == "WRONG_CREDENTIALS"


@contextmanager
def unprivileged() -> Iterator[None]:
    """Be nobody for a while, if we are root: root may open anything."""
    if os.geteuid() != 0:
        yield
        return
    import pwd

    os.seteuid(pwd.getpwnam("nobody").pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize(
    ("name", "failure", "hint"),
    [
        ("missing/file.db", "UNREACHABLE", "the folder .*/missing does not exist; create it"),
        ("text.db", "UNKNOWN_DATABASE", "the file is not a SQLite database; check DATABASE_URL"),
        ("closed.db", "UNREACHABLE", "the file cannot be opened; check its permissions"),
        ("closed/file.db", "UNREACHABLE", "the file cannot be opened; check its permissions"),
        (
            "closed/deeper/file.db",
            "UNREACHABLE",
            "the file cannot be opened; check its permissions",
        ),
        ("readonly.db", "READ_ONLY", "the file cannot be opened; check its permissions"),
        ("folder.db", "UNREACHABLE", "the file cannot be opened; check its permissions"),
    ],
)
def test_a_file_that_cannot_be_opened_fails_with_the_same_name_and_hint_on_every_driver(
    sqlite: Driver, name: str, failure: str, hint: str
) -> None:
    with tempfile.TemporaryDirectory() as name_of_folder:
        folder = Path(name_of_folder)
        (folder / "text.db").write_text("this is not a database " * 100)
        for file in ("closed.db", "readonly.db"):
            (folder / file).touch()
        for inside in ("closed/deeper", "folder.db"):
            (folder / inside).mkdir(parents=True)
        folder.chmod(0o755)
        (folder / "closed.db").chmod(0)
        (folder / "readonly.db").chmod(0o444)
        (folder / "text.db").chmod(0o666)
        (folder / "closed").chmod(0)
        # Import all that is needed, while we may.
        sqlite.connect("sqlite://", lambda connection: None)
        try:
            with unprivileged():
                found, shown = refusal(sqlite, f"sqlite:///{folder}/{name}")
        finally:
            (folder / "closed").chmod(0o700)
    assert found == failure
    assert re.search(hint, shown)
