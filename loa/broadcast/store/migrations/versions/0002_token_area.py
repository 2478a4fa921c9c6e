"""A token may hold in one area and below it, instead of everywhere."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this form. What there is holds everywhere, as before."""
    with op.batch_alter_table("token") as table:
        table.add_column(sa.Column("area_id", sa.LargeBinary(16), nullable=True))
        table.create_foreign_key("fk_token_area_id", "area", ["area_id"], ["id"])


def downgrade() -> None:
    """Back to 0001. A token for one area would hold everywhere there: it is taken away."""
    op.execute("DELETE FROM token WHERE area_id IS NOT NULL")
    with op.batch_alter_table("token") as table:
        table.drop_constraint("fk_token_area_id", type_="foreignkey")
        table.drop_column("area_id")
