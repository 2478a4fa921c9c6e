"""Programmes of areas, whom broadcasts were for, events with their areas, and receipts folded into figures."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_ID = sa.LargeBinary(16)
_ID_BYTES = 16
_CHUNK = 1_000


def upgrade() -> None:
    """To this form. What there is belongs to the whole city, and to whom made it as far as the audit log knows."""
    _columns()
    _tables()
    _fill_programmes()
    _fill_targets()


def _columns() -> None:
    no_bytes = sa.text("x''" if op.get_bind().dialect.name == "sqlite" else "''")
    op.add_column("programme", sa.Column("area_id", _ID, nullable=True))
    op.add_column("programme", sa.Column("owner", sa.String(80), nullable=False, server_default=""))
    op.add_column("programme", sa.Column("version", sa.Integer, nullable=False, server_default="1"))
    op.add_column("programme", sa.Column("deleted_ms", sa.BigInteger, nullable=True))
    op.create_index("ix_programme_area_id", "programme", ["area_id"])
    op.add_column("broadcast", sa.Column("programme_title", sa.String(400), nullable=False, server_default=""))
    digest = sa.Column("programme_sha256", sa.LargeBinary(32), nullable=False, server_default=no_bytes)
    op.add_column("broadcast", digest)
    for name in ("folding_ms", "folded_ms"):
        op.add_column("broadcast", sa.Column(name, sa.BigInteger, nullable=True))
    op.add_column("event", sa.Column("areas", sa.LargeBinary, nullable=False, server_default=no_bytes))


def _tables() -> None:
    op.create_table(
        "broadcast_target",
        sa.Column("broadcast_id", _ID, nullable=False),
        sa.Column("area_id", _ID, nullable=False),
        sa.Column("whole", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("broadcast_id", "area_id", name="pk_broadcast_target"),
        sa.ForeignKeyConstraint(["broadcast_id"], ["broadcast.id"], name="fk_broadcast_target_broadcast_id"),
    )
    op.create_index("ix_broadcast_target_area_id", "broadcast_target", ["area_id"])
    op.create_table(
        "broadcast_fold",
        sa.Column("broadcast_id", _ID, nullable=False),
        sa.Column("area_id", _ID, nullable=False),
        sa.Column("state", sa.Integer, nullable=False),
        sa.Column("endpoints", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("broadcast_id", "area_id", "state", name="pk_broadcast_fold"),
        sa.ForeignKeyConstraint(["broadcast_id"], ["broadcast.id"], name="fk_broadcast_fold_broadcast_id"),
    )
    op.create_table(
        "receipt_fold",
        sa.Column("order_id", _ID, nullable=False),
        sa.Column("area_id", _ID, nullable=False),
        sa.Column("state", sa.Integer, nullable=False),
        sa.Column("endpoints", sa.BigInteger, nullable=False),
        sa.Column("played", sa.BigInteger, nullable=False),
        sa.Column("repaired", sa.BigInteger, nullable=False),
        sa.Column("recovered", sa.BigInteger, nullable=False),
        sa.Column("concealed", sa.BigInteger, nullable=False),
        sa.Column("unsigned", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("order_id", "area_id", "state", name="pk_receipt_fold"),
        sa.ForeignKeyConstraint(["order_id"], ["order_.order_id"], name="fk_receipt_fold_order_id"),
    )


def _fill_programmes() -> None:
    op.execute(
        "UPDATE broadcast SET "
        "programme_title = (SELECT title FROM programme WHERE programme.id = broadcast.programme_id), "
        "programme_sha256 = (SELECT sha256 FROM programme WHERE programme.id = broadcast.programme_id)"
    )
    bind = op.get_bind()
    audit = sa.table("audit", sa.column("subject"), sa.column("actor"), sa.column("action"))
    programme = sa.table("programme", sa.column("id", _ID), sa.column("owner"))
    made = bind.execute(sa.select(audit.c.subject, audit.c.actor).where(audit.c.action == "programme.create"))
    owners = [
        {"of": uuid.UUID(subject.removeprefix("programme:")).bytes, "actor": actor} for subject, actor in made
    ]
    if owners:
        update = programme.update().where(programme.c.id == sa.bindparam("of"))
        bind.execute(update.values(owner=sa.bindparam("actor")), owners)


def _fill_targets() -> None:
    bind = op.get_bind()
    endpoint = sa.table("endpoint", sa.column("id", _ID), sa.column("area_id", _ID))
    area_of = {row.id: row.area_id for row in bind.execute(sa.select(endpoint.c.id, endpoint.c.area_id))}
    broadcast = sa.table("broadcast", sa.column("id", _ID), sa.column("areas", _ID), sa.column("endpoints", _ID))
    target = sa.table(
        "broadcast_target",
        sa.column("broadcast_id", _ID),
        sa.column("area_id", _ID),
        sa.column("whole", sa.Boolean),
    )
    last = b""
    while True:
        query = sa.select(broadcast).where(broadcast.c.id > last).order_by(broadcast.c.id).limit(_CHUNK)
        rows = bind.execute(query).all()
        if not rows:
            return
        last = rows[-1].id
        targets = []
        for row in rows:
            whole = set(_ids(row.areas))
            standing = {area_of[each] for each in _ids(row.endpoints) if each in area_of}
            targets += [
                {"broadcast_id": row.id, "area_id": area_id, "whole": area_id in whole}
                for area_id in sorted(whole | standing)
            ]
        if targets:
            bind.execute(target.insert(), targets)


def _ids(packed: bytes) -> Iterator[bytes]:
    return (packed[at : at + _ID_BYTES] for at in range(0, len(packed), _ID_BYTES))


def downgrade() -> None:
    """Back to the form before. Folded figures are lost, and deleted programmes are there again."""
    for table in ("receipt_fold", "broadcast_fold", "broadcast_target"):
        op.drop_table(table)
    op.drop_column("event", "areas")
    for column in ("folded_ms", "folding_ms", "programme_sha256", "programme_title"):
        op.drop_column("broadcast", column)
    op.drop_index("ix_programme_area_id", "programme")
    for column in ("deleted_ms", "version", "owner", "area_id"):
        op.drop_column("programme", column)
