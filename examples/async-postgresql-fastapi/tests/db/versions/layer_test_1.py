import sqlalchemy as sa
from alembic import op

revision = "layer_test_1"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "layer_test_pages",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("path", sa.String(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("layer_test_pages")
