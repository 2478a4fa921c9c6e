"""The order book: what is commanded is signed and durable before anyone is told of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from loa.broadcast.journal import journal
from loa.broadcast.journal.act import Act
from loa.broadcast.orders.keyring import KeyRing
from loa.broadcast.records import Broadcast, StoredOrder
from loa.broadcast.store import broadcasts as stored_broadcasts
from loa.broadcast.store import orders as stored
from loa.broadcast.store.database import Database
from loa.codecs import channel_wire, order_wire, signed
from loa.codecs.order_wire import MAX_DATAGRAM_BYTES, Action, Bundle, Order, Stop, Tune
from loa.codecs.signed import Kind
from loa.errors import StoreError, WireError
from loa.model import id_text

_DATAGRAM_HEADER_BYTES = 2


@dataclass(frozen=True, slots=True)
class IssuedOrder:
    """An order to be sent. `datagram` is None when it is too long for one and must go by link."""

    order_id: bytes
    bundle: bytes
    datagram: bytes | None
    stored: StoredOrder


class IssuedOrders:
    """The orders that were issued."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def on_air(self, now_ms: int) -> list[IssuedOrder]:
        """Orders that have not expired, of broadcasts that are preparing or on air; the first issued first."""
        async with self._db.read() as connection:
            return [_issued(row) for row in await stored.unexpired_unfinished(connection, now_ms)]

    async def of_broadcast(self, broadcast_id: bytes) -> list[IssuedOrder]:
        """All orders of a broadcast, the first issued first."""
        async with self._db.read() as connection:
            return [_issued(row) for row in await stored.of_broadcast(connection, broadcast_id)]


class OrderBook(IssuedOrders):
    """Issues orders with the core's order key."""

    def __init__(self, db: Database, keyring: KeyRing, may_issue: Callable[[], bool] = lambda: True) -> None:
        """`may_issue`: whether this process is, now, the one core of the database."""
        super().__init__(db)
        self._keyring = keyring
        self._may_issue = may_issue

    async def issue(
        self,
        action: Tune | Stop,
        areas: Sequence[bytes],
        endpoints: Sequence[bytes],
        now_ms: int,
        expires_ms: int,
        broadcast_id: bytes,
        becomes: Broadcast | None = None,
        act: Act | None = None,
    ) -> IssuedOrder:
        """Sign an order and write it down; when this returns it survives a loss of power.

        In the same transaction are written `becomes`, what the order makes of its broadcast, and `act`, by whom it
        is stopped, or, with both, started: then `becomes` is new.

        The sequence number is the time in µs, or one more than the last, whichever is higher: it grows even
        when the store comes back from an old copy. WireError without a target or with too many; Conflict when
        the broadcast does not exist, or as `store.broadcasts.create`; StoreError while this process may not issue.
        But for a StoreError nothing has been written then; with one it may have been.
        """
        if not areas and not endpoints:
            raise WireError("an order without a target")
        key = self._keyring.order_key
        kind = Action.TUNE if isinstance(action, Tune) else Action.STOP
        if not self._may_issue():
            raise StoreError("this core does not hold the lock of its database: it orders nothing")
        async with self._db.write(urgent=True) as connection:
            if becomes is not None and act is not None:
                await stored_broadcasts.create(connection, becomes, act)
            elif becomes is not None:
                await stored_broadcasts.save(connection, becomes)
            seq = max(await stored.last_seq(connection, key.key_id) + 1, now_ms * 1000)
            order = Order(seq, now_ms, expires_ms, tuple(areas), tuple(endpoints), action)
            try:
                envelope = order_wire.seal_order(order, key)
            except ValueError as error:
                raise WireError(f"an order for {len(areas) + len(endpoints)} targets is too large") from error
            bundle = Bundle(signed.parse(envelope, Kind.ORDER)).encode()
            order_id = order_wire.order_id(key.key_id, seq)
            row = StoredOrder(order_id, broadcast_id, int(kind), bundle, now_ms, expires_ms)
            await stored.set_last_seq(connection, key.key_id, seq)
            await stored.insert(connection, row)
            if becomes is None and act is not None:
                subject = f"broadcast:{id_text(broadcast_id)}"
                await journal.record(connection, act, "broadcast.stop", subject, areas=areas)
        return _issued(row)


def _issued(row: StoredOrder) -> IssuedOrder:
    fits = len(row.bundle) + _DATAGRAM_HEADER_BYTES <= MAX_DATAGRAM_BYTES
    datagram = channel_wire.encode_order(row.bundle) if fits else None
    return IssuedOrder(row.order_id, row.bundle, datagram, row)
