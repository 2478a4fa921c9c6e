"""When and at how many endpoints a broadcast was pre-empted. Of those before, nothing is known."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this form."""
    none = sa.text("x''" if op.get_bind().dialect.name == "sqlite" else "''")
    op.add_column("broadcast", sa.Column("pre_empted", sa.LargeBinary, nullable=False, server_default=none))


def downgrade() -> None:
    """Back to the form before. What was known of pre-emptions is lost."""
    op.drop_column("broadcast", "pre_empted")
