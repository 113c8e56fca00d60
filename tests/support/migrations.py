"""Migrations that do a running service no harm."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.schema import SchemaItem

CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


@dataclass
class Case:
    """A change of the models, or the body of `upgrade`, and the rules that it breaks."""

    title: str
    change: Callable[[], sa.MetaData] | str
    rules: tuple[str, ...] = ()
    # Whether PostgreSQL runs it at all.
    runs: bool = True


def models(
    users: Iterable[SchemaItem] = (),
    orders: Iterable[SchemaItem] = (),
    without: Iterable[str] = (),
    new: Callable[[sa.MetaData], object] = lambda metadata: None,
) -> sa.MetaData:
    """Return the tables that are there, with changes; a column replaces one of the same name."""
    metadata = sa.MetaData(naming_convention=CONVENTION)
    there: dict[str, list[SchemaItem]] = {
        "users": [
            sa.Column("id", sa.Integer, primary_key=True),
            sa.Column("name", sa.String(100), nullable=False),
            sa.Column("full_name", sa.String(200)),
        ],
        "orders": [
            sa.Column("id", sa.Integer, primary_key=True),
            sa.Column("user_id", sa.Integer),
            sa.Column("amount", sa.Integer, nullable=False, server_default="0"),
            sa.Column("code", sa.String(20), unique=True),
            sa.Column("note", sa.String, index=True),
        ],
    }
    for (table, items), changes in zip(there.items(), (users, orders), strict=True):
        changed = [item for item in changes if isinstance(item, sa.Column)]
        gone = {f"{table}.{column.name}" for column in changed} | {*without}
        kept = [i for i in items if f"{table}.{getattr(i, 'name', '')}" not in gone]
        if table not in gone:
            sa.Table(table, metadata, *kept, *changes)
    new(metadata)
    return metadata


def table(name: str, *items: SchemaItem) -> Callable[[sa.MetaData], object]:
    key = sa.Column("id", sa.Integer, primary_key=True)
    return lambda metadata: sa.Table(name, metadata, key, *items)


CONCURRENTLY = "with op.get_context().autocommit_block():\n    "

GOOD = [
    Case("a nullable column", lambda: models(users=[sa.Column("email", sa.String(320))])),
    Case(
        "a column with a default",
        lambda: models(
            users=[sa.Column("visits", sa.Integer, nullable=False, server_default="0")],
        ),
    ),
    Case(
        "a flag with a default",
        lambda: models(
            users=[sa.Column("active", sa.Boolean, nullable=False, server_default=sa.true())],
        ),
    ),
    Case(
        "a time with the default now()",
        lambda: models(
            users=[
                sa.Column(
                    "seen",
                    sa.DateTime(timezone=True),
                    nullable=False,
                    server_default=sa.func.now(),
                )
            ],
        ),
    ),
    Case(
        "columns of JSON and arrays",
        lambda: models(users=[sa.Column("tags", ARRAY(sa.String)), sa.Column("data", JSONB)]),
    ),
    Case("a new table", lambda: models(new=table("tags", sa.Column("name", sa.String(50))))),
    Case(
        "a new table with an index and a unique column",
        lambda: models(
            new=table(
                "tags",
                sa.Column("name", sa.String(50), unique=True),
                sa.Column("color", sa.String(20), index=True),
            ),
        ),
    ),
    Case(
        "a new table that refers to one that is there",
        lambda: models(
            new=table("mails", sa.Column("user_id", sa.ForeignKey("users.id"), index=True))
        ),
    ),
    Case(
        "a new table with a check and an enumeration",
        lambda: models(
            new=table(
                "moods",
                sa.Column("mood", sa.Enum("good", "bad", native_enum=False)),
                sa.Column("level", sa.SmallInteger),
                sa.CheckConstraint("level > 0", name="level"),
            ),
        ),
    ),
    Case(
        "a new table with a key of two columns",
        lambda: models(
            new=lambda metadata: sa.Table(
                "members",
                metadata,
                sa.Column("user_id", sa.ForeignKey("users.id"), primary_key=True),
                sa.Column("order_id", sa.ForeignKey("orders.id"), primary_key=True),
            ),
        ),
    ),
    Case(
        "a new table and a nullable column",
        lambda: models(
            users=[sa.Column("tag_id", sa.Integer)],
            new=table("tags", sa.Column("name", sa.Text)),
        ),
    ),
    Case(
        "a comment",
        lambda: models(users=[sa.Column("full_name", sa.String(200), comment="100 % optional")]),
    ),
    Case("nothing", models),
    Case(
        "an index built concurrently",
        CONCURRENTLY
        + 'op.create_index("by_user", "orders", ["user_id"], postgresql_concurrently=True)',
    ),
    Case(
        "an index that is built anew",
        CONCURRENTLY
        + 'op.drop_index("by_user", postgresql_concurrently=True, if_exists=True)\n    '
        + 'op.create_index("by_user", "orders", ["user_id"], postgresql_concurrently=True)',
    ),
    Case(
        "an index dropped concurrently",
        CONCURRENTLY + 'op.drop_index("ix_orders_note", postgresql_concurrently=True)',
    ),
    Case(
        "a unique constraint from an index",
        CONCURRENTLY
        + 'op.create_index("uq", "users", ["name"], unique=True, postgresql_concurrently=True)\n'
        + 'op.execute("ALTER TABLE users ADD CONSTRAINT uq UNIQUE USING INDEX uq")',
    ),
    Case(
        "a check that is validated later",
        'op.create_check_constraint(op.f("pos"), "orders", "amount >= 0", postgresql_not_valid=True)',
    ),
    Case(
        "a check validated in a transaction of its own",
        'op.create_check_constraint(op.f("pos"), "orders", "amount >= 0", postgresql_not_valid=True)\n'
        + CONCURRENTLY
        + 'op.execute("ALTER TABLE orders VALIDATE CONSTRAINT pos")',
    ),
    Case(
        "a foreign key that is validated later",
        'op.create_foreign_key("fk", "orders", "users", ["user_id"], ["id"],'
        " postgresql_not_valid=True)",
    ),
    Case(
        "a default for new rows",
        'op.alter_column("orders", "user_id", server_default=sa.text("1"))',
    ),
    Case(
        "rows that are filled",
        "op.execute(\"UPDATE users SET full_name = '100%' WHERE name LIKE 'a%'\")",
    ),
    Case(
        "rows that are added",
        'users = sa.table("users", sa.column("name", sa.String))\n'
        'op.bulk_insert(users, [{"name": "it\'s 5%"}, {"name": "a\\\\b;"}])',
    ),
    Case("a view", 'op.execute("CREATE VIEW names AS SELECT name FROM users")'),
    Case(
        "a column dropped for a reason",
        'op.execute("-- squawk-ignore ban-drop-column -- no version since 1.4 reads it")\n'
        'op.drop_column("users", "full_name")',
    ),
]
