"""The five steps that rename a column, with the old and the new version of a service side by side."""

import re
import shutil
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from .support.services import Service, opened, settle
from .test_changing_tables import PROJECT, Page, page

__all__ = ["page"]

pytestmark = pytest.mark.slow

NAMES = 5


class Version:
    """A version of the service that writes and reads one of the columns, until it is stopped."""

    def __init__(self, service: Service, column: str, url: str) -> None:
        self.service, self.column, self.url = service, column, url
        self.stop = threading.Event()
        self.rounds = 0
        self.last: dict[str, str] = {}

    def serve(self) -> None:
        self.service.use(self.url, self.work)

    def work(self, manager: Any) -> None:
        while not self.stop.is_set():
            self.rounds += 1
            name, value = f"{self.column} {self.rounds % NAMES}", f"value {self.rounds}"
            with opened(manager.Session()) as session:
                settle(self.user.update_or_create(session, {self.column: value}, name=name))
                # Another column of a row from before.
                old = settle(self.user.get_one(session, name=f"before {self.rounds % NAMES}"))
                old.deleted_at = old.created_at
                settle(session.commit())
            self.last[name] = value
            with opened(manager.ReadSession()) as session:
                user = settle(self.user.get_one(session, name=name))
                assert getattr(user, self.column) == value

    @property
    def user(self) -> Any:
        return self.service.module("models").User


def with_models(page: Page, folder: Path, mapped: str, kept: str) -> Path:
    """Return a copy of the project with one column in the model, and the other in the table only."""
    project = Path(shutil.copytree(page.project, folder))
    for path in (project / "src/my_service").rglob("*.py"):
        if "versions" not in path.parts:
            path.write_text(path.read_text().replace("full_name", mapped))
    lines = re.findall(r"^User\.metadata.*$", page.text, re.MULTILINE)
    [line] = [line for line in lines if f'"{kept}"' in line]
    models = project / "src/my_service/models.py"
    text = models.read_text().replace("from sqlalchemy import", "from sqlalchemy import Column,")
    models.write_text(f"{text}\n\n{line}\n")
    return project


def check(page: Page, version: Version, kept: bool = True) -> None:
    """Let `db check` compare a version's models to the migrations, and lint these."""
    models = version.service.source / "my_service/models.py"
    text = models.read_text() if kept else models.read_text().partition("\n\nUser.metadata")[0]
    (page.project / "src/my_service/models.py").write_text(text)
    page.commands.run("db", "check")


def test_the_old_and_the_new_version_run_side_by_side_without_an_error(
    page: Page, tmp_path: Path
) -> None:
    page.commands.run("db", "upgrade")
    with psycopg.connect(page.url) as connection:
        connection.execute(
            "INSERT INTO users (name, full_name, created_at)"
            " SELECT 'before ' || i, 'kept ' || i, now() FROM generate_series(0, %s) AS i",
            [NAMES - 1],
        )

    def version(mapped: str, kept: str) -> Version:
        project = with_models(page, tmp_path / mapped, mapped, kept)
        return Version(Service("asyncpg", {PROJECT: project}, mapped), mapped, page.url)

    old, new = version("full_name", "display_name"), version("display_name", "full_name")
    steps = re.findall(r"^### (\d\. .*)$", page.text, re.MULTILINE)
    assert len(steps) == 5
    with ThreadPoolExecutor(2) as executor:
        running: list[Future[None]] = [executor.submit(old.serve)]

        def go_on(*versions: Version) -> None:
            """Wait until each of the versions has met all rows."""
            targets = [(version, version.rounds + 2 * NAMES) for version in versions]
            while any(version.rounds < target for version, target in targets):
                for future in running:
                    if future.done():
                        future.result()

        try:
            for number, title in enumerate(steps[:3], start=2):
                go_on(old)
                page.add(number, title)
                page.commands.run("db", "upgrade")
            check(page, old)
            running.append(executor.submit(new.serve))
            go_on(old, new)
            found = "SELECT count(*) FROM users WHERE display_name IS DISTINCT FROM full_name"
            assert page.ask(found) == 0
            old.stop.set()
            running.pop(0).result()
            for number, title in enumerate(steps[3:], start=5):
                page.add(number, title)
                page.commands.run("db", "upgrade")
                go_on(new)
        finally:
            old.stop.set()
            new.stop.set()
        running.pop().result()
    check(page, new, kept=False)
    with psycopg.connect(page.url) as connection:
        rows: dict[str, str] = dict(
            connection.execute("SELECT name, display_name FROM users").fetchall()
        )
    kept = {f"before {number}": f"kept {number}" for number in range(NAMES)}
    assert rows == kept | old.last | new.last
    assert page.ask("SELECT count(*) FROM pg_proc WHERE proname = 'copy_display_name'") == 0
