"""Which orders have been accepted, so that none is obeyed twice (docs/protocol.md, *Orders*)."""

from __future__ import annotations

from dataclasses import dataclass, field

from loa.codecs import canonical
from loa.codecs.canonical import Fields, Value
from loa.codecs.order_wire import Stop, Tune
from loa.codecs.signed import KEY_ID_BYTES
from loa.errors import ConfigError, Refused, WireError
from loa.model import EMERGENCY_PRIORITY, ID_BYTES

MAX_IDS = 1024
MAX_SIGNERS = 64
MAX_STOPS = 256
_MAX_BYTES = 4 << 20
_HASH_BYTES = 32


@dataclass
class _Signer:
    floor: int = 0
    ids: dict[int, tuple[bytes, int]] = field(default_factory=dict)  # seq -> (digest, expires ms)


class OrderWindow:
    """For each signer the accepted ids, and the floor below which nothing is accepted; and what was stopped.

    Bounds: 1,024 ids a signer (the lowest go out first), 64 signers (one whose ids have all expired makes
    room: its orders would be refused as expired), 256 stops (the oldest go).
    """

    def __init__(self) -> None:
        self._signers: dict[bytes, _Signer] = {}
        self._stops: dict[bytes, tuple[int, bool]] = {}  # broadcast id -> issue time of its STOP, ms; emergency

    def copy(self) -> OrderWindow:
        """An independent copy."""
        made = OrderWindow()
        made._signers = {key: _Signer(each.floor, dict(each.ids)) for key, each in self._signers.items()}
        made._stops = dict(self._stops)
        return made

    def digest(self, signer: bytes, seq: int) -> bytes | None:
        """The hash under which this order was accepted; None when it was not, or is forgotten."""
        held = self._signers.get(signer)
        entry = held.ids.get(seq) if held else None
        return entry[0] if entry else None

    def check(self, signer: bytes, seq: int, utc_ms: int) -> None:
        """Refused unless a new order of this signer with this number may be accepted."""
        held = self._signers.get(signer)
        if held is None:
            if len(self._signers) >= MAX_SIGNERS and self._idle(utc_ms) is None:
                raise Refused("unsupported", f"more than {MAX_SIGNERS} signers")
            return
        if seq <= max([held.floor, *(s for s, (_, expires_ms) in held.ids.items() if expires_ms < utc_ms)]):
            raise Refused("replayed", f"number {seq} is at or below the floor")

    def add(self, signer: bytes, seq: int, digest: bytes, expires_ms: int, utc_ms: int) -> None:
        """Take an accepted order down, and forget what is over."""
        if signer not in self._signers and len(self._signers) >= MAX_SIGNERS:
            idle = self._idle(utc_ms)
            if idle is not None:
                del self._signers[idle]
        held = self._signers.setdefault(signer, _Signer())
        held.ids[seq] = (digest, expires_ms)
        gone = [s for s, (_, expires) in held.ids.items() if expires < utc_ms]
        kept = len(held.ids) - len(gone)
        if kept > MAX_IDS:
            gone += sorted(set(held.ids).difference(gone))[: kept - MAX_IDS]
        for each in gone:
            del held.ids[each]
            held.floor = max(held.floor, each)

    def stop(self, stop: Stop, issued_ms: int) -> None:
        """A broadcast was stopped by an order issued then."""
        before_ms, emergency = self._stops.pop(stop.broadcast_id, (0, False))
        emergency = emergency or stop.priority >= EMERGENCY_PRIORITY
        self._stops[stop.broadcast_id] = (max(issued_ms, before_ms), emergency)
        while len(self._stops) > MAX_STOPS:
            del self._stops[next(iter(self._stops))]

    def stopped(self, tune: Tune, issued_ms: int) -> bool:
        """Whether a TUNE issued then is older than the broadcast's STOP, which had the right to stop it."""
        stop_ms, emergency = self._stops.get(tune.broadcast_id, (-1, False))
        return issued_ms <= stop_ms and (emergency or tune.priority < EMERGENCY_PRIORITY)

    def _idle(self, utc_ms: int) -> bytes | None:
        for signer, held in self._signers.items():
            if all(expires_ms < utc_ms for _, expires_ms in held.ids.values()):
                return signer
        return None

    def encode(self) -> bytes:
        """The bytes to keep."""
        signers: list[Value] = []
        for signer, held in self._signers.items():
            ids: list[Value] = [[seq, digest, expires] for seq, (digest, expires) in held.ids.items()]
            signers.append({0: signer, 1: held.floor, 2: ids})
        stops: list[Value] = [[name, at_ms, int(emergency)] for name, (at_ms, emergency) in self._stops.items()]
        return canonical.encode({0: 1, 1: signers, 2: stops})

    @classmethod
    def decode(cls, data: bytes) -> OrderWindow:
        """The window in kept bytes. ConfigError when they are damaged: an empty one would obey old orders again."""
        try:
            return cls._decode(data)
        except WireError as error:
            raise ConfigError(f"the file of accepted orders is damaged: {error}") from error

    @classmethod
    def _decode(cls, data: bytes) -> OrderWindow:
        made = cls()
        f = Fields(canonical.decode(data, max_bytes=_MAX_BYTES), "order window")
        f.uint(0, least=1, most=1)
        for value in f.array(1, most=MAX_SIGNERS):
            s = Fields(value, "order window.1")
            held = made._signers[s.octets(0, size=KEY_ID_BYTES)] = _Signer(s.uint(1))
            for entry in s.array(2, most=MAX_IDS):
                match entry:
                    case [int(seq), bytes(digest), int(expires)] if len(digest) == _HASH_BYTES:
                        held.ids[seq] = (digest, expires)
                    case _:
                        raise WireError("an entry of another form")
        for entry in f.array(2, most=MAX_STOPS):
            match entry:
                case [bytes(broadcast_id), int(issued_ms), int(emergency)] if len(broadcast_id) == ID_BYTES:
                    made._stops[broadcast_id] = (issued_ms, bool(emergency))
                case _:
                    raise WireError("a stop of another form")
        f.done()
        return made
