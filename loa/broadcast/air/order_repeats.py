"""Order datagrams on their way: sent at once, and again until their channels have answered."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from loa.broadcast.air.address_book import AddressBook
from loa.broadcast.air.address_table import AddressTable
from loa.broadcast.air.listeners import Listeners
from loa.broadcast.air.media_port import SendOrder

REPEATS_NS = tuple(ms * 1_000_000 for ms in (0, 50, 150, 400, 1_000))
MAX_ORDERS = 1_000


@dataclass(slots=True)
class _Order:
    datagram: bytes
    listeners: Listeners
    began_ns: int
    done: int = 0

    @property
    def next_ns(self) -> int:
        return self.began_ns + REPEATS_NS[self.done]


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
        self._orders[order.order_id] = _Order(order.datagram, Listeners(order.channels, self._book), now_ns)
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
        """Datagram, receivers and due instant of what is to be sent now. Repeats that were missed fall away.

        An order is sent to addresses, too, that rest because the kernel has refused them.
        """
        out: list[tuple[bytes, AddressTable, int]] = []
        for order_id, order in list(self._orders.items()):
            if order.next_ns > now_ns:
                continue
            due_ns = order.next_ns
            out.append((order.datagram, order.listeners.settle(None), due_ns))
            order.done = sum(1 for at_ns in REPEATS_NS if order.began_ns + at_ns <= now_ns)
            if order.done == len(REPEATS_NS):
                del self._orders[order_id]
        return out
