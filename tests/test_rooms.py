"""A project has code for its own database only, and all of it in one module."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from .support.variants import VARIANTS

# What only one database has. `urls.py` has the drivers of all, and the syntax of PostgreSQL's URLs.
SPECIAL = {
    "sqlite": re.compile(r"PRAGMA|query_only|BEGIN IMMEDIATE|SQLITE_|sqlite3|aiosqlite|\bWAL\b"),
    "postgresql": re.compile(
        r"advisory|SQLSTATE|sqlstate|libpq|asyncpg|psycopg|pg_[a-z]+|pgbouncer|statement_timeout"
    ),
}
# All that is special about a database; the pool of the writer and asyncpg's URLs have modules.
ROOMS = {
    "sqlite": {"sqlite.py", "writer.py"},
    "postgresql": {"postgresql.py", "asyncpg_params.py"},
}


def modules(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the names and contents of the modules in db/, except urls.py."""
    for path in sorted((folder / "src/my_service/db").glob("*.py")):
        if path.name != "urls.py":
            yield path.name, path.read_text()


def test_a_project_has_no_code_of_the_other_database(project: Path, variant: str) -> None:
    other = "postgresql" if VARIANTS[variant]["database"] == "sqlite" else "sqlite"
    words = {name: SPECIAL[other].findall(text) for name, text in modules(project)}
    assert not any(words.values()), words


def test_the_code_for_one_database_is_in_one_module(project: Path, variant: str) -> None:
    database = VARIANTS[variant]["database"]
    special = {name for name, text in modules(project) if SPECIAL[database].search(code(text))}
    assert f"{database}.py" in special
    assert special <= ROOMS[database]


def code(text: str) -> str:
    """Return a module without its docstrings and comments."""
    return re.sub(r"#.*", "", re.sub(r'""".*?"""', "", text, flags=re.S))


@pytest.mark.parametrize("io", ["async", "sync"])
def test_all_other_modules_are_the_same_for_both_databases_except_imports(
    rendered: Mapping[str, Path], io: str
) -> None:
    common = []
    for database, rooms in ROOMS.items():
        imports = rf"^from (\S*\.{database} import|\. import {database} as) .*\n"
        folder = rendered[f"{io}-{database}"] / "src/my_service/db"
        common.append(
            {
                path.name: re.sub(imports, "", path.read_text(), flags=re.M)
                for path in folder.glob("*.py")
                if path.name not in {*rooms, "urls.py"}
            }
        )
    assert common[0] == common[1]
