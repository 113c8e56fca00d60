"""`db check` names new migrations that do harm; `db upgrade --sql` prints what psql can run."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import psycopg
import pytest
import yaml

from .support.commands import Commands
from .support.layers import load
from .support.releases import git

pytestmark = pytest.mark.slow

INDEX = 'op.create_index("by_full_name", "users", ["full_name"])'
COLUMN = "full_name: Mapped[str | None] = mapped_column(String(200)"
TYPES = r"""
table = op.create_table(
    "kinds",
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("text", sa.String, server_default="5%"),
    sa.Column("at", sa.DateTime(timezone=True)),
    sa.Column("key", sa.Uuid),
    sa.Column("flag", sa.Boolean),
    sa.Column("price", sa.Numeric(10, 2)),
)
at = datetime(2026, 1, 1, 12, 30, tzinfo=timezone.utc)
rows = [{"text": "it's 100 % \\ \"x\"; --", "at": at, "key": UUID(int=5), "flag": True}]
op.bulk_insert(table, rows)
op.execute(table.insert().values(price=Decimal("1.50"), flag=False))
op.execute("UPDATE kinds SET text = text || '%' WHERE text LIKE '%;%' OR text LIKE '5%'")
op.execute("-- squawk-ignore ban-drop-column -- a test")
op.drop_column("users", "deleted_at")
with op.get_context().autocommit_block():
    op.create_index("by_text", "kinds", ["text"], postgresql_concurrently=True)
op.execute(sa.func.setval("kinds_id_seq", 100).select())
"""
IMPORTS = (
    "from datetime import datetime, timezone\nfrom decimal import Decimal\nfrom uuid import UUID\n"
)


@pytest.fixture
def commands(rendered: Mapping[str, Path], tmp_path: Path, postgres_url: str) -> Commands:
    project = Path(shutil.copytree(rendered["sync-postgresql"], tmp_path / "project"))
    return Commands(project, postgres_url)


def commit(project: Path, branch: str) -> None:
    git(project, "init", "--quiet", f"--initial-branch={branch}")
    git(project, "add", ".")
    git(project, "commit", "--quiet", "--message=All")


def ask(url: str, question: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(question.encode()).fetchall()


def plain(output: str) -> str:
    """Remove the colors and the links of a terminal."""
    return re.sub(r"\x1b\[[0-9;]*m|\x1b\]8;;.*?\x1b\\", "", output)


def test_check_names_file_rule_reason_and_remedy_of_migrations_that_are_not_on_main(
    commands: Commands, tmp_path: Path
) -> None:
    models = commands.project / "src/my_service/models.py"
    models.write_text(models.read_text().replace(f"{COLUMN})", f"{COLUMN}, index=True)"))
    commit(commands.project, "main")
    commands.add(2, INDEX.replace("by_full_name", "ix_users_full_name"))
    commands.run("db", "upgrade")

    def check(*arguments: str, fails: bool = True) -> None:
        output = plain(commands.run("db", "check", *arguments, fails=fails))
        found = "require-concurrent-index-creation" in output
        assert found is fails
        assert "0001_create_users" not in output
        if fails:
            assert "20260102_0000_0002_change.py as SQL:" in output
            assert "CREATE INDEX ix_users_full_name ON users (full_name);" in output
            assert "During normal index creation, table updates are blocked" in output
            assert "help: Use `concurrently` to avoid blocking writes." in output

    check()
    git(commands.project, "checkout", "--quiet", "-b", "feature")
    git(commands.project, "add", ".")
    hook = commands.project / ".git/hooks/pre-commit"
    hook.write_text(f"#!/bin/sh\nexec {sys.executable} -m my_service db check\n")
    hook.chmod(0o755)
    committed = subprocess.run(
        ["git", "commit", "--message=Change"],
        cwd=commands.project,
        env=os.environ | commands.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert committed.returncode != 0
    assert "20260102_0000_0002_change.py" in committed.stdout
    assert "0001_create_users" not in committed.stdout
    git(commands.project, "commit", "--quiet", "--no-verify", "--message=Change")
    check()
    git(tmp_path, "clone", "--quiet", "--bare", str(commands.project), "origin")
    git(commands.project, "remote", "add", "origin", str(tmp_path / "origin"))
    git(commands.project, "push", "--quiet", "origin", "feature:main")
    check(fails=False)
    check("--since", "0001")
    check("--since", "0002", fails=False)
    shutil.rmtree(commands.project / ".git")
    check()


def test_the_check_runs_before_a_commit_and_for_pull_requests(
    rendered: Mapping[str, Path],
) -> None:
    project = rendered["sync-postgresql"]
    hooks = yaml.safe_load((project / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    [hook] = [hook for hook in hooks if hook["entry"] == "uv run my-service db check"]
    [migration] = (project / "src/my_service/migrations/versions").glob("*.py")
    assert re.search(hook["files"], migration.relative_to(project).as_posix())
    workflow = yaml.safe_load((project / ".github/workflows/test.yml").read_text())
    steps = workflow["jobs"]["test"]["steps"]
    assert "uv run my-service db check" in steps[-1]["run"]
    # Otherwise the main branch would not be there to compare with.
    assert steps[0]["with"]["fetch-depth"] == 0


def test_without_squawk_models_are_compared_and_migrations_are_not_linted(
    commands: Commands,
) -> None:
    commands.add(2, INDEX)
    commands.run("db", "upgrade", "0001")
    folders = os.environ["PATH"].split(os.pathsep)
    path = os.pathsep.join(folder for folder in folders if not Path(folder, "squawk").exists())
    output = commands.run("db", "check", fails=True, PATH=path)
    assert "not up to date" in output
    commands.add(2, "pass")
    commands.run("db", "upgrade")
    output = commands.run("db", "check", PATH=path)
    assert "Migrations are not linted, because squawk is not installed." in output


@pytest.mark.parametrize("variant", ["async-postgresql", "sync-postgresql"])
def test_printed_sql_does_in_psql_what_upgrade_does(
    variant: str, rendered: Mapping[str, Path], tmp_path: Path, postgres_url: str
) -> None:
    project = Path(shutil.copytree(rendered[variant], tmp_path / "project"))
    commands = Commands(project, postgres_url)
    postgres = load(rendered["sync-postgresql"] / "tests/postgres.py", "postgres_of_printed_sql")
    commands.add(2, TYPES, top=IMPORTS)
    sql = commands.run("db", "upgrade", "--sql")
    psql = [str(postgres._binaries(None) / "psql"), "--set=ON_ERROR_STOP=1", postgres_url]
    questions = (
        "SELECT * FROM kinds ORDER BY id",
        "SELECT table_name, column_name, column_default, data_type FROM information_schema.columns"
        " WHERE table_schema = 'public' ORDER BY 1, 2",
        "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1",
        "SELECT nextval('kinds_id_seq')",
        "SELECT version_num FROM alembic_version",
    )
    found = []
    for run in (
        lambda: commands.run("db", "upgrade"),
        lambda: subprocess.run(psql, input=sql, text=True, check=True),
    ):
        with psycopg.connect(postgres_url) as connection:
            connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        run()
        found.append([ask(postgres_url, question) for question in questions])
    assert found[0] == found[1]
    assert "100 %" in str(found)


def test_a_migration_that_needs_a_connection_says_so_in_one_sentence(commands: Commands) -> None:
    for body in (
        "sa.inspect(op.get_bind()).get_table_names()",
        'for row in op.get_bind().execute(sa.text("SELECT 1")):\n    print(row)',
    ):
        commands.add(2, body)
        output = commands.run("db", "upgrade", "--sql", fails=True)
        assert "Error: a migration fails without a connection: " in output
        assert "Traceback" not in output
    commands.run("db", "upgrade")
    assert "ban-uncommitted-transaction" in commands.run("db", "check", fails=True)
    reason = "-- squawk-ignore-file ban-uncommitted-transaction -- reads rows"
    commands.add(2, f'op.execute("{reason}")\n{body}')
    commands.run("db", "check")
