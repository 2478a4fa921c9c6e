"""Sessions over transports that only write down what they are told."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from loa.broadcast.air.session import Session
from loa.broadcast.records import Endpoint
from loa.codecs import link_wire
from loa.codecs.key_schedule import LinkKeys
from loa.codecs.link_wire import Message
from loa.errors import LinkError
from loa.model import EndpointKind


@dataclass
class Wire:
    """A transport: what was sent, and what is to be received."""

    sent: list[bytes] = field(default_factory=list)
    unsent_bytes: int = 0
    gone: bool = False
    coming: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)

    async def receive(self) -> bytes:
        return await self.coming.get()

    def send(self, message: bytes) -> None:
        if self.gone:
            raise LinkError("closed")
        self.sent.append(message)

    async def close(self) -> None:
        self.gone = True

    @property
    def said(self) -> list[Message]:
        return [link_wire.decode(message) for message in self.sent]


def session(number: int = 1, *place: bytes, wire: Wire | None = None) -> Session:
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
    keys = LinkKeys(bytes(32), bytes(16))
    return Session(endpoint, place or (area,), number.to_bytes(8, "big"), keys, 0, 1, wire or Wire())
