"""The first form: areas, endpoints, enrolments, programmes, broadcasts, orders, receipts, tokens."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_ID = sa.LargeBinary(16)


def upgrade() -> None:
    """To this form."""
    _places()
    _sound()
    _commands()
    op.create_table(
        "token",
        sa.Column("id", _ID, nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("role", sa.String(40), nullable=False),
        sa.Column("sha256", sa.LargeBinary(32), nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("expires_ms", sa.BigInteger, nullable=True),
        sa.Column("revoked_ms", sa.BigInteger, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_token"),
        sa.UniqueConstraint("sha256", name="uq_token_sha256"),
    )


def _places() -> None:
    op.create_table(
        "area",
        sa.Column("id", _ID, nullable=False),
        sa.Column("parent_id", _ID, nullable=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("level", sa.String(40), nullable=False),
        sa.Column("code", sa.String(40), nullable=True),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_area"),
        sa.ForeignKeyConstraint(["parent_id"], ["area.id"], name="fk_area_parent_id"),
        sa.UniqueConstraint("code", name="uq_area_code"),
    )
    op.create_index("ix_area_parent_id", "area", ["parent_id"])
    op.create_table(
        "endpoint",
        sa.Column("id", _ID, nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("area_id", _ID, nullable=False),
        sa.Column("device_key", sa.LargeBinary(32), nullable=False),
        sa.Column("enrolled_ms", sa.BigInteger, nullable=False),
        sa.Column("revoked_ms", sa.BigInteger, nullable=True),
        sa.Column("placement_serial", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_endpoint"),
        sa.ForeignKeyConstraint(["area_id"], ["area.id"], name="fk_endpoint_area_id"),
    )
    op.create_index("ix_endpoint_area_id", "endpoint", ["area_id"])
    op.create_table(
        "enrolment",
        sa.Column("id", _ID, nullable=False),
        sa.Column("code_id", sa.String(5), nullable=False),
        sa.Column("key", sa.LargeBinary(32), nullable=False),
        sa.Column("area_id", _ID, nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("expires_ms", sa.BigInteger, nullable=False),
        sa.Column("wrong_claims", sa.Integer, nullable=False),
        sa.Column("claimed_by_key", sa.LargeBinary(32), nullable=True),
        sa.Column("endpoint_id", _ID, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_enrolment"),
        sa.ForeignKeyConstraint(["area_id"], ["area.id"], name="fk_enrolment_area_id"),
        sa.ForeignKeyConstraint(["endpoint_id"], ["endpoint.id"], name="fk_enrolment_endpoint_id"),
        sa.UniqueConstraint("code_id", name="uq_enrolment_code_id"),
    )


def _sound() -> None:
    op.create_table(
        "programme",
        sa.Column("id", _ID, nullable=False),
        sa.Column("title", sa.String(400), nullable=False),
        sa.Column("klass", sa.String(20), nullable=False),
        sa.Column("sha256", sa.LargeBinary(32), nullable=False),
        sa.Column("samples", sa.BigInteger, nullable=False),
        sa.Column("frames", sa.BigInteger, nullable=False),
        sa.Column("frame_samples", sa.Integer, nullable=False),
        sa.Column("duration_ms", sa.BigInteger, nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("loudness_lufs", sa.Integer, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_programme"),
    )
    op.create_index("ix_programme_sha256", "programme", ["sha256"])
    op.create_table(
        "broadcast",
        sa.Column("id", _ID, nullable=False),
        sa.Column("programme_id", _ID, nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("volume", sa.Integer, nullable=False),
        sa.Column("play_delay_ms", sa.Integer, nullable=False),
        sa.Column("areas", sa.LargeBinary, nullable=False),
        sa.Column("endpoints", sa.LargeBinary, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("ssrc", sa.BigInteger, nullable=True),
        sa.Column("start_utc_ms", sa.BigInteger, nullable=True),
        sa.Column("ended_utc_ms", sa.BigInteger, nullable=True),
        sa.Column("frames_total", sa.BigInteger, nullable=False),
        sa.Column("frames_aired", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_broadcast"),
        sa.ForeignKeyConstraint(["programme_id"], ["programme.id"], name="fk_broadcast_programme_id"),
    )
    op.create_index("ix_broadcast_programme_id", "broadcast", ["programme_id"])
    op.create_index("ix_broadcast_state", "broadcast", ["state"])


def _commands() -> None:
    op.create_table(
        "order_",
        sa.Column("order_id", _ID, nullable=False),
        sa.Column("broadcast_id", _ID, nullable=False),
        sa.Column("action", sa.Integer, nullable=False),
        sa.Column("bundle", sa.LargeBinary, nullable=False),
        sa.Column("issued_ms", sa.BigInteger, nullable=False),
        sa.Column("expires_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("order_id", name="pk_order_"),
        sa.ForeignKeyConstraint(["broadcast_id"], ["broadcast.id"], name="fk_order__broadcast_id"),
    )
    op.create_index("ix_order__broadcast_id", "order_", ["broadcast_id"])
    op.create_table(
        "order_sequence",
        sa.Column("signer", sa.LargeBinary(8), nullable=False),
        sa.Column("last_seq", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("signer", name="pk_order_sequence"),
        sa.CheckConstraint("last_seq >= 1", name=op.f("ck_order_sequence_positive")),
    )
    op.create_table(
        "receipt",
        sa.Column("order_id", _ID, nullable=False),
        sa.Column("endpoint_id", _ID, nullable=False),
        sa.Column("state", sa.Integer, nullable=False),
        sa.Column("received_ms", sa.BigInteger, nullable=True),
        sa.Column("accepted_ms", sa.BigInteger, nullable=True),
        sa.Column("refused_ms", sa.BigInteger, nullable=True),
        sa.Column("started_ms", sa.BigInteger, nullable=True),
        sa.Column("finished_ms", sa.BigInteger, nullable=True),
        sa.Column("reason", sa.String(32), nullable=False),
        sa.Column("presented_ns", sa.BigInteger, nullable=True),
        sa.Column("index", sa.BigInteger, nullable=True),
        sa.Column("error_ns", sa.BigInteger, nullable=True),
        sa.Column("played", sa.BigInteger, nullable=True),
        sa.Column("repaired", sa.BigInteger, nullable=True),
        sa.Column("recovered", sa.BigInteger, nullable=True),
        sa.Column("concealed", sa.BigInteger, nullable=True),
        sa.Column("unsigned", sa.BigInteger, nullable=True),
        sa.Column("result_reason", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("order_id", "endpoint_id", name="pk_receipt"),
        sa.ForeignKeyConstraint(["order_id"], ["order_.order_id"], name="fk_receipt_order_id"),
    )
    op.create_index("ix_receipt_endpoint_id", "receipt", ["endpoint_id"])


def downgrade() -> None:
    """Back to nothing."""
    for table in (
        "token",
        "receipt",
        "order_sequence",
        "order_",
        "broadcast",
        "programme",
        "enrolment",
        "endpoint",
        "area",
    ):
        op.drop_table(table)
