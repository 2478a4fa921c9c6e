"""Orders as many endpoints of one process take them: each distinct bundle is verified once for all of them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

from loa.codecs.authority import Authority
from loa.codecs.order_wire import Bundle, Order, order_id
from loa.errors import AuthorityError, WireError

MAX_BUNDLES = 512


@dataclass(frozen=True, slots=True)
class SeenOrder:
    """A verified order."""

    order_id: bytes
    order: Order


class OrdersSeen:
    """Verified orders by their bytes. All endpoints hold one `authority`, so one look is good for all."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._seen: OrderedDict[bytes, SeenOrder | None] = OrderedDict()
        self.refused = 0
        self.messages: dict[Hashable, tuple[bytes, int]] = {}
        """Receipts as a link message, and how many, by what they say: thousands say the same. Its user bounds
        it."""

    def read(self, bundle: bytes, *, utc_ms: int, place: tuple[bytes, ...]) -> SeenOrder | None:
        """The order in a bundle; None, counted, for one that must not be obeyed at `place` or has expired."""
        if bundle in self._seen:
            seen = self._seen[bundle]
        else:
            seen = self._verified(bundle, utc_ms, place)
            self._seen[bundle] = seen
            if len(self._seen) > MAX_BUNDLES:
                self._seen.popitem(last=False)
        if seen is None or utc_ms > seen.order.expires_ms:
            self.refused += 1
            return None
        return seen

    def _verified(self, data: bytes, utc_ms: int, place: tuple[bytes, ...]) -> SeenOrder | None:
        try:
            bundle = Bundle.decode(data)
            order = Order.decode(bundle.envelope.body)
            self._authority.entitled(
                bundle.envelope, order.right, utc_s=utc_ms // 1000, place=place, chain=bundle.chain
            )
        except (WireError, AuthorityError):
            return None
        return SeenOrder(order_id(bundle.envelope.signer, order.seq), order)
