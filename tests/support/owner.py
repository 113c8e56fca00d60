"""What an owner makes of a rendered project: all that a real one would change, and more."""

from pathlib import Path

from .releases import commit_all

TABLES = '''

class Order(Base):
    """Something that somebody has ordered."""

    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    item: Mapped[str] = mapped_column(String(100))
    status: Mapped[str] = mapped_column(String(20))
'''
# As `db revision` writes it on SQLite.
MIGRATION = '''"""{message}

Revision ID: {revision}
Revises: {before}
Create Date: 2026-0{month}-01 00:00:00
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "{revision}"
down_revision: str | Sequence[str] | None = "{before}"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
{up}

def downgrade() -> None:
{down}'''
MIGRATIONS = {
    "20260201_0000_0002_add_email.py": MIGRATION.format(
        message="Add email",
        revision="0002",
        before="0001",
        month=2,
        up="""\
    with op.batch_alter_table("users", schema=None) as batch_op:
        batch_op.add_column(sa.Column("email", sa.String(length=320), nullable=True))
        batch_op.create_index(batch_op.f("ix_users_email"), ["email"], unique=False)
""",
        down="""\
    with op.batch_alter_table("users", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_users_email"))
        batch_op.drop_column("email")
""",
    ),
    "20260301_0000_0003_create_orders.py": MIGRATION.format(
        message="Create orders",
        revision="0003",
        before="0002",
        month=3,
        up="""\
    op.create_table(
        "orders",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("item", sa.String(length=100), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_orders")),
    )
""",
        down="""\
    op.drop_table("orders")
""",
    ),
    "20260401_0000_0004_add_status.py": MIGRATION.format(
        message="Add status",
        revision="0004",
        before="0003",
        month=4,
        up="""\
    with op.batch_alter_table("orders", schema=None) as batch_op:
        batch_op.add_column(sa.Column("status", sa.String(length=20), nullable=True))
    op.execute("UPDATE orders SET status = 'new'")
    with op.batch_alter_table("orders", schema=None) as batch_op:
        batch_op.alter_column("status", existing_type=sa.String(length=20), nullable=False)
""",
        down="""\
    with op.batch_alter_table("orders", schema=None) as batch_op:
        batch_op.drop_column("status")
""",
    ),
}
CODE = '''"""What has been ordered."""

from sqlalchemy import func, select
from sqlalchemy.{module} import {session}

from .models import Order


{define} count_orders(session: {session}) -> int:
    """Return how many orders there are."""
    found = {wait}session.scalar(select(func.count(Order.id)))
    return found or 0
'''
ROUTES = '''"""The orders, by HTTP."""

from fastapi import APIRouter

from ..orders import count_orders
from .dependencies import DatabaseSession

router = APIRouter(prefix="/orders", tags=["orders"])


@router.get("/count")
{define} read_count(session: DatabaseSession) -> int:
    """Return how many orders there are."""
    return {wait}count_orders(session)
'''
# What is left of models.py without the example.
MODELS = f'''"""The tables."""

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from .db import Base
{TABLES}'''
DROP_USERS = MIGRATION.format(
    message="Drop users",
    revision="0005",
    before="0004",
    month=5,
    up="""\
    op.drop_table("users")
""",
    down="""\
    op.create_table(
        "users",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("email", sa.String(length=320), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
    )
    op.create_index(op.f("ix_users_email"), "users", ["email"], unique=False)
""",
)
WORDS = {
    "async": {
        "define": "async def",
        "wait": "await ",
        "session": "AsyncSession",
        "module": "ext.asyncio",
    },
    "sync": {"define": "def", "wait": "", "session": "Session", "module": "orm"},
}
# The file, what stands there, and what the owner makes of it.
EDITS = [
    (
        "src/my_service/models.py",
        "    deleted_at: Mapped[datetime | None] = mapped_column(UTCDateTime)\n",
        "    deleted_at: Mapped[datetime | None] = mapped_column(UTCDateTime)\n"
        f"    email: Mapped[str | None] = mapped_column(String(320), index=True)\n{TABLES}",
    ),
    (
        "src/my_service/config.py",
        '    log_level: str = "INFO"\n',
        '    log_level: str = "INFO"\n    greeting: str = "Hello"\n',
    ),
    (".env.example", "#LOG_LEVEL=INFO\n", "#LOG_LEVEL=INFO\n\n# What we say.\n#GREETING=Hello\n"),
    (
        "pyproject.toml",
        '    "pydantic-settings',
        '    "pydantic-extra-types>=2.10",\n    "pydantic-settings',
    ),
    (
        "pyproject.toml",
        "[tool.mypy]\n",
        '[project.urls]\nHomepage = "https://example.org"\n\n[tool.mypy]\n',
    ),
    ("README.md", "# My Service\n", "# My Service\n\n**Ours**, and nobody else's.\n"),
    ("README.md", "## Deploy\n", "## Orders\n\nAsk the sales department.\n\n## Deploy\n"),
    (
        ".github/workflows/test.yml",
        "      - run: uv run pytest\n",
        "      - run: uv run pytest\n\n      - name: Tell everybody\n        run: echo done\n",
    ),
]
DELETED = ["src/my_service/cli/users.py", "tests/test_cli_users.py"]
HTTP_EDITS = [
    (
        "src/my_service/web/app.py",
        "import errors, health, users\n",
        "import errors, health, orders, users\n",
    ),
    (
        "src/my_service/web/app.py",
        "    app.include_router(users.router)\n",
        "    app.include_router(users.router)\n    app.include_router(orders.router)\n",
    ),
    ("src/my_service/web/users.py", 'prefix="/users"', 'prefix="/people"'),
    ("tests/web/test_users.py", '"/users', '"/people'),
]


def edit(project: Path) -> None:
    """Change a project as its owner would, and commit that.

    With FastAPI, the example is kept and extended; without, nothing of it stays.
    """
    recorded = (project / ".copier-answers.yml").read_text()
    fastapi, io = "fastapi: true" in recorded, "async" if "io: async" in recorded else "sync"
    package = project / "src/my_service"
    for path, old, new in [*EDITS, *(HTTP_EDITS if fastapi else [])]:
        text = (project / path).read_text()
        assert old in text, f"{path} has no {old!r} any more"
        (project / path).write_text(text.replace(old, new))
    # The example's commands are deleted.
    for path in DELETED:
        (project / path).unlink()
    lines = (package / "cli/__init__.py").read_text().splitlines(keepends=True)
    kept = "".join(line for line in lines if "users" not in line)
    (package / "cli/__init__.py").write_text(kept)
    for name, text in MIGRATIONS.items():
        (package / "migrations/versions" / name).write_text(text)
    (package / "orders.py").write_text(CODE.format(**WORDS[io]))
    if fastapi:
        (package / "web/orders.py").write_text(ROUTES.format(**WORDS[io]))
    else:
        (package / "models.py").write_text(MODELS)
        (package / "migrations/versions/20260501_0000_0005_drop_users.py").write_text(DROP_USERS)
    commit_all(project)
