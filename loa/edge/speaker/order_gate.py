"""What an endpoint does with an order bundle before it obeys (docs/protocol.md, *Orders*).

The seven steps, in their order. Nothing is acted on before `save` has returned.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from loa.codecs import canonical
from loa.codecs.authority import Authority
from loa.codecs.canonical import Fields
from loa.codecs.order_wire import MAX_BUNDLE_BYTES, Action, Bundle, Order, Stop, Tune, order_id
from loa.edge.speaker.order_window import OrderWindow
from loa.errors import Refused, WireError
from loa.timing.token_bucket import TokenBucket

MAX_AHEAD_MS = 60_000
REFUSALS_A_SECOND = 10


@dataclass(frozen=True, slots=True)
class Accepted:
    """An order to obey. `superseded`: a STOP that is younger than this TUNE came before it, so it plays nothing."""

    order_id: bytes
    order: Order
    superseded: bool = False


@dataclass(frozen=True, slots=True)
class Repeated:
    """An order accepted before: its receipt is to be sent again.

    `resume`: the TUNE it is, unless it has expired or was stopped. An endpoint that has not obeyed it since its
    own start takes it up again: it was switched off in the middle of the broadcast.
    """

    order_id: bytes
    resume: Tune | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """An order that is not obeyed. `order_id` is None when the bundle does not even name one, or when the
    refusals of this second are spent: then it is only counted."""

    order_id: bytes | None
    reason: str
    detail: str


Verdict = Accepted | Repeated | Refusal


class OrderGate:
    """The one way by which orders come in. Pure but for `save`, which keeps the window; it may raise StoreError."""

    def __init__(
        self, authority: Authority, endpoint_id: bytes, save: Callable[[bytes], None], saved: bytes | None = None
    ) -> None:
        """`saved`: what `save` was last given. ConfigError when it is damaged."""
        self._authority = authority
        self._endpoint_id = endpoint_id
        self._save = save
        self._window = OrderWindow.decode(saved) if saved is not None else OrderWindow()
        self._refusals = TokenBucket(REFUSALS_A_SECOND, REFUSALS_A_SECOND)
        self.accepted = 0
        self.refused = 0
        self.unanswered = 0

    def judge(
        self,
        data: bytes,
        *,
        now_ns: int,
        utc_ms: int | None,
        place: Sequence[bytes],
        playable: Callable[[Tune | Stop], bool] = lambda _: True,
    ) -> Verdict:
        """The verdict on one bundle.

        `now_ns`: local time, for the rate of refusals. `utc_ms`: trusted UTC, None for none. `place`: this
        endpoint's areas. `playable`: whether it can do what the order wants at all. StoreError from `save`
        passes through, and then the order has not been accepted.
        """
        named: bytes | None = None
        try:
            bundle = _parsed(data)
            named = _name(bundle)
            order = _order(bundle)
            digest = hashlib.sha256(bundle.envelope.encode()).digest()
            known = self._window.digest(bundle.envelope.signer, order.seq)
            if known is not None:
                if known != digest:
                    raise Refused("replayed", "other bytes under the same order id")
                return self._repeated(order_id(bundle.envelope.signer, order.seq), order, utc_ms)
            self._check(bundle, order, utc_ms, place, playable)
            assert utc_ms is not None
            return self._accept(bundle, order, digest, utc_ms)
        except Refused as refused:
            return self._refusal(named, refused, now_ns)

    def _check(
        self,
        bundle: Bundle,
        order: Order,
        utc_ms: int | None,
        place: Sequence[bytes],
        playable: Callable[[Tune | Stop], bool],
    ) -> None:
        if utc_ms is None:
            raise Refused("no_trusted_time")
        utc_s = utc_ms // 1000
        self._authority.entitled(bundle.envelope, order.right, utc_s=utc_s, place=place, chain=bundle.chain)
        if utc_ms > order.expires_ms:
            raise Refused("expired", f"{utc_ms - order.expires_ms} ms ago")
        if order.issued_ms - utc_ms > MAX_AHEAD_MS:
            raise Refused("not_yet_valid", f"issued {order.issued_ms - utc_ms} ms ahead")
        self._window.check(bundle.envelope.signer, order.seq, utc_ms)
        if not order.targets(self._endpoint_id, place):
            raise Refused("not_targeted")
        if not playable(order.action):
            raise Refused("unsupported", "it cannot be played here")

    def _repeated(self, named: bytes, order: Order, utc_ms: int | None) -> Repeated:
        action = order.action
        over = utc_ms is None or utc_ms > order.expires_ms
        if isinstance(action, Stop) or over or self._window.stopped(action, order.issued_ms):
            return Repeated(named)
        return Repeated(named, action)

    def _accept(self, bundle: Bundle, order: Order, digest: bytes, utc_ms: int) -> Accepted:
        # The window on disk is always as new as the one in memory: what cannot be written down has not happened.
        changed = self._window.copy()
        changed.add(bundle.envelope.signer, order.seq, digest, order.expires_ms, utc_ms)
        superseded = False
        if isinstance(order.action, Stop):
            changed.stop(order.action, order.issued_ms)
        else:
            superseded = changed.stopped(order.action, order.issued_ms)
        self._save(changed.encode())
        self._window = changed
        self.accepted += 1
        return Accepted(order_id(bundle.envelope.signer, order.seq), order, superseded)

    def _refusal(self, named: bytes | None, refused: Refused, now_ns: int) -> Refusal:
        self.refused += 1
        if named is None or not self._refusals.take(now_ns):
            self.unanswered += 1
            named = None
        return Refusal(named, refused.reason, refused.detail)


def _parsed(data: bytes) -> Bundle:
    try:
        return Bundle.decode(data)
    except WireError as error:
        raise Refused("malformed", str(error)) from error


def _name(bundle: Bundle) -> bytes | None:
    """The order's id as far as it can be told without understanding the order."""
    try:
        fields = Fields(canonical.decode(bundle.envelope.body, max_bytes=MAX_BUNDLE_BYTES), "order")
        return order_id(bundle.envelope.signer, fields.uint(1, least=1))
    except WireError:
        return None


def _order(bundle: Bundle) -> Order:
    try:
        fields = Fields(canonical.decode(bundle.envelope.body, max_bytes=MAX_BUNDLE_BYTES), "order")
        if fields.uint(6) not in list(Action):
            raise Refused("unsupported", f"action {fields.uint(6)}")
        return Order.decode(bundle.envelope.body)
    except WireError as error:
        raise Refused("malformed", str(error)) from error
