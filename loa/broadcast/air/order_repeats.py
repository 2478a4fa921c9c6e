"""Order datagrams on their way: sent at once, and again until their channels have answered.

The first time an order goes to all together, since nothing is more urgent. A repeat goes to some of them at a time:
most answers to an order for thousands are on their way still when its first repeat is due, and whoever has answered
by his turn needs none, and has not to answer it again. So a repeat never takes a whole tick from the sound.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from loa.broadcast.air.address_book import AddressBook
from loa.broadcast.air.address_table import AddressTable
from loa.broadcast.air.channels import MAX_CHANNELS
from loa.broadcast.air.listeners import Listeners
from loa.broadcast.air.media_port import SendOrder

REPEATS_NS = tuple(ms * 1_000_000 for ms in (0, 50, 150, 400, 1_000))
REPEATED_AT_ONCE = 500
"""So many receivers of an order are repeated to at a time …"""
PAUSE_NS = 20_000_000
"""… and the next ones after this. Repeats that come due meanwhile fall away."""
LONGEST_NS = REPEATS_NS[-1] + -(-MAX_CHANNELS // REPEATED_AT_ONCE) * PAUSE_NS
"""When the last repeat of an order has been sent."""
MAX_ORDERS = 1_000


@dataclass(slots=True)
class _Order:
    datagram: bytes
    listeners: Listeners
    began_ns: int
    next_ns: int
    first: int = 0
    """The slot from which on a repeat goes on; 0: none is under way."""


class OrderRepeats:
    """The orders that may have to be repeated, at most MAX_ORDERS."""

    def __init__(self, book: AddressBook) -> None:
        """`book`: of the channels that orders are for."""
        self._book = book
        self._orders: dict[bytes, _Order] = {}

    def add(self, order: SendOrder, now_ns: int) -> bool:
        """Begin to send; an id that is on its way begins anew. False: there are MAX_ORDERS."""
        if order.order_id not in self._orders and len(self._orders) >= MAX_ORDERS:
            return False
        self._orders[order.order_id] = _Order(order.datagram, Listeners(order.channels, self._book), now_ns, now_ns)
        return True

    def settle(self, order_id: bytes, channels: Iterable[bytes]) -> None:
        """These channels have answered."""
        order = self._orders.get(order_id)
        if order is None:
            return
        order.listeners.leave(channels)
        if not order.listeners:
            del self._orders[order_id]

    def next_due_ns(self) -> int | None:
        """When the next repeat is due."""
        return min((order.next_ns for order in self._orders.values()), default=None)

    def due(self, now_ns: int) -> list[tuple[bytes, AddressTable, int]]:
        """Datagram, receivers and due instant of what is to be sent now. Tables are good until the next call.

        An order is sent to addresses, too, that rest because the kernel has refused them.
        """
        out: list[tuple[bytes, AddressTable, int]] = []
        for order_id, order in list(self._orders.items()):
            if order.next_ns > now_ns:
                continue
            due_ns = order.next_ns
            whole = due_ns == order.began_ns
            table = order.listeners.settle(None) if whole else order.listeners.part(order.first, REPEATED_AT_ONCE)
            out.append((order.datagram, table, due_ns))
            if not whole and len(table) == REPEATED_AT_ONCE:
                order.first, order.next_ns = int(table.slots[-1]) + 1, now_ns + PAUSE_NS
                continue
            later = [order.began_ns + at_ns for at_ns in REPEATS_NS if order.began_ns + at_ns > now_ns]
            if later:
                order.first, order.next_ns = 0, later[0]
            else:
                del self._orders[order_id]
        return out
