"""Orders on their way to endpoints: one datagram that the media process repeats until it is answered, and the link.

The datagram goes first: the links of ten thousand endpoints take some turns of the event loop, and whoever answers
the datagram meanwhile needs no second copy. Who has answered is told to the media process once a turn, however many
answer in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from loa.broadcast.air.hub import Hub
from loa.broadcast.air.media_port import Command, SendOrder, SettleOrder
from loa.broadcast.air.order_repeats import LONGEST_NS
from loa.broadcast.air.session import Session
from loa.broadcast.orders.book import IssuedOrder
from loa.codecs.link_wire import Receipt
from loa.model import ReceiptState

MAX_REPEATING = 1024
"""Orders whose answers are waited for; with more, the first are repeated to whoever has answered too."""
_FORGET_S = LONGEST_NS / 1e9 + 0.5
"""After the last repeat nobody's answer changes anything."""


class OrderSender:
    """Sends orders, and stops repeating them to those who have answered."""

    def __init__(self, hub: Hub, tell_media: Callable[[Command], None]) -> None:
        """`tell_media`: sends a command to the media process if there is one; it does not raise."""
        self._hub = hub
        self._tell_media = tell_media
        self._repeating: dict[bytes, set[bytes]] = {}
        self._settled: dict[bytes, list[bytes]] = {}

    def send(self, order: IssuedOrder, sessions: Sequence[Session]) -> None:
        """Send an order by both ways."""
        channels = tuple(session.channel_id for session in sessions)
        if order.datagram is not None and channels:
            self._tell_media(SendOrder(order.order_id, order.datagram, channels))
            waiting = self._repeating[order.order_id] = set(channels)
            while len(self._repeating) > MAX_REPEATING:
                self.forget(next(iter(self._repeating)))
            asyncio.get_running_loop().call_later(_FORGET_S, self.forget, order.order_id)
            self._hub.order(sessions, order.bundle, unless=lambda session: session.channel_id not in waiting)
        else:
            self._hub.order(sessions, order.bundle)

    def answered(self, session: Session, receipts: Sequence[Receipt]) -> None:
        """An endpoint answered: its orders need not be repeated."""
        for receipt in receipts:
            waiting = self._repeating.get(receipt.order_id)
            # A refusal may be of false bytes that somebody sent under the order's name: the true ones go on.
            if receipt.state == ReceiptState.REFUSED or waiting is None or session.channel_id not in waiting:
                continue
            waiting.discard(session.channel_id)
            if not self._settled:
                asyncio.get_running_loop().call_soon(self._settle)
            self._settled.setdefault(receipt.order_id, []).append(session.channel_id)

    def _settle(self) -> None:
        settled, self._settled = self._settled, {}
        for order_id, channels in settled.items():
            self._tell_media(SettleOrder(order_id, tuple(channels)))
            if not self._repeating.get(order_id):
                self.forget(order_id)

    def left(self, session: Session) -> None:
        """Its channel is gone: nobody waits for its answers."""
        for waiting in self._repeating.values():
            waiting.discard(session.channel_id)

    def forget(self, order_id: bytes) -> None:
        """Wait for no answers to this order any more."""
        self._repeating.pop(order_id, None)

    def clear(self) -> None:
        """The media process is another: it repeats nothing."""
        self._repeating.clear()
