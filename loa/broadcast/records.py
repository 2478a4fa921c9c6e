"""What the broadcast room remembers, as values. Identifiers are 16 bytes; times are milliseconds of UTC."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum

from loa.broadcast.geometry import Position
from loa.broadcast.names import fold
from loa.broadcast.people.rights import Role
from loa.model import BroadcastState, EndpointKind, ReceiptState


class ProgrammeClass(StrEnum):
    """The classes of Circular 39/2020/TT-BTTTT: thông thường, ưu tiên, khẩn cấp."""

    ROUTINE = "routine"
    PRIORITY = "priority"
    EMERGENCY = "emergency"


@dataclass(frozen=True, slots=True)
class Area:
    """A node of the administrative tree. `level` is data (city, district, commune, hamlet), `code` official.

    It is valid from `valid_from_ms` until before `valid_until_ms`; None: it is open. `version` grows with each
    change. An open area's code is its own; one that is closed may have left its code to another.
    """

    id: bytes
    parent_id: bytes | None
    name: str
    level: str
    code: str | None
    created_ms: int
    valid_from_ms: int = 0
    valid_until_ms: int | None = None
    version: int = 1
    position: Position | None = None

    @property
    def folded(self) -> str:
        """The name as it is searched and sorted."""
        return fold(self.name)

    @property
    def open(self) -> bool:
        """Whether it has not been closed."""
        return self.valid_until_ms is None


@dataclass(frozen=True, slots=True)
class AreaVersion:
    """What an area was from `from_ms` until before `until_ms`; None: it still is."""

    area_id: bytes
    from_ms: int
    until_ms: int | None
    parent_id: bytes | None
    name: str
    level: str
    code: str | None


class ChangeKind(StrEnum):
    """Why areas were opened, closed and moved together."""

    MERGE = "merge"
    SPLIT = "split"
    DISSOLVE = "dissolve"
    REORGANISE = "reorganise"
    IMPORT = "import"


@dataclass(frozen=True, slots=True)
class AreaChange:
    """One change of many areas at once, in force from `at_ms`, written down at `recorded_ms`.

    `decree` says by which text; `summary` is a JSON object of counts.
    """

    id: bytes
    kind: ChangeKind
    at_ms: int
    recorded_ms: int
    decree: str
    summary: str

    @property
    def counts(self) -> dict[str, int]:
        """How much of each there was."""
        counts: dict[str, int] = json.loads(self.summary)
        return counts


@dataclass(frozen=True, slots=True)
class Lineage:
    """By `change`, the area `from_id` became `to_id`, or a part of it did."""

    change: AreaChange
    from_id: bytes
    to_id: bytes


class GroupKind(StrEnum):
    """SEALED: protected sound for endpoints. PLAIN: unprotected RTP for whatever speaker listens."""

    SEALED = "sealed"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class AreaGroup:
    """A multicast group that carries what is on air for an area: see `air.media_port.GroupRoute`."""

    area_id: bytes
    kind: GroupKind
    host: str
    port: int
    ttl: int
    interface: str
    loop: bool
    source: str


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An enrolled device. `placement_serial` grows whenever what its placement says changes, `version` with each
    change of what is written here but for that serial alone."""

    id: bytes
    kind: EndpointKind
    name: str
    area_id: bytes
    device_key: bytes
    enrolled_ms: int
    revoked_ms: int | None
    placement_serial: int
    version: int = 1
    position: Position | None = None
    note: str = ""

    @property
    def folded(self) -> str:
        """The name as it is searched and sorted."""
        return fold(self.name)


@dataclass(frozen=True, slots=True)
class Stay:
    """An endpoint stood directly in an area from `from_ms` until before `until_ms`; None: it still does."""

    endpoint_id: bytes
    area_id: bytes
    from_ms: int
    until_ms: int | None


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A one-time code without its secret: `key` is what the claim's MACs are made with, and stays in the core."""

    id: bytes
    code_id: str
    key: bytes
    area_id: bytes
    kind: EndpointKind
    name: str
    created_ms: int
    expires_ms: int
    wrong_claims: int = 0
    claimed_by_key: bytes | None = None
    endpoint_id: bytes | None = None
    position: Position | None = None

    def __repr__(self) -> str:
        return f"Enrolment({self.code_id}-…)"


@dataclass(frozen=True, slots=True)
class Programme:
    """A stored recording: mono Opus in Ogg, named by the SHA-256 of the file.

    `samples` (48 kHz) is what a player plays; `frames` packets of `frame_samples` hold them and the encoder's
    look-ahead. `loudness_lufs` is integrated loudness (EBU R 128) in hundredths of a LUFS, -7000 for silence.
    It belongs to `area_id` (None: the whole city); `owner` is the actor who made it. `version` counts its changes.
    """

    id: bytes
    title: str
    klass: ProgrammeClass
    sha256: bytes
    samples: int
    frames: int
    frame_samples: int
    duration_ms: int
    size_bytes: int
    loudness_lufs: int
    created_ms: int
    area_id: bytes | None = None
    owner: str = ""
    version: int = 1
    deleted_ms: int | None = None


@dataclass(frozen=True, slots=True)
class PreEmption:
    """From `from_ms` until `to_ms` (UTC; None: it goes on) endpoints were sent another broadcast, which goes before
    this one: so many `endpoints` (at least one), or fewer at times."""

    from_ms: int
    to_ms: int | None
    endpoints: int


@dataclass(frozen=True, slots=True)
class Broadcast:
    """A programme on air, or that was, to `areas` and `endpoints`. `reason` says why it ended.

    `pre_empted`: in the order of time; only the last may go on. Title and SHA-256 are the programme's as they were:
    what was on air can be told when the programme is gone.
    """

    id: bytes
    programme_id: bytes
    state: BroadcastState
    priority: int
    volume: int
    play_delay_ms: int
    areas: tuple[bytes, ...]
    endpoints: tuple[bytes, ...]
    created_ms: int
    generation: int
    ssrc: int | None
    start_utc_ms: int | None
    ended_utc_ms: int | None
    frames_total: int
    frames_aired: int
    reason: str
    programme_title: str = ""
    programme_sha256: bytes = b""
    pre_empted: tuple[PreEmption, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredOrder:
    """An order as it was issued. `action` is a value of order_wire.Action, `bundle` the bytes that travel."""

    order_id: bytes
    broadcast_id: bytes
    action: int
    bundle: bytes
    issued_ms: int
    expires_ms: int


@dataclass(frozen=True, slots=True)
class ReceiptRow:
    """All that one endpoint has answered to one order.

    `state` is the highest it reached. A time is what the endpoint said, or when the core learned of it if the
    endpoint had no trusted time. `reason` is a refusal's. What was not said is None.
    """

    order_id: bytes
    endpoint_id: bytes
    state: ReceiptState
    received_ms: int | None = None
    accepted_ms: int | None = None
    refused_ms: int | None = None
    started_ms: int | None = None
    finished_ms: int | None = None
    reason: str = ""
    presented_ns: int | None = None
    index: int | None = None
    error_ns: int | None = None
    played: int | None = None
    repaired: int | None = None
    recovered: int | None = None
    concealed: int | None = None
    unsigned: int | None = None
    result_reason: str = ""

    @property
    def id(self) -> bytes:
        """Order and endpoint, as lists tell rows apart."""
        return self.order_id + self.endpoint_id


@dataclass(frozen=True, slots=True)
class FoldedReceipts:
    """Old receipts in numbers: so many endpoints reached `state` with an order; then sums of their results."""

    order_id: bytes
    state: ReceiptState
    endpoints: int
    played: int
    repaired: int
    recovered: int
    concealed: int
    unsigned: int


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token of the HTTP face: only the SHA-256 of its text is kept.

    Its role holds in `area_id` and everything below it; everywhere when that is None. `user_id` is whose it is, if
    it is anybody's: it never gives more than they have.
    """

    id: bytes
    name: str
    role: Role
    sha256: bytes
    created_ms: int
    expires_ms: int | None = None
    revoked_ms: int | None = None
    area_id: bytes | None = None
    user_id: bytes | None = None


@dataclass(frozen=True, slots=True)
class AreaRight:
    """Somebody's right in one area: a token's (`kind` token), or a role that a user was given there (user)."""

    kind: str
    id: bytes
    name: str
    role: Role
    area_id: bytes


@dataclass(frozen=True, slots=True)
class Event:
    """Something that has happened in `areas`, for those who watch. `reach` holds these and all above them.

    `seq` grows by one with each event; `data` is a JSON object.
    """

    seq: int
    at_ms: int
    kind: str
    subject: str
    reach: frozenset[bytes]
    data: str
    areas: frozenset[bytes]


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One entry of the audit log: `entry` is the JSON text that is hashed, the rest is taken from it."""

    seq: int
    at_ms: int
    actor: str
    action: str
    subject: str
    entry: str
    hash: bytes

    @property
    def id(self) -> bytes:
        """Its number, as lists tell rows apart."""
        return self.seq.to_bytes(8, "big")


@dataclass(frozen=True, slots=True)
class DoneBefore:
    """What an actor has done under an `Idempotency-Key`.

    `fingerprint` is the request's, `subject` what came of it.
    """

    actor: str
    key: str
    fingerprint: bytes
    subject: str
    at_ms: int
