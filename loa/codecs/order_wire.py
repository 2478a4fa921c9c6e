"""Orders as bytes (docs/protocol.md, *Orders*). An order holds no secret, so one datagram serves all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from loa.codecs import canonical, signed
from loa.codecs.authority import MAX_CHAIN, Right
from loa.codecs.canonical import Fields, Value
from loa.codecs.signed import Envelope, Kind, SigningKey
from loa.errors import WireError
from loa.model import EMERGENCY_PRIORITY, ID_BYTES

MAX_TARGETS = 900
MAX_DATAGRAM_BYTES = 1200
MAX_BUNDLE_BYTES = 32_768
EPOCH_BYTES = 8
MAX_INDEX = (1 << 48) - 1
MAX_PLAY_DELAY_MS = 10_000
FRAME_SAMPLES = (960, 1920, 2880)
"""20, 40 and 60 ms at 48 kHz."""


class Action(IntEnum):
    """What an order commands."""

    TUNE = 1
    STOP = 2


@dataclass(frozen=True, slots=True)
class Tune:
    """Play a broadcast: everything an endpoint must know of one generation of it, but no key.

    Frame `index` of `frame_samples` samples is presented from start_ns + (index - index0) · frame_samples /
    48000 s + play_delay_ms, on the time line of `epoch`. `end_index` is the first index that is not sent, or
    None when the end is not known yet. `block_key` is empty when the sound is not signed.
    """

    broadcast_id: bytes
    generation: int
    ssrc: int
    block_ssrc: int
    index0: int
    timestamp0: int
    epoch: bytes
    start_ns: int
    play_delay_ms: int
    frame_samples: int
    priority: int
    volume: int
    fade_ms: int
    secret_serial: int
    block_key: bytes
    block_frames: int
    end_index: int | None = None

    def to_value(self) -> Value:
        """The action body."""
        value: dict[int, Value] = {
            1: self.broadcast_id,
            2: self.generation,
            3: self.ssrc,
            4: self.block_ssrc,
            5: self.index0,
            6: self.timestamp0,
            7: self.epoch,
            8: self.start_ns,
            9: self.play_delay_ms,
            10: self.frame_samples,
            11: self.priority,
            12: self.volume,
            13: self.fade_ms,
            14: self.secret_serial,
            15: self.block_key,
            16: self.block_frames,
        }
        if self.end_index is not None:
            value[17] = self.end_index
        return value

    @classmethod
    def from_fields(cls, f: Fields) -> Tune:
        """The tune that the action body says; WireError when it says none."""
        made = cls(
            broadcast_id=f.octets(1, size=ID_BYTES),
            generation=f.uint(2, most=0xFFFF_FFFF),
            ssrc=f.uint(3, most=0xFFFF_FFFF),
            block_ssrc=f.uint(4, most=0xFFFF_FFFF),
            index0=f.uint(5, most=MAX_INDEX),
            timestamp0=f.uint(6, most=0xFFFF_FFFF),
            epoch=f.octets(7, size=EPOCH_BYTES),
            start_ns=f.uint(8, most=(1 << 63) - 1),
            play_delay_ms=f.uint(9, most=MAX_PLAY_DELAY_MS),
            frame_samples=f.uint(10),
            priority=f.uint(11, most=255),
            volume=f.uint(12, most=100),
            fade_ms=f.uint(13, most=10_000),
            secret_serial=f.uint(14, most=0xFFFF_FFFF),
            block_key=f.octets(15, most=signed.KEY_BYTES),
            block_frames=f.uint(16, least=1, most=32),
            end_index=f.uint(17, most=MAX_INDEX) if f.has(17) else None,
        )
        f.done()
        if made.frame_samples not in FRAME_SAMPLES:
            raise WireError(f"tune: frames of {made.frame_samples} samples")
        if len(made.block_key) not in (0, signed.KEY_BYTES):
            raise WireError("tune: a block key of another length")
        if made.ssrc == made.block_ssrc:
            raise WireError("tune: one SSRC for sound and blocks")
        if made.end_index is not None and made.end_index <= made.index0:
            raise WireError("tune: it ends before it starts")
        return made


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop a broadcast, all generations of it: at once, fading over `fade_ms`.

    `priority`: the broadcast's own. It says which right the signer needs, so that a key without EMERGENCY cannot
    silence an emergency.
    """

    broadcast_id: bytes
    fade_ms: int
    priority: int = 0

    def to_value(self) -> Value:
        """The action body."""
        return {1: self.broadcast_id, 2: self.fade_ms, 3: self.priority}

    @classmethod
    def from_fields(cls, f: Fields) -> Stop:
        """The stop that the action body says; WireError when it says none."""
        made = cls(f.octets(1, size=ID_BYTES), f.uint(2, most=10_000), f.uint(3, most=255))
        f.done()
        return made


@dataclass(frozen=True, slots=True)
class Order:
    """A signed command's meaning. Times are milliseconds of UTC; `seq` never repeats for one signer."""

    seq: int
    issued_ms: int
    expires_ms: int
    areas: tuple[bytes, ...]
    endpoints: tuple[bytes, ...]
    action: Tune | Stop

    def encode(self) -> bytes:
        """The canonical body."""
        kind = Action.TUNE if isinstance(self.action, Tune) else Action.STOP
        return canonical.encode(
            {
                1: self.seq,
                2: self.issued_ms,
                3: self.expires_ms,
                4: list(self.areas),
                5: list(self.endpoints),
                6: int(kind),
                7: self.action.to_value(),
            }
        )

    @classmethod
    def decode(cls, body: bytes) -> Order:
        """The order in `body`; WireError when there is none."""
        f = Fields(canonical.decode(body, max_bytes=signed.MAX_BODY_BYTES), "order")
        kind = f.uint(6, least=1, most=255)
        action: Tune | Stop
        if kind == Action.TUNE:
            action = Tune.from_fields(f.map(7))
        elif kind == Action.STOP:
            action = Stop.from_fields(f.map(7))
        else:
            raise WireError(f"order: action {kind} is not known")
        made = cls(
            seq=f.uint(1, least=1),
            issued_ms=f.uint(2),
            expires_ms=f.uint(3),
            areas=f.byte_strings(4, size=ID_BYTES, most=MAX_TARGETS),
            endpoints=f.byte_strings(5, size=ID_BYTES, most=MAX_TARGETS),
            action=action,
        )
        f.done()
        if not made.areas and not made.endpoints:
            raise WireError("order: no target")
        return made

    @property
    def right(self) -> Right:
        """What its signer must hold."""
        return Right.ORDER | Right.EMERGENCY if self.action.priority >= EMERGENCY_PRIORITY else Right.ORDER

    def targets(self, endpoint_id: bytes, place: Sequence[bytes]) -> bool:
        """Whether an endpoint with this id, in these areas, is meant."""
        return endpoint_id in self.endpoints or not set(self.areas).isdisjoint(place)


def order_id(signer: bytes, seq: int) -> bytes:
    """The 16-byte name of an order: its signer's key id and its sequence number."""
    return signer + seq.to_bytes(8, "big")


def seal_order(order: Order, key: SigningKey) -> bytes:
    """The order's envelope; ValueError when it is too large even for the link."""
    return signed.seal(Kind.ORDER, key, order.encode())


@dataclass(frozen=True, slots=True)
class Bundle:
    """An order's envelope with the certificates its signer needs: what travels by datagram and by link."""

    envelope: Envelope
    chain: tuple[bytes, ...] = ()

    def encode(self) -> bytes:
        """count 1 | (length 2 | certificate envelope)* | order envelope. ValueError for a chain too long."""
        if len(self.chain) > MAX_CHAIN:
            raise ValueError(f"a chain of {len(self.chain)} certificates")
        parts = [bytes((len(self.chain),))]
        for certificate in self.chain:
            parts += [len(certificate).to_bytes(2, "big"), certificate]
        return b"".join(parts) + self.envelope.encode()

    @classmethod
    def decode(cls, data: bytes) -> Bundle:
        """The bundle in `data`; WireError when there is none. Nothing is verified."""
        if not 1 <= len(data) <= MAX_BUNDLE_BYTES:
            raise WireError(f"an order bundle of {len(data)} bytes")
        count, at = data[0], 1
        if count > MAX_CHAIN:
            raise WireError("an order bundle with too many certificates")
        chain = []
        for _ in range(count):
            size = int.from_bytes(data[at : at + 2], "big")
            chain.append(data[at + 2 : at + 2 + size])
            at += 2 + size
            if at > len(data):
                raise WireError("an order bundle that is cut off")
        return cls(signed.parse(data[at:], Kind.ORDER), tuple(chain))
