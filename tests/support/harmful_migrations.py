"""Migrations that harm a running service, and the rules that they break."""

import sqlalchemy as sa

from .migrations import Case, models

NOT_VALID = "constraint-missing-not-valid"
HARMFUL = [
    Case(
        "a column that may not be null",
        lambda: models(users=[sa.Column("age", sa.Integer, nullable=False)]),
        ("adding-required-field",),
    ),
    Case(
        "a column with a volatile default",
        lambda: models(
            users=[sa.Column("key", sa.Uuid, server_default=sa.func.gen_random_uuid())],
        ),
        ("adding-field-with-default",),
    ),
    Case(
        "an index",
        lambda: models(orders=[sa.Column("user_id", sa.Integer, index=True)]),
        ("require-concurrent-index-creation",),
    ),
    Case(
        "a column with an index",
        lambda: models(users=[sa.Column("email", sa.String(320), index=True)]),
        ("require-concurrent-index-creation",),
    ),
    Case(
        "a unique column",
        lambda: models(users=[sa.Column("name", sa.String(100), nullable=False, unique=True)]),
        (NOT_VALID, "disallowed-unique-constraint"),
    ),
    Case(
        "a foreign key",
        lambda: models(orders=[sa.Column("user_id", sa.ForeignKey("users.id"))]),
        (NOT_VALID, "adding-foreign-key-constraint"),
    ),
    Case(
        "a wider number",
        lambda: models(
            orders=[sa.Column("amount", sa.BigInteger, nullable=False, server_default="0")],
        ),
        ("changing-column-type",),
    ),
    Case(
        "a longer text",
        lambda: models(users=[sa.Column("name", sa.String(200), nullable=False)]),
        ("changing-column-type",),
    ),
    Case(
        "a column that may no longer be null",
        lambda: models(orders=[sa.Column("user_id", sa.Integer, nullable=False)]),
        ("adding-not-nullable-field",),
    ),
    Case(
        "a column that may now be null",
        lambda: models(users=[sa.Column("name", sa.String(100))]),
        ("ban-drop-not-null",),
    ),
    Case("a dropped column", lambda: models(without=["users.full_name"]), ("ban-drop-column",)),
    Case(
        "a renamed column, to autogenerate",
        lambda: models(users=[sa.Column("title", sa.String(200))], without=["users.full_name"]),
        ("ban-drop-column",),
    ),
    Case(
        "a dropped table",
        lambda: models(without=["orders"]),
        ("require-concurrent-index-deletion", "ban-drop-table"),
    ),
    Case(
        "a column without its index",
        lambda: models(orders=[sa.Column("note", sa.String)]),
        ("require-concurrent-index-deletion",),
    ),
    Case(
        "a column without its unique constraint",
        lambda: models(orders=[sa.Column("code", sa.String(20))]),
        ("ban-drop-constraint",),
    ),
    Case(
        "a renamed column",
        'op.alter_column("users", "full_name", new_column_name="title")',
        ("renaming-column",),
    ),
    Case("a renamed table", 'op.rename_table("users", "people")', ("renaming-table",)),
    Case(
        "an index built concurrently in a transaction",
        'op.create_index("by_user", "orders", ["user_id"], postgresql_concurrently=True)',
        ("ban-concurrent-index-creation-in-transaction",),
        runs=False,
    ),
    Case(
        "a check",
        'op.create_check_constraint(op.f("pos"), "orders", "amount >= 0")',
        (NOT_VALID,),
    ),
    Case(
        "a check validated in the same transaction",
        'op.create_check_constraint(op.f("pos"), "orders", "amount >= 0", postgresql_not_valid=True)\n'
        'op.execute("ALTER TABLE orders VALIDATE CONSTRAINT pos")',
        (NOT_VALID,),
    ),
    Case(
        "a default that is gone",
        'op.alter_column("orders", "amount", server_default=None)',
        ("ban-drop-default",),
    ),
    Case(
        "a statement as text",
        'op.execute("DROP TABLE IF EXISTS orders CASCADE")',
        ("ban-drop-table",),
    ),
    Case(
        "an index that is rebuilt",
        'op.execute("REINDEX TABLE orders")',
        ("require-concurrent-reindex",),
    ),
    Case(
        "another key",
        'op.drop_constraint("pk_orders", "orders")\n'
        'op.create_primary_key("pk_orders", "orders", ["id", "amount"])',
        ("ban-drop-constraint", NOT_VALID, "adding-serial-primary-key-field"),
    ),
    Case(
        "a column dropped without a reason",
        'op.execute("-- squawk-ignore ban-drop-column")\nop.drop_column("users", "full_name")',
        ("unused-ignore", "ban-drop-column"),
    ),
]
