"""Endpoints of a crowd that bind an address, and answer each order at once, by whichever way it comes first.

What came by datagram has the kernel's time; what came by link, that of its being read.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from benchmarks.addresses import Addresses
from benchmarks.link_end import LinkEnd
from loa.codecs import canonical, channel_wire, link_wire, order_wire
from loa.codecs.channel_wire import Type
from loa.codecs.link_wire import OrderMessage, Receipt, ReceiptsMessage
from loa.codecs.order_wire import Bundle, Order
from loa.model import ReceiptState

SOUND_AT = 0
"""The endpoint that hears sound."""
BIND_AT_ONCE = 250
KEEPALIVE_S = 15.0


class Seen:
    """One order: when it came first to each endpoint (UTC, ns), and what answers it."""

    def __init__(self, bundle: bytes) -> None:
        envelope = Bundle.decode(bundle).envelope
        order_id = order_wire.order_id(envelope.signer, Order.decode(envelope.body).seq)
        steps = (ReceiptState.RECEIVED, ReceiptState.ACCEPTED)
        self.answer = link_wire.encode(ReceiptsMessage(tuple(Receipt(order_id, step, 0) for step in steps)))
        self.action = type(Order.decode(envelope.body).action).__name__
        self.first: dict[int, int] = {}

    def come(self, end: LinkEnd, at_ns: int) -> None:
        """It has come to an endpoint; the first time it is answered."""
        if end.number not in self.first:
            end.send(self.answer)
        # What the kernel had first may be read last.
        self.first[end.number] = min(at_ns, self.first.get(end.number, at_ns))


class Obedient:
    """The endpoints of a crowd."""

    def __init__(self, ends: Mapping[int, LinkEnd]) -> None:
        self._ends = ends
        self._addresses = Addresses(self._heard, sound_at=SOUND_AT)
        self._unbound: set[int] = set()
        self._news = asyncio.Event()
        self.orders: dict[bytes, Seen] = {}
        self.sound_ns: list[int] = []
        self.deaf = False
        """Orders by datagram are not heard."""
        self.staying: asyncio.Task[None] | None = None

    async def bind(self) -> None:
        """Bind an address for each; returns when all are bound."""
        self._unbound = set(self._ends)
        while self._unbound:
            self._unbound &= self._ends.keys()  # a link that was lost has no address
            for number in sorted(self._unbound)[:BIND_AT_ONCE]:
                self._send(number, Type.KEEPALIVE, channel_wire.padded(b""))
            before = len(self._unbound)
            try:
                async with asyncio.timeout(0.5):
                    while len(self._unbound) > max(0, before - BIND_AT_ONCE):
                        self._news.clear()
                        await self._news.wait()
            except TimeoutError:
                continue
        self.staying = asyncio.create_task(self._stay())

    def forget(self) -> None:
        """What has been seen so far."""
        self.orders.clear()
        self.sound_ns.clear()

    def report(self) -> dict[str, object]:
        """When orders came, and sound: UTC, ns."""
        return {
            "orders": [
                {
                    "action": seen.action,
                    "missed": len(self._ends) - len(seen.first),
                    "last_ns": max(seen.first.values()),
                }
                for seen in self.orders.values()
            ],
            "sound_ns": self.sound_ns,
        }

    def message(self, end: LinkEnd, payload: memoryview) -> None:
        """A message came by link."""
        if payload[2] == OrderMessage.TYPE:
            value = canonical.decode(bytes(payload), max_bytes=link_wire.MAX_MESSAGE_BYTES)
            assert isinstance(value, dict)
            bundle = value[1]
            assert isinstance(bundle, bytes)
            self._seen(bundle).come(end, time.time_ns())

    def _heard(self, number: int, data: bytes, at_ns: int) -> None:
        if data[0] != channel_wire.MAGIC:
            self.sound_ns.append(at_ns)
        elif data[1] == Type.ORDER and not self.deaf:
            if (end := self._ends.get(number)) is not None:
                self._seen(data[2:]).come(end, at_ns)
        elif data[1] == Type.CHALLENGE:
            self._send(number, Type.ECHO, channel_wire.parse(data).payload)
            self._send(number, Type.KEEPALIVE, channel_wire.padded(b""))
        elif data[1] == Type.BOUND:
            self._unbound.discard(number)
            self._news.set()

    def _seen(self, bundle: bytes) -> Seen:
        seen = self.orders.get(bundle)
        if seen is None:
            seen = self.orders[bundle] = Seen(bundle)
        return seen

    def _send(self, number: int, kind: Type, payload: bytes) -> None:
        end = self._ends.get(number)
        if end is None or end.keys is None:
            return
        data = channel_wire.encode(kind, end.channel_id, end.counter, payload, end.keys.channel_secret)
        end.counter += 1
        self._addresses.send(number, data, end.media_port)

    async def _stay(self) -> None:
        turns = 100
        while True:
            for turn in range(turns):
                await asyncio.sleep(KEEPALIVE_S / turns)
                for number in list(self._ends)[turn::turns]:
                    self._send(number, Type.KEEPALIVE, channel_wire.padded(b""))
