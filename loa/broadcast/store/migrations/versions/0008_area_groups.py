"""Multicast groups of areas."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this form. No area has a group."""
    op.create_table(
        "area_group",
        sa.Column("area_id", sa.LargeBinary(16), nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("host", sa.String(39), nullable=False),
        sa.Column("port", sa.Integer, nullable=False),
        sa.Column("ttl", sa.Integer, nullable=False),
        sa.Column("interface", sa.String(15), nullable=False),
        sa.Column("loop", sa.Boolean, nullable=False),
        sa.Column("source", sa.String(39), nullable=False),
        sa.PrimaryKeyConstraint("area_id", "kind", name="pk_area_group"),
        sa.ForeignKeyConstraint(["area_id"], ["area.id"], name="fk_area_group_area_id"),
        sa.UniqueConstraint("host", "port", name="uq_area_group_host"),
    )


def downgrade() -> None:
    """Back to the form before. Groups are forgotten."""
    op.drop_table("area_group")
