"""Receipts wait here, on disk, until the server has stored them (docs/protocol.md, *Receipts*)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from loa.codecs import canonical
from loa.codecs.canonical import Fields
from loa.codecs.link_wire import Receipt
from loa.errors import ConfigError, WireError
from loa.model import ReceiptState

MAX_RECEIPTS = 1000
ACK_WAIT_NS = 5_000_000_000
"""A server that could not store receipts does not acknowledge them on this link; later ones it may."""
_MAX_BYTES = 1 << 20
_Key = tuple[bytes, int]


class ReceiptsOutbox:
    """Receipts by order and state, oldest first; the states of one order only go up.

    On a link the next ones go when the server has acknowledged the last, or has not within ACK_WAIT_NS. So one that
    is slow is told much at once, and what waits, waits here.

    At most 1,000 wait: refusals go first, then the oldest finished, then the oldest. Refusals are not written
    down: a forger could else wear out the disk. `save` is called with the bytes to keep, and may raise StoreError.
    """

    def __init__(self, save: Callable[[bytes], None], saved: bytes | None = None) -> None:
        """`saved`: what `save` was last given. ConfigError when it is damaged."""
        self._save = save
        self._waiting: dict[_Key, Receipt] = {}
        self._unsent: dict[_Key, None] = {}  # a set that keeps its order
        self._sent: dict[_Key, None] = {}  # on this link
        self._asked: set[_Key] = set()  # the last that were sent, as far as they are not acknowledged
        self._asked_ns = 0
        self._last: dict[bytes, Receipt] = {}  # the highest of each order, acknowledged ones too
        self.evicted = 0
        for receipt in _decode(saved) if saved is not None else []:
            self._hold(receipt)

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, receipt: Receipt, *, more: bool = False) -> bool:
        """Take a receipt; False when its order stands at this state or a higher one already. With `more` it is
        written down together with the one that follows at once.

        No order that was accepted is refused later, and one that was refused may be accepted: a forger had used
        its name. StoreError when it cannot be written down; it waits in memory all the same.
        """
        last = self._last.get(receipt.order_id)
        if last is not None:
            revived = last.state == ReceiptState.REFUSED and receipt.state in (
                ReceiptState.RECEIVED,
                ReceiptState.ACCEPTED,
            )
            if receipt.state == ReceiptState.REFUSED or (receipt.state <= last.state and not revived):
                return False
            self._drop((receipt.order_id, ReceiptState.REFUSED))
        self._hold(receipt)
        while len(self._waiting) > MAX_RECEIPTS:
            self._evict()
        if receipt.state != ReceiptState.REFUSED and not more:
            self._keep()
        return True

    def again(self, order_id: bytes) -> bool:
        """Send the order's highest receipt once more, unless it was sent on this link; False when none is known.

        A link loses nothing: who repeats an order has not read yet what is on its way.
        """
        last = self._last.get(order_id)
        if last is None:
            return False
        key = (order_id, int(last.state))
        if key not in self._sent:
            self._waiting[key] = last
            self._unsent[key] = None
        return True

    def acked(self, receipts: Iterable[tuple[bytes, int]]) -> None:
        """Forget what the server has stored."""
        kept = False
        for order_id, state in receipts:
            held = self._waiting.get((order_id, state))
            self._drop((order_id, state))
            self._asked.discard((order_id, state))
            kept = kept or (held is not None and held.state != ReceiptState.REFUSED)
        if kept:
            self._keep()

    def new_link(self) -> None:
        """All that waits is to be sent again."""
        self._unsent = dict.fromkeys(self._waiting)
        self._sent.clear()
        self._asked.clear()

    def take_unsent(self, now_ns: int) -> list[Receipt]:
        """What is to be sent on this link now, oldest first. `now_ns`: monotonic."""
        if self._asked and now_ns < self._asked_ns + ACK_WAIT_NS:
            return []
        self._asked, self._asked_ns = set(self._unsent), now_ns
        unsent = [self._waiting[key] for key in self._unsent]
        self._sent |= self._unsent
        while len(self._sent) > MAX_RECEIPTS:
            del self._sent[next(iter(self._sent))]
        self._unsent.clear()
        return unsent

    def _hold(self, receipt: Receipt) -> None:
        key = (receipt.order_id, int(receipt.state))
        self._waiting[key] = receipt
        self._unsent[key] = None
        self._last.pop(receipt.order_id, None)
        self._last[receipt.order_id] = receipt
        while len(self._last) > MAX_RECEIPTS:
            del self._last[next(iter(self._last))]

    def _drop(self, key: _Key) -> None:
        self._waiting.pop(key, None)
        self._unsent.pop(key, None)

    def _evict(self) -> None:
        worth = {int(ReceiptState.REFUSED): 0, int(ReceiptState.FINISHED): 1}
        # min() gives the first of equals, and a dict keeps its order: the oldest.
        self._drop(min(self._waiting, key=lambda key: worth.get(key[1], 2)))
        self.evicted += 1

    def _keep(self) -> None:
        kept = [r.to_value() for r in self._waiting.values() if r.state != ReceiptState.REFUSED]
        self._save(canonical.encode(kept))


def _decode(saved: bytes) -> list[Receipt]:
    try:
        values = canonical.decode(saved, max_bytes=_MAX_BYTES)
        if not isinstance(values, list):
            raise WireError("not an array")
        return [Receipt.from_fields(Fields(value, "receipt")) for value in values[:MAX_RECEIPTS]]
    except WireError as error:
        raise ConfigError(f"the file of waiting receipts is damaged: {error}") from error
