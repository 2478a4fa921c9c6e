"""Sessions of endpoints that nobody has linked to."""

from __future__ import annotations

from loa.broadcast.air.hub import Session
from loa.broadcast.records import Endpoint
from loa.codecs.key_schedule import LinkKeys
from loa.model import EndpointKind


def session(number: int, *place: bytes) -> Session:
    """Endpoint `number`, in the last area of `place`, with the channel of the same number."""
    area = place[-1] if place else bytes(16)
    endpoint = Endpoint(
        id=number.to_bytes(16, "big"),
        kind=EndpointKind.SPEAKER,
        name=f"Cụm loa {number}",
        area_id=area,
        device_key=bytes(32),
        enrolled_ms=0,
        revoked_ms=None,
        placement_serial=1,
    )
    return Session(endpoint, place or (area,), number.to_bytes(8, "big"), LinkKeys(bytes(32), bytes(32)), 0, 1)
