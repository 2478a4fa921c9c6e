"""People: users and what is granted to them, what they prove who they are with, and their browsers' sessions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

ID = sa.LargeBinary(16)


def upgrade() -> None:
    """To this form. The tokens that there are belong to nobody, as before."""
    op.create_table(
        "user_",
        sa.Column("id", ID, nullable=False),
        sa.Column("login", sa.String(64), nullable=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("language", sa.String(8), nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("disabled_ms", sa.BigInteger, nullable=True),
        sa.Column("erased_ms", sa.BigInteger, nullable=True),
        sa.Column("signed_in_ms", sa.BigInteger, nullable=True),
        sa.Column("must_change_password", sa.Boolean, nullable=False),
        sa.Column("password", sa.String(200), nullable=True),
        sa.Column("password_expires_ms", sa.BigInteger, nullable=True),
        sa.Column("totp_secret", sa.String(64), nullable=True),
        sa.Column("totp_pending", sa.String(64), nullable=True),
        sa.Column("totp_counter", sa.BigInteger, nullable=True),
        sa.Column("pardoned_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_user_"),
        sa.UniqueConstraint("login", name="uq_user__login"),
    )
    op.create_table(
        "user_grant",
        sa.Column("user_id", ID, nullable=False),
        sa.Column("place", sa.Integer, nullable=False),
        sa.Column("role", sa.String(40), nullable=False),
        sa.Column("area_id", ID, nullable=True),
        sa.PrimaryKeyConstraint("user_id", "place", name="pk_user_grant"),
        sa.ForeignKeyConstraint(["user_id"], ["user_.id"], name="fk_user_grant_user_id"),
        sa.ForeignKeyConstraint(["area_id"], ["area.id"], name="fk_user_grant_area_id"),
    )
    op.create_index("ix_user_grant_area_id", "user_grant", ["area_id"])
    op.create_table(
        "recovery_code",
        sa.Column("user_id", ID, nullable=False),
        sa.Column("sha256", sa.LargeBinary(32), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "sha256", name="pk_recovery_code"),
        sa.ForeignKeyConstraint(["user_id"], ["user_.id"], name="fk_recovery_code_user_id"),
    )
    op.create_table(
        "session",
        sa.Column("id", ID, nullable=False),
        sa.Column("user_id", ID, nullable=False),
        sa.Column("sha256", sa.LargeBinary(32), nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("seen_ms", sa.BigInteger, nullable=False),
        sa.Column("expires_ms", sa.BigInteger, nullable=False),
        sa.Column("authenticated_ms", sa.BigInteger, nullable=False),
        sa.Column("second_factor", sa.Boolean, nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("agent", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_session"),
        sa.ForeignKeyConstraint(["user_id"], ["user_.id"], name="fk_session_user_id"),
        sa.UniqueConstraint("sha256", name="uq_session_sha256"),
    )
    op.create_index("ix_session_user_id", "session", ["user_id"])
    op.create_table(
        "known_device",
        sa.Column("id", ID, nullable=False),
        sa.Column("user_id", ID, nullable=False),
        sa.Column("sha256", sa.LargeBinary(32), nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("seen_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_known_device"),
        sa.ForeignKeyConstraint(["user_id"], ["user_.id"], name="fk_known_device_user_id"),
        sa.UniqueConstraint("sha256", name="uq_known_device_sha256"),
    )
    op.create_index("ix_known_device_user_id", "known_device", ["user_id"])
    with op.batch_alter_table("token") as table:
        table.add_column(sa.Column("user_id", ID, nullable=True))
        table.create_foreign_key("fk_token_user_id", "user_", ["user_id"], ["id"])
        table.create_index("ix_token_user_id", ["user_id"])


def downgrade() -> None:
    """Back to 0003. The people are lost, and with them their tokens, which nobody could take from them there."""
    op.execute("DELETE FROM token WHERE user_id IS NOT NULL")
    with op.batch_alter_table("token") as table:
        table.drop_index("ix_token_user_id")
        table.drop_constraint("fk_token_user_id", type_="foreignkey")
        table.drop_column("user_id")
    for table_name in ("known_device", "session", "recovery_code", "user_grant", "user_"):
        op.drop_table(table_name)
