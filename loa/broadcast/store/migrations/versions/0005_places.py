"""Places through time: validity, versions and lineage of areas, stays of endpoints, positions, folded names."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from loa.broadcast.names import fold

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_ID = sa.LargeBinary(16)
_OPEN = sa.text("until_ms IS NULL")


def upgrade() -> None:
    """To this form. What there is has been so since it was made; folded names are made here."""
    _columns()
    _area_history()
    op.create_table(
        "endpoint_place",
        sa.Column("endpoint_id", _ID, nullable=False),
        sa.Column("from_ms", sa.BigInteger, nullable=False),
        sa.Column("until_ms", sa.BigInteger, nullable=True),
        sa.Column("area_id", _ID, nullable=False),
        sa.PrimaryKeyConstraint("endpoint_id", "from_ms", name="pk_endpoint_place"),
        sa.ForeignKeyConstraint(["endpoint_id"], ["endpoint.id"], name="fk_endpoint_place_endpoint_id"),
        sa.ForeignKeyConstraint(["area_id"], ["area.id"], name="fk_endpoint_place_area_id"),
    )
    op.create_index("ix_endpoint_place_area_id", "endpoint_place", ["area_id"])
    op.create_index(
        "uq_endpoint_place_open",
        "endpoint_place",
        ["endpoint_id"],
        unique=True,
        sqlite_where=_OPEN,
        postgresql_where=_OPEN,
    )
    _fill()


def _columns() -> None:
    for table in ("area", "endpoint"):
        op.add_column(table, sa.Column("folded", sa.Text, nullable=False, server_default=""))
        if table == "area":
            op.add_column(table, sa.Column("valid_from_ms", sa.BigInteger, nullable=False, server_default="0"))
            op.add_column(table, sa.Column("valid_until_ms", sa.BigInteger, nullable=True))
        op.add_column(table, sa.Column("version", sa.Integer, nullable=False, server_default="1"))
        op.add_column(table, sa.Column("lat", sa.Double, nullable=True))
        op.add_column(table, sa.Column("lon", sa.Double, nullable=True))
    op.add_column("area", sa.Column("former_code", sa.String(40), nullable=True))
    op.add_column("endpoint", sa.Column("note", sa.Text, nullable=False, server_default=""))
    op.add_column("enrolment", sa.Column("lat", sa.Double, nullable=True))
    op.add_column("enrolment", sa.Column("lon", sa.Double, nullable=True))
    op.create_index("ix_enrolment_area_id", "enrolment", ["area_id"])


def _area_history() -> None:
    op.create_table(
        "area_outline",
        sa.Column("area_id", _ID, nullable=False),
        sa.Column("outline", sa.Text, nullable=False),
        sa.Column("sha256", sa.LargeBinary(32), nullable=False),
        sa.PrimaryKeyConstraint("area_id", name="pk_area_outline"),
        sa.ForeignKeyConstraint(["area_id"], ["area.id"], name="fk_area_outline_area_id"),
    )
    op.create_table(
        "area_version",
        sa.Column("area_id", _ID, nullable=False),
        sa.Column("from_ms", sa.BigInteger, nullable=False),
        sa.Column("until_ms", sa.BigInteger, nullable=True),
        sa.Column("parent_id", _ID, nullable=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("level", sa.String(40), nullable=False),
        sa.Column("code", sa.String(40), nullable=True),
        sa.PrimaryKeyConstraint("area_id", "from_ms", name="pk_area_version"),
        sa.ForeignKeyConstraint(["area_id"], ["area.id"], name="fk_area_version_area_id"),
        sa.ForeignKeyConstraint(["parent_id"], ["area.id"], name="fk_area_version_parent_id"),
    )
    op.create_index("ix_area_version_parent_id", "area_version", ["parent_id"])
    op.create_index(
        "uq_area_version_open", "area_version", ["area_id"], unique=True, sqlite_where=_OPEN, postgresql_where=_OPEN
    )
    op.create_table(
        "area_change",
        sa.Column("id", _ID, nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("recorded_ms", sa.BigInteger, nullable=False),
        sa.Column("decree", sa.String(400), nullable=False),
        sa.Column("summary", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_area_change"),
    )
    op.create_table(
        "area_lineage",
        sa.Column("change_id", _ID, nullable=False),
        sa.Column("from_id", _ID, nullable=False),
        sa.Column("to_id", _ID, nullable=False),
        sa.PrimaryKeyConstraint("change_id", "from_id", "to_id", name="pk_area_lineage"),
        sa.ForeignKeyConstraint(["change_id"], ["area_change.id"], name="fk_area_lineage_change_id"),
        sa.ForeignKeyConstraint(["from_id"], ["area.id"], name="fk_area_lineage_from_id"),
        sa.ForeignKeyConstraint(["to_id"], ["area.id"], name="fk_area_lineage_to_id"),
    )
    op.create_index("ix_area_lineage_from_id", "area_lineage", ["from_id"])
    op.create_index("ix_area_lineage_to_id", "area_lineage", ["to_id"])


def _fill() -> None:
    op.execute("UPDATE area SET valid_from_ms = created_ms")
    op.execute(
        "INSERT INTO area_version (area_id, from_ms, parent_id, name, level, code) "
        "SELECT id, created_ms, parent_id, name, level, code FROM area"
    )
    # A revoked device stood where it was until it was revoked, if there was any time between.
    op.execute(
        "INSERT INTO endpoint_place (endpoint_id, from_ms, until_ms, area_id) "
        "SELECT id, enrolled_ms, revoked_ms, area_id FROM endpoint "
        "WHERE revoked_ms IS NULL OR revoked_ms > enrolled_ms"
    )
    for name in ("area", "endpoint"):
        table = sa.table(name, sa.column("id", _ID), sa.column("name", sa.String), sa.column("folded", sa.Text))
        names: list[dict[str, Any]] = [
            {"of": row.id, "folded_name": fold(row.name)}
            for row in op.get_bind().execute(sa.select(table.c.id, table.c.name))
        ]
        if names:
            update = table.update().where(table.c.id == sa.bindparam("of"))
            op.get_bind().execute(update.values(folded=sa.bindparam("folded_name")), names)


def downgrade() -> None:
    """Back to 0004. The history is lost, and areas that were closed stand there as if they were not."""
    for table in ("endpoint_place", "area_lineage", "area_change", "area_version", "area_outline"):
        op.drop_table(table)
    op.drop_index("ix_enrolment_area_id", "enrolment")
    for column in ("lat", "lon"):
        op.drop_column("enrolment", column)
    for column in ("folded", "version", "lat", "lon", "note"):
        op.drop_column("endpoint", column)
    for column in ("folded", "valid_from_ms", "valid_until_ms", "version", "lat", "lon", "former_code"):
        op.drop_column("area", column)
