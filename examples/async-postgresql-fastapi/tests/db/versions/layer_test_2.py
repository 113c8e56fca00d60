import sqlalchemy as sa
from alembic import op

revision = "layer_test_2"
down_revision = "layer_test_1"


def upgrade() -> None:
    op.add_column("layer_test_pages", sa.Column("title", sa.String()))


def downgrade() -> None:
    op.drop_column("layer_test_pages", "title")
