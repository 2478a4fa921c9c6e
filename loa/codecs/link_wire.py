"""Messages of the link: WebSocket, subprotocol `loa.link.v1` (docs/protocol.md, *Link*).

One binary WebSocket message is one canonical map: field 0 is the type, the rest is the message's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, get_args

from loa.codecs import canonical
from loa.codecs.authority import MAX_CHAIN
from loa.codecs.canonical import Fields, Value
from loa.codecs.group_wire import GroupMessage, Hearing
from loa.codecs.key_schedule import NONCE_BYTES
from loa.codecs.link_media import ClockProbe, ClockReply, DoorMessage, MediaMessage
from loa.codecs.order_wire import EPOCH_BYTES
from loa.codecs.signed import KEY_BYTES, SIGNATURE_BYTES
from loa.errors import WireError
from loa.model import ID_BYTES, ReceiptState

SUBPROTOCOL = "loa.link.v1"
VERSION = 1
MAX_MESSAGE_BYTES = 65_536
MAX_RECEIPTS = 64
_TIME = (1 << 63) - 1
_LAST_STATE = int(max(ReceiptState))


@dataclass(frozen=True, slots=True)
class Hello:
    """Endpoint → server, first. `key_list_version`: the newest list the endpoint holds."""

    TYPE: ClassVar[int] = 1
    endpoint_id: bytes
    nonce_c: bytes
    agreement_public: bytes
    key_list_version: int
    software: str
    version: int = VERSION

    def _value(self) -> dict[int, Value]:
        return {
            1: self.version,
            2: self.endpoint_id,
            3: self.nonce_c,
            4: self.agreement_public,
            5: self.key_list_version,
            6: self.software,
        }

    @classmethod
    def _from(cls, f: Fields) -> Hello:
        return cls(
            version=f.uint(1, most=255),
            endpoint_id=f.octets(2, size=ID_BYTES),
            nonce_c=f.octets(3, size=NONCE_BYTES),
            agreement_public=f.octets(4, size=KEY_BYTES),
            key_list_version=f.uint(5),
            software=f.text(6, most=64),
        )


@dataclass(frozen=True, slots=True)
class WelcomeMessage:
    """Server → endpoint: the signed welcome, and what the endpoint needs to believe it."""

    TYPE: ClassVar[int] = 2
    welcome: bytes
    key_list: bytes = b""
    chain: tuple[bytes, ...] = ()

    def _value(self) -> dict[int, Value]:
        return {1: self.welcome, 2: self.key_list, 3: list(self.chain)}

    @classmethod
    def _from(cls, f: Fields) -> WelcomeMessage:
        return cls(f.octets(1), f.octets(2), _byte_strings(f, 3))


@dataclass(frozen=True, slots=True)
class Proof:
    """Endpoint → server: the device key's signature over the handshake."""

    TYPE: ClassVar[int] = 3
    signature: bytes

    def _value(self) -> dict[int, Value]:
        return {1: self.signature}

    @classmethod
    def _from(cls, f: Fields) -> Proof:
        return cls(f.octets(1, size=SIGNATURE_BYTES))


@dataclass(frozen=True, slots=True)
class OrderMessage:
    """Server → endpoint: an order bundle, the same bytes as the datagram's."""

    TYPE: ClassVar[int] = 5
    bundle: bytes

    def _value(self) -> dict[int, Value]:
        return {1: self.bundle}

    @classmethod
    def _from(cls, f: Fields) -> OrderMessage:
        return cls(f.octets(1))


@dataclass(frozen=True, slots=True)
class SecretMessage:
    """Server → endpoint: an epoch secret, sealed for this link. A serial is sealed once on a link."""

    TYPE: ClassVar[int] = 6
    epoch: bytes
    serial: int
    sealed: bytes

    def _value(self) -> dict[int, Value]:
        return {1: self.epoch, 2: self.serial, 3: self.sealed}

    @classmethod
    def _from(cls, f: Fields) -> SecretMessage:
        return cls(f.octets(1, size=EPOCH_BYTES), f.uint(2, most=0xFFFF_FFFF), f.octets(3, size=48))


@dataclass(frozen=True, slots=True)
class StatementMessage:
    """Server → endpoint: a signed key list, placement or beacon; the envelope's kind says which."""

    TYPE: ClassVar[int] = 7
    envelope: bytes

    def _value(self) -> dict[int, Value]:
        return {1: self.envelope}

    @classmethod
    def _from(cls, f: Fields) -> StatementMessage:
        return cls(f.octets(1))


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a broadcast at an endpoint, in frames.

    played: from packets as they came; repaired: played too, from a packet sent again; recovered: from in-band
    FEC; concealed: made up by the decoder; unsigned: dropped since no signed block covered them (they count
    as concealed too). `reason`: end, stopped, pre_empted, lost, epoch, shutdown.
    """

    played: int
    repaired: int
    recovered: int
    concealed: int
    unsigned: int
    reason: str

    def to_value(self) -> Value:
        """The map on the wire."""
        return {
            1: self.played,
            2: self.repaired,
            3: self.recovered,
            4: self.concealed,
            5: self.unsigned,
            6: self.reason,
        }

    @classmethod
    def from_fields(cls, f: Fields) -> Result:
        """The result in a map; WireError when there is none."""
        made = cls(f.uint(1), f.uint(2), f.uint(3), f.uint(4), f.uint(5), f.text(6, most=32))
        f.done()
        return made


@dataclass(frozen=True, slots=True)
class Receipt:
    """One step of an order's fate at an endpoint.

    `at_ms`: trusted UTC, 0 when the endpoint has none. `reason`: the slug of a refusal. For STARTED,
    `presented_ns` is the origin time at which the first sample was heard, `index` its frame, and `error_ns`
    the bound the endpoint puts on its clock's error. For FINISHED, `result` says what was heard.
    """

    order_id: bytes
    state: ReceiptState
    at_ms: int
    reason: str = ""
    presented_ns: int = 0
    index: int = 0
    error_ns: int = 0
    result: Result | None = None

    def to_value(self) -> Value:
        """The map on the wire."""
        value: dict[int, Value] = {1: self.order_id, 2: int(self.state), 3: self.at_ms}
        if self.state == ReceiptState.REFUSED:
            value[4] = self.reason
        if self.state == ReceiptState.STARTED:
            value |= {5: self.presented_ns, 6: self.index, 7: self.error_ns}
        if self.state == ReceiptState.FINISHED and self.result is not None:
            value[8] = self.result.to_value()
        return value

    @classmethod
    def from_fields(cls, f: Fields) -> Receipt:
        """The receipt in a map; WireError when there is none."""
        state = ReceiptState(f.uint(2, least=1, most=_LAST_STATE))
        started, finished = state == ReceiptState.STARTED, state == ReceiptState.FINISHED
        made = cls(
            order_id=f.octets(1, size=ID_BYTES),
            state=state,
            at_ms=f.uint(3, most=_TIME),
            reason=f.text(4, most=32) if state == ReceiptState.REFUSED else "",
            presented_ns=f.uint(5, least=-_TIME, most=_TIME) if started else 0,
            index=f.uint(6, most=(1 << 48) - 1) if started else 0,
            error_ns=f.uint(7, most=_TIME) if started else 0,
            result=Result.from_fields(f.map(8)) if finished and f.has(8) else None,
        )
        f.done()
        return made


@dataclass(frozen=True, slots=True)
class ReceiptsMessage:
    """Endpoint → server: up to 64 receipts. They are sent again on every link until acknowledged."""

    TYPE: ClassVar[int] = 10
    receipts: tuple[Receipt, ...]

    def _value(self) -> dict[int, Value]:
        return {1: [receipt.to_value() for receipt in self.receipts]}

    @classmethod
    def _from(cls, f: Fields) -> ReceiptsMessage:
        values = f.array(1, most=MAX_RECEIPTS)
        return cls(tuple(Receipt.from_fields(Fields(value, "receipt")) for value in values))


@dataclass(frozen=True, slots=True)
class ReceiptsAck:
    """Server → endpoint: these receipts are stored durably; (order id, state) each."""

    TYPE: ClassVar[int] = 11
    receipts: tuple[tuple[bytes, int], ...]

    def _value(self) -> dict[int, Value]:
        return {1: [{1: order, 2: state} for order, state in self.receipts]}

    @classmethod
    def _from(cls, f: Fields) -> ReceiptsAck:
        pairs = []
        for value in f.array(1, most=MAX_RECEIPTS):
            p = Fields(value, "receipts ack")
            pairs.append((p.octets(1, size=ID_BYTES), p.uint(2, least=1, most=_LAST_STATE)))
            p.done()
        return cls(tuple(pairs))


@dataclass(frozen=True, slots=True)
class Status:
    """Endpoint → server, every few seconds: how the endpoint is.

    `broadcast_id` is empty when nothing plays. Counters are of the broadcast that plays, or of the last one.
    `clock_error_ns`: the bound; 2^63 - 1 before the clock is known. `depth_ms`: sound waiting to be played.
    """

    TYPE: ClassVar[int] = 12
    clock_error_ns: int
    drift_ppb: int
    broadcast_id: bytes = b""
    played: int = 0
    repaired: int = 0
    recovered: int = 0
    concealed: int = 0
    unsigned: int = 0
    depth_ms: int = 0
    dropped: int = 0
    underruns: int = 0
    hard_steps: int = 0
    volume: int = 100

    def _value(self) -> dict[int, Value]:
        return {
            1: self.clock_error_ns,
            2: self.drift_ppb,
            3: self.broadcast_id,
            4: self.played,
            5: self.repaired,
            6: self.recovered,
            7: self.concealed,
            8: self.unsigned,
            9: self.depth_ms,
            10: self.dropped,
            11: self.underruns,
            12: self.hard_steps,
            13: self.volume,
        }

    @classmethod
    def _from(cls, f: Fields) -> Status:
        made = cls(
            clock_error_ns=f.uint(1, most=_TIME),
            drift_ppb=f.uint(2, least=-1_000_000, most=1_000_000),
            broadcast_id=f.octets(3, most=ID_BYTES),
            played=f.uint(4, most=_TIME),
            repaired=f.uint(5, most=_TIME),
            recovered=f.uint(6, most=_TIME),
            concealed=f.uint(7, most=_TIME),
            unsigned=f.uint(8, most=_TIME),
            depth_ms=f.uint(9, most=_TIME),
            dropped=f.uint(10, most=_TIME),
            underruns=f.uint(11, most=_TIME),
            hard_steps=f.uint(12, most=_TIME),
            volume=f.uint(13, most=100),
        )
        if len(made.broadcast_id) not in (0, ID_BYTES):
            raise WireError("status: a broadcast id of another length")
        return made


@dataclass(frozen=True, slots=True)
class Bye:
    """Either way, last: why the link ends. `reason`: a slug of docs/protocol.md, *Link*."""

    TYPE: ClassVar[int] = 13
    reason: str
    detail: str = ""

    def _value(self) -> dict[int, Value]:
        return {1: self.reason, 2: self.detail}

    @classmethod
    def _from(cls, f: Fields) -> Bye:
        return cls(f.text(1, most=32), f.text(2))


Message = (
    Hello
    | WelcomeMessage
    | Proof
    | DoorMessage
    | OrderMessage
    | SecretMessage
    | StatementMessage
    | GroupMessage
    | Hearing
    | ReceiptsMessage
    | ReceiptsAck
    | Status
    | Bye
    | MediaMessage
    | ClockProbe
    | ClockReply
)
_READERS: dict[int, Callable[[Fields], Message]] = {kind.TYPE: kind._from for kind in get_args(Message)}
KNOWN_TYPES = frozenset(_READERS)
"""The types that version 1 has so far; others are to be ignored and counted (docs/protocol.md, *Versions*)."""


def encode(message: Message) -> bytes:
    """The bytes of one WebSocket message; ValueError when they are more than MAX_MESSAGE_BYTES."""
    data = canonical.encode({0: message.TYPE, **message._value()})
    if len(data) > MAX_MESSAGE_BYTES:
        raise ValueError(f"a link message of {len(data)} bytes")
    return data


def decode(data: bytes) -> Message:
    """The message in `data`; WireError, saying what is wrong, when there is none."""
    f = Fields(canonical.decode(data, max_bytes=MAX_MESSAGE_BYTES), "link message")
    kind = f.uint(0)
    reader = _READERS.get(kind)
    if reader is None:
        raise WireError(f"link message type {kind}")
    message = reader(f)
    f.done()
    return message


def _byte_strings(f: Fields, key: int) -> tuple[bytes, ...]:
    values = f.array(key, most=MAX_CHAIN)
    if not all(isinstance(value, bytes) for value in values):
        raise WireError("link message: a chain holds something else than byte strings")
    return tuple(value for value in values if isinstance(value, bytes))
