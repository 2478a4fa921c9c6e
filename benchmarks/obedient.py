"""An endpoint of a crowd: it answers each order once, by whichever way that comes first, and plays nothing.

What came by datagram has the kernel's time; what came by link, that of its being read.
"""

from __future__ import annotations

from collections import Counter

from loa.app.load.addressed import Addressed
from loa.app.load.link import Link
from loa.app.load.member import Standing
from loa.codecs import link_wire, order_wire
from loa.codecs.channel_wire import MAGIC, Type
from loa.codecs.link_wire import Receipt, ReceiptsAck, ReceiptsMessage
from loa.codecs.order_wire import Bundle, Order, Tune
from loa.codecs.rtp import parse_header
from loa.edge.speaker.link_session import Event, MediaArrived
from loa.model import ReceiptState
from loa.timing.line import samples_to_ns


class SeenOrder:
    """One order: when it came first to each endpoint (UTC, ns), and what answers it."""

    def __init__(self, bundle: bytes) -> None:
        envelope = Bundle.decode(bundle).envelope
        self.order = Order.decode(envelope.body)
        order_id = order_wire.order_id(envelope.signer, self.order.seq)
        steps = (ReceiptState.RECEIVED, ReceiptState.ACCEPTED)
        self.answer = link_wire.encode(ReceiptsMessage(tuple(Receipt(order_id, step, 0) for step in steps)))
        self.first: dict[int, int] = {}


class Seen:
    """What the endpoints of a process were told and heard."""

    def __init__(self) -> None:
        self.orders: dict[bytes, SeenOrder] = {}
        self.sound_ns: list[int] = []
        """When sound came as datagrams, UTC."""
        self.deaf = False
        """Orders by datagram are not heard."""
        self.lags_ms: list[float] = []
        """How late packets by link were read."""
        self.came: Counter[int] = Counter()

    def order(self, bundle: bytes) -> SeenOrder:
        """An order by its bundle."""
        seen = self.orders.get(bundle)
        if seen is None:
            seen = self.orders[bundle] = SeenOrder(bundle)
        return seen

    def note_lag(self, number: int, now_ns: int, due_ns: int) -> None:
        """A packet was read that was due then."""
        self.lags_ms.append((now_ns - due_ns) / 1e6)
        self.came[number] += 1

    def report(self, endpoints: int) -> dict[str, object]:
        """When orders came, and sound: UTC, ns."""
        return {
            "orders": [
                {
                    "action": type(seen.order.action).__name__,
                    "missed": endpoints - len(seen.first),
                    "last_ns": max(seen.first.values()),
                }
                for seen in self.orders.values()
            ],
            "sound_ns": self.sound_ns,
        }


class Obedient(Addressed):
    """See above."""

    seen: Seen

    def link_message(self, link: Link, data: bytes) -> None:
        """See LinkOwner. Nothing here waits for the word that a receipt is stored: it is not looked into."""
        if self.standing < Standing.LINKED or data[2] != ReceiptsAck.TYPE:
            super().link_message(link, data)

    def datagram(self, data: bytes, at_utc_ns: int) -> None:
        """See Addressed."""
        if data[0] != MAGIC:
            self.seen.sound_ns.append(at_utc_ns)
        elif data[1] != Type.ORDER or not self.seen.deaf:
            super().datagram(data, at_utc_ns)

    def on_order(self, bundle: bytes, door: str, at_utc_ns: int, now_ns: int) -> None:
        """See Addressed."""
        seen = self.seen.order(bundle)
        first_ns = seen.first.get(self.number)
        if first_ns is None:
            self.send(seen.answer)
        # What the kernel had first may be read last.
        seen.first[self.number] = at_utc_ns if first_ns is None else min(at_utc_ns, first_ns)

    def on_event(self, event: Event, now_ns: int) -> None:
        """See Member. Packets by link are held against the instant at which they are due."""
        super().on_event(event, now_ns)
        if not isinstance(event, MediaArrived):
            return
        tunes = {
            seen.order.action.ssrc: seen.order.action
            for seen in self.seen.orders.values()
            if isinstance(seen.order.action, Tune)
        }
        for packet in event.packets:
            header = parse_header(packet)[0]
            tune = tunes.get(header.ssrc)
            if tune is not None:
                number = (header.sequence - tune.index0) % (1 << 16)
                self.seen.note_lag(self.number, now_ns, tune.start_ns + samples_to_ns(number * tune.frame_samples))
