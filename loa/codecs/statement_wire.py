"""What the server says of time, place and itself, signed with the LINK right (docs/protocol.md, *Statements*)."""

from __future__ import annotations

from dataclasses import dataclass

from loa.codecs import canonical, signed
from loa.codecs.canonical import Fields, Value
from loa.codecs.channel_wire import CHANNEL_ID_BYTES
from loa.codecs.key_schedule import NONCE_BYTES
from loa.codecs.order_wire import EPOCH_BYTES
from loa.codecs.signed import KEY_BYTES, Kind, SigningKey
from loa.model import ID_BYTES

MAX_DEPTH_OF_AREAS = 16
_MAX_BODY = signed.MAX_BODY_BYTES
_TIME = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Beacon:
    """At origin time `origin_ns` of `epoch` it was `utc_ns` (nanoseconds since 1970, UTC)."""

    epoch: bytes
    origin_ns: int
    utc_ns: int

    def seal(self, key: SigningKey) -> bytes:
        """The envelope."""
        return signed.seal(Kind.BEACON, key, canonical.encode({1: self.epoch, 2: self.origin_ns, 3: self.utc_ns}))

    @classmethod
    def decode(cls, body: bytes) -> Beacon:
        """The beacon in `body`; WireError when there is none."""
        f = Fields(canonical.decode(body, max_bytes=_MAX_BODY), "beacon")
        made = cls(f.octets(1, size=EPOCH_BYTES), f.uint(2, most=_TIME), f.uint(3, most=_TIME))
        f.done()
        return made


@dataclass(frozen=True, slots=True)
class Placement:
    """Where an endpoint stands. `areas`: from the top of the tree down; a higher `serial` replaces a lower."""

    endpoint_id: bytes
    serial: int
    areas: tuple[bytes, ...]
    trim_us: int = 0

    def seal(self, key: SigningKey) -> bytes:
        """The envelope."""
        value: dict[int, Value] = {1: self.endpoint_id, 2: self.serial, 3: list(self.areas), 4: self.trim_us}
        return signed.seal(Kind.PLACEMENT, key, canonical.encode(value))

    @classmethod
    def decode(cls, body: bytes) -> Placement:
        """The placement in `body`; WireError when there is none."""
        f = Fields(canonical.decode(body, max_bytes=_MAX_BODY), "placement")
        made = cls(
            f.octets(1, size=ID_BYTES),
            f.uint(2),
            f.byte_strings(3, size=ID_BYTES, most=MAX_DEPTH_OF_AREAS),
            f.uint(4, least=-1_000_000, most=1_000_000),
        )
        f.done()
        return made


@dataclass(frozen=True, slots=True)
class Welcome:
    """The server's half of the link's handshake: fresh (it holds the hello's hash), and signed."""

    hello_hash: bytes
    nonce_s: bytes
    agreement_public: bytes
    endpoint_id: bytes
    channel_id: bytes
    beacon: Beacon
    media_host: str
    media_port: int

    def seal(self, key: SigningKey) -> bytes:
        """The envelope. An empty media host means: the host of the link."""
        value: dict[int, Value] = {
            1: self.hello_hash,
            2: self.nonce_s,
            3: self.agreement_public,
            4: self.endpoint_id,
            5: self.channel_id,
            6: self.beacon.epoch,
            7: self.beacon.origin_ns,
            8: self.beacon.utc_ns,
            9: self.media_host,
            10: self.media_port,
        }
        return signed.seal(Kind.WELCOME, key, canonical.encode(value))

    @classmethod
    def decode(cls, body: bytes) -> Welcome:
        """The welcome in `body`; WireError when there is none."""
        f = Fields(canonical.decode(body, max_bytes=_MAX_BODY), "welcome")
        made = cls(
            hello_hash=f.octets(1, size=32),
            nonce_s=f.octets(2, size=NONCE_BYTES),
            agreement_public=f.octets(3, size=KEY_BYTES),
            endpoint_id=f.octets(4, size=ID_BYTES),
            channel_id=f.octets(5, size=CHANNEL_ID_BYTES),
            beacon=Beacon(f.octets(6, size=EPOCH_BYTES), f.uint(7, most=_TIME), f.uint(8, most=_TIME)),
            media_host=f.text(9, most=255),
            media_port=f.uint(10, least=1, most=65_535),
        )
        f.done()
        return made
