"""How orders came to one endpoint: by which doors, how soon, and when the core had its receipt."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from loa.app.load.member import NS_PER_MS, Member, Standing
from loa.app.load.orders_seen import SeenOrder
from loa.app.load.tally import OrderTimes
from loa.codecs.order_wire import Stop
from loa.model import ReceiptState, id_text

MAX_ORDERS = 64


@dataclass(slots=True)
class _Arrival:
    """One order here: where its times are counted, the doors it came by, whether its receipt is stored."""

    times: OrderTimes
    issued_ns: int
    doors: set[str] = field(default_factory=set)
    acked: bool = False


class Arrivals:
    """The orders of one endpoint, the newest MAX_ORDERS.

    Each is counted once for each door, and only if the endpoint was there when it was issued: to who comes later it
    comes later.
    """

    def __init__(self, member: Member) -> None:
        self._member = member
        self._orders: dict[bytes, _Arrival] = {}

    def note(self, seen: SeenOrder, door: str, at_utc_ns: int) -> None:
        """An order came by "datagram" or "link"."""
        member, order = self._member, seen.order
        held = self._orders.get(seen.order_id)
        if held is None:
            kind = "stop" if isinstance(order.action, Stop) else "tune"
            times = member.world.tally.order(
                seen.order_id.hex(), kind, id_text(order.action.broadcast_id), order.issued_ms
            )
            held = self._orders[seen.order_id] = _Arrival(times, order.issued_ms * NS_PER_MS)
            while len(self._orders) > MAX_ORDERS:
                del self._orders[next(iter(self._orders))]
        if door in held.doors:
            return
        if member.standing is Standing.BOUND and member.bound_utc_ns < held.issued_ns:
            took_us = (at_utc_ns - held.issued_ns) // 1000
            held.times.by_door[door].add(took_us)
            if not held.doors:
                held.times.first.add(took_us)
        held.doors.add(door)

    def acked(self, receipts: Iterable[tuple[bytes, int]]) -> None:
        """The core has stored these receipts."""
        member = self._member
        for order_id, state in receipts:
            member.world.tally.counts["receipts_acked"] += 1
            held = self._orders.get(order_id)
            if held is None or held.acked or state < ReceiptState.ACCEPTED:
                continue
            held.acked = True
            if member.bound_utc_ns < held.issued_ns:
                held.times.acknowledged.add((member.world.clock.utc_ns() - held.issued_ns) // 1000)
