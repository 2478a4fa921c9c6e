"""The tables. Identifiers are 16 bytes, times milliseconds of UTC; SQLite and PostgreSQL understand all of it."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

ID = LargeBinary(16)

area = Table(
    "area",
    metadata,
    Column("id", ID, primary_key=True),
    Column("parent_id", ID, ForeignKey("area.id"), nullable=True, index=True),
    Column("name", String(200), nullable=False),
    Column("level", String(40), nullable=False),
    # Of areas that are open: one that closes gives its code back.
    Column("code", String(40), nullable=True, unique=True),
    Column("created_ms", BigInteger, nullable=False),
    Column("folded", Text, nullable=False, server_default=""),
    Column("valid_from_ms", BigInteger, nullable=False, server_default="0"),
    Column("valid_until_ms", BigInteger, nullable=True),
    Column("version", Integer, nullable=False, server_default="1"),
    Column("lat", Double, nullable=True),
    Column("lon", Double, nullable=True),
    # The code that a closed area had.
    Column("former_code", String(40), nullable=True),
)

# Apart from the area, so that no list carries it along.
area_outline = Table(
    "area_outline",
    metadata,
    Column("area_id", ID, ForeignKey("area.id"), primary_key=True),
    Column("outline", Text, nullable=False),
    Column("sha256", LargeBinary(32), nullable=False),
)

# Multicast groups that carry what is on air for an area: `kind` is that of records.AreaGroup.
area_group = Table(
    "area_group",
    metadata,
    Column("area_id", ID, ForeignKey("area.id"), nullable=False),
    Column("kind", String(8), nullable=False),
    Column("host", String(39), nullable=False),
    Column("port", Integer, nullable=False),
    Column("ttl", Integer, nullable=False),
    Column("interface", String(15), nullable=False),
    Column("loop", Boolean, nullable=False),
    Column("source", String(39), nullable=False),
    PrimaryKeyConstraint("area_id", "kind"),
    UniqueConstraint("host", "port"),
)

# What an area was from `from_ms` until before `until_ms`; null: still is. `area` repeats what is open here.
area_version = Table(
    "area_version",
    metadata,
    Column("area_id", ID, ForeignKey("area.id"), nullable=False),
    Column("from_ms", BigInteger, nullable=False),
    Column("until_ms", BigInteger, nullable=True),
    Column("parent_id", ID, ForeignKey("area.id"), nullable=True, index=True),
    Column("name", String(200), nullable=False),
    Column("level", String(40), nullable=False),
    Column("code", String(40), nullable=True),
    PrimaryKeyConstraint("area_id", "from_ms"),
    Index(
        "uq_area_version_open",
        "area_id",
        unique=True,
        sqlite_where=text("until_ms IS NULL"),
        postgresql_where=text("until_ms IS NULL"),
    ),
)

area_change = Table(
    "area_change",
    metadata,
    Column("id", ID, primary_key=True),
    Column("kind", String(20), nullable=False),
    # When it took effect, and when it was written down.
    Column("at_ms", BigInteger, nullable=False),
    Column("recorded_ms", BigInteger, nullable=False),
    Column("decree", String(400), nullable=False),
    Column("summary", Text, nullable=False),
)

area_lineage = Table(
    "area_lineage",
    metadata,
    Column("change_id", ID, ForeignKey("area_change.id"), nullable=False),
    Column("from_id", ID, ForeignKey("area.id"), nullable=False, index=True),
    Column("to_id", ID, ForeignKey("area.id"), nullable=False, index=True),
    PrimaryKeyConstraint("change_id", "from_id", "to_id"),
)

endpoint = Table(
    "endpoint",
    metadata,
    Column("id", ID, primary_key=True),
    Column("kind", String(20), nullable=False),
    Column("name", String(200), nullable=False),
    Column("area_id", ID, ForeignKey("area.id"), nullable=False, index=True),
    Column("device_key", LargeBinary(32), nullable=False),
    Column("enrolled_ms", BigInteger, nullable=False),
    Column("revoked_ms", BigInteger, nullable=True),
    Column("placement_serial", BigInteger, nullable=False),
    Column("folded", Text, nullable=False, server_default=""),
    Column("version", Integer, nullable=False, server_default="1"),
    Column("lat", Double, nullable=True),
    Column("lon", Double, nullable=True),
    Column("note", Text, nullable=False, server_default=""),
)

# Where an endpoint stood from `from_ms` until before `until_ms`; null: still does. `endpoint` repeats what is open.
endpoint_place = Table(
    "endpoint_place",
    metadata,
    Column("endpoint_id", ID, ForeignKey("endpoint.id"), nullable=False),
    Column("from_ms", BigInteger, nullable=False),
    Column("until_ms", BigInteger, nullable=True),
    Column("area_id", ID, ForeignKey("area.id"), nullable=False, index=True),
    PrimaryKeyConstraint("endpoint_id", "from_ms"),
    Index(
        "uq_endpoint_place_open",
        "endpoint_id",
        unique=True,
        sqlite_where=text("until_ms IS NULL"),
        postgresql_where=text("until_ms IS NULL"),
    ),
)

enrolment = Table(
    "enrolment",
    metadata,
    Column("id", ID, primary_key=True),
    Column("code_id", String(5), nullable=False, unique=True),
    Column("key", LargeBinary(32), nullable=False),
    Column("area_id", ID, ForeignKey("area.id"), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("name", String(200), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Column("wrong_claims", Integer, nullable=False),
    Column("claimed_by_key", LargeBinary(32), nullable=True),
    Column("endpoint_id", ID, ForeignKey("endpoint.id"), nullable=True),
    Column("lat", Double, nullable=True),
    Column("lon", Double, nullable=True),
    Index("ix_enrolment_area_id", "area_id"),
)

programme = Table(
    "programme",
    metadata,
    Column("id", ID, primary_key=True),
    Column("title", String(400), nullable=False),
    Column("klass", String(20), nullable=False),
    # Two programmes may hold the same sound.
    Column("sha256", LargeBinary(32), nullable=False, index=True),
    Column("samples", BigInteger, nullable=False),
    Column("frames", BigInteger, nullable=False),
    Column("frame_samples", Integer, nullable=False),
    Column("duration_ms", BigInteger, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("loudness_lufs", Integer, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    # No foreign key: SQLite would have to write the table anew to get one. An area is looked for when it is named.
    Column("area_id", ID, nullable=True, index=True),
    Column("owner", String(80), nullable=False),
    Column("version", Integer, nullable=False),
    # Marked, not gone: broadcasts refer to it.
    Column("deleted_ms", BigInteger, nullable=True),
)

broadcast = Table(
    "broadcast",
    metadata,
    Column("id", ID, primary_key=True),
    Column("programme_id", ID, ForeignKey("programme.id"), nullable=False, index=True),
    Column("state", String(20), nullable=False, index=True),
    Column("priority", Integer, nullable=False),
    Column("volume", Integer, nullable=False),
    Column("play_delay_ms", Integer, nullable=False),
    # Identifiers one after the other, as they were asked for; `broadcast_target` is for asking who is meant.
    Column("areas", LargeBinary, nullable=False),
    Column("endpoints", LargeBinary, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("ssrc", BigInteger, nullable=True),
    Column("start_utc_ms", BigInteger, nullable=True),
    Column("ended_utc_ms", BigInteger, nullable=True),
    Column("frames_total", BigInteger, nullable=False),
    Column("frames_aired", BigInteger, nullable=False),
    Column("reason", String(200), nullable=False),
    # What was on air stays to be read when the programme is gone.
    Column("programme_title", String(400), nullable=False),
    Column("programme_sha256", LargeBinary(32), nullable=False),
    # Since when its receipts are being folded into figures, from when on none is taken; and when all of them were.
    Column("folding_ms", BigInteger, nullable=True),
    Column("folded_ms", BigInteger, nullable=True),
    # From, to and how many endpoints, one after the other; see `store.broadcasts`.
    Column("pre_empted", LargeBinary, nullable=False),
)

broadcast_target = Table(
    "broadcast_target",
    metadata,
    Column("broadcast_id", ID, ForeignKey("broadcast.id"), nullable=False),
    # No foreign key: what was ordered stays, whatever becomes of the areas.
    Column("area_id", ID, nullable=False, index=True),
    # Whether the area and all below it was meant, or only endpoints that stood in it.
    Column("whole", Boolean, nullable=False),
    PrimaryKeyConstraint("broadcast_id", "area_id"),
)

order_ = Table(
    "order_",
    metadata,
    Column("order_id", ID, primary_key=True),
    Column("broadcast_id", ID, ForeignKey("broadcast.id"), nullable=False, index=True),
    Column("action", Integer, nullable=False),
    Column("bundle", LargeBinary, nullable=False),
    Column("issued_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
)

order_sequence = Table(
    "order_sequence",
    metadata,
    Column("signer", LargeBinary(8), primary_key=True),
    Column("last_seq", BigInteger, nullable=False),
    CheckConstraint("last_seq >= 1", name="positive"),
)

receipt = Table(
    "receipt",
    metadata,
    Column("order_id", ID, ForeignKey("order_.order_id"), nullable=False),
    # No foreign key: the link has shown who the endpoint is, and one bad row must not spoil a batch.
    Column("endpoint_id", ID, nullable=False),
    Column("state", Integer, nullable=False),
    Column("received_ms", BigInteger, nullable=True),
    Column("accepted_ms", BigInteger, nullable=True),
    Column("refused_ms", BigInteger, nullable=True),
    Column("started_ms", BigInteger, nullable=True),
    Column("finished_ms", BigInteger, nullable=True),
    Column("reason", String(32), nullable=False),
    Column("presented_ns", BigInteger, nullable=True),
    Column("index", BigInteger, nullable=True),
    Column("error_ns", BigInteger, nullable=True),
    Column("played", BigInteger, nullable=True),
    Column("repaired", BigInteger, nullable=True),
    Column("recovered", BigInteger, nullable=True),
    Column("concealed", BigInteger, nullable=True),
    Column("unsigned", BigInteger, nullable=True),
    Column("result_reason", String(32), nullable=False),
    PrimaryKeyConstraint("order_id", "endpoint_id"),
    Index("ix_receipt_endpoint_id", "endpoint_id"),
)

# Old receipts, in numbers. Where an endpoint stood nowhere that is known, the area is 16 zero bytes.
broadcast_fold = Table(
    "broadcast_fold",
    metadata,
    Column("broadcast_id", ID, ForeignKey("broadcast.id"), nullable=False),
    Column("area_id", ID, nullable=False),
    # The highest that an endpoint reached with any of the tune orders: each endpoint is counted once.
    Column("state", Integer, nullable=False),
    Column("endpoints", BigInteger, nullable=False),
    PrimaryKeyConstraint("broadcast_id", "area_id", "state"),
)

receipt_fold = Table(
    "receipt_fold",
    metadata,
    Column("order_id", ID, ForeignKey("order_.order_id"), nullable=False),
    Column("area_id", ID, nullable=False),
    Column("state", Integer, nullable=False),
    Column("endpoints", BigInteger, nullable=False),
    Column("played", BigInteger, nullable=False),
    Column("repaired", BigInteger, nullable=False),
    Column("recovered", BigInteger, nullable=False),
    Column("concealed", BigInteger, nullable=False),
    Column("unsigned", BigInteger, nullable=False),
    PrimaryKeyConstraint("order_id", "area_id", "state"),
)

token = Table(
    "token",
    metadata,
    Column("id", ID, primary_key=True),
    Column("name", String(200), nullable=False),
    Column("role", String(40), nullable=False),
    Column("sha256", LargeBinary(32), nullable=False, unique=True),
    Column("created_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=True),
    Column("revoked_ms", BigInteger, nullable=True),
    Column("area_id", ID, ForeignKey("area.id"), nullable=True),
    Column("user_id", ID, ForeignKey("user_.id"), nullable=True, index=True),
)

audit = Table(
    "audit",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at_ms", BigInteger, nullable=False, index=True),
    Column("actor", String(80), nullable=False, index=True),
    Column("action", String(60), nullable=False),
    Column("subject", String(80), nullable=False, index=True),
    # What is hashed. The columns before it are taken from it, and are for asking.
    Column("entry", Text, nullable=False),
    Column("hash", LargeBinary(32), nullable=False),
)

event = Table(
    "event",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at_ms", BigInteger, nullable=False, index=True),
    Column("kind", String(60), nullable=False),
    Column("subject", String(80), nullable=False),
    # Identifiers of areas, one after the other.
    Column("reach", LargeBinary, nullable=False),
    Column("data", Text, nullable=False),
    # Those of `reach` where it happened.
    Column("areas", LargeBinary, nullable=False),
)

done_once = Table(
    "done_once",
    metadata,
    Column("actor", String(80), nullable=False),
    Column("key", String(64), nullable=False),
    Column("fingerprint", LargeBinary(32), nullable=False),
    Column("subject", String(80), nullable=False),
    Column("at_ms", BigInteger, nullable=False, index=True),
    PrimaryKeyConstraint("actor", "key"),
)

user_ = Table(
    "user_",
    metadata,
    Column("id", ID, primary_key=True),
    # Nothing when the user is erased.
    Column("login", String(64), nullable=True, unique=True),
    Column("name", String(200), nullable=False),
    Column("language", String(8), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("disabled_ms", BigInteger, nullable=True),
    Column("erased_ms", BigInteger, nullable=True),
    Column("signed_in_ms", BigInteger, nullable=True),
    Column("must_change_password", Boolean, nullable=False),
    Column("password", String(200), nullable=True),
    Column("password_expires_ms", BigInteger, nullable=True),
    Column("totp_secret", String(64), nullable=True),
    Column("totp_pending", String(64), nullable=True),
    Column("totp_counter", BigInteger, nullable=True),
    Column("pardoned_ms", BigInteger, nullable=False),
)

user_grant = Table(
    "user_grant",
    metadata,
    Column("user_id", ID, ForeignKey("user_.id"), nullable=False),
    Column("place", Integer, nullable=False),
    Column("role", String(40), nullable=False),
    Column("area_id", ID, ForeignKey("area.id"), nullable=True, index=True),
    PrimaryKeyConstraint("user_id", "place"),
)

recovery_code = Table(
    "recovery_code",
    metadata,
    Column("user_id", ID, ForeignKey("user_.id"), nullable=False),
    Column("sha256", LargeBinary(32), nullable=False),
    PrimaryKeyConstraint("user_id", "sha256"),
)

session = Table(
    "session",
    metadata,
    Column("id", ID, primary_key=True),
    Column("user_id", ID, ForeignKey("user_.id"), nullable=False, index=True),
    Column("sha256", LargeBinary(32), nullable=False, unique=True),
    Column("created_ms", BigInteger, nullable=False),
    Column("seen_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Column("authenticated_ms", BigInteger, nullable=False),
    Column("second_factor", Boolean, nullable=False),
    Column("address", String(64), nullable=False),
    Column("agent", String(200), nullable=False),
)

# Browsers that have signed in, each by a secret that only it has.
known_device = Table(
    "known_device",
    metadata,
    Column("id", ID, primary_key=True),
    Column("user_id", ID, ForeignKey("user_.id"), nullable=False, index=True),
    Column("sha256", LargeBinary(32), nullable=False, unique=True),
    Column("address", String(64), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("seen_ms", BigInteger, nullable=False),
)
