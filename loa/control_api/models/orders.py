"""Orders, and how far each came."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from loa.broadcast.records import FoldedReceipts, ReceiptRow, StoredOrder
from loa.codecs.enrolment_wire import to_base64
from loa.codecs.order_wire import Action
from loa.control_api.models.base import PageQuery, Strict, utc
from loa.model import id_text


class OrderOut(Strict):
    """A signed order. `bundle` is docs/protocol.md's, base64url without padding: anyone can verify it."""

    order_id: str
    action: str
    issued_at: datetime | None
    expires_at: datetime | None
    bundle: str

    @classmethod
    def of(cls, order: StoredOrder) -> OrderOut:
        """As it is shown."""
        return cls(
            order_id=order.order_id.hex(),
            action=Action(order.action).name.lower(),
            issued_at=utc(order.issued_ms),
            expires_at=utc(order.expires_ms),
            bundle=to_base64(order.bundle),
        )


class OrdersOut(Strict):
    """The orders of one broadcast, oldest first."""

    items: list[OrderOut]


class ReceiptOut(Strict):
    """How far one order came at one endpoint. `action` is tune or stop; `presented_ns` is origin time."""

    order_id: str
    action: str
    endpoint_id: str
    state: str
    reason: str
    received_at: datetime | None
    accepted_at: datetime | None
    refused_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    presented_ns: int | None
    index: int | None
    clock_error_ms: float | None
    played: int | None
    repaired: int | None
    recovered: int | None
    concealed: int | None
    unsigned: int | None
    result: str

    @classmethod
    def of(cls, row: ReceiptRow, action: str) -> ReceiptOut:
        """As it is shown."""
        return cls(
            order_id=row.order_id.hex(),
            action=action,
            endpoint_id=id_text(row.endpoint_id),
            state=row.state.name.lower(),
            reason=row.reason,
            received_at=utc(row.received_ms),
            accepted_at=utc(row.accepted_ms),
            refused_at=utc(row.refused_ms),
            started_at=utc(row.started_ms),
            finished_at=utc(row.finished_ms),
            presented_ns=row.presented_ns,
            index=row.index,
            clock_error_ms=None if row.error_ns is None else row.error_ns / 1e6,
            played=row.played,
            repaired=row.repaired,
            recovered=row.recovered,
            concealed=row.concealed,
            unsigned=row.unsigned,
            result=row.result_reason,
        )


class FoldedReceiptsOut(Strict):
    """Old receipts in figures: so many endpoints reached `state` with an order; then sums of their results."""

    order_id: str
    action: str
    state: str
    endpoints: int
    played: int
    repaired: int
    recovered: int
    concealed: int
    unsigned: int

    @classmethod
    def of(cls, figures: FoldedReceipts, action: str) -> FoldedReceiptsOut:
        """As they are shown."""
        return cls(
            order_id=figures.order_id.hex(),
            action=action,
            state=figures.state.name.lower(),
            endpoints=figures.endpoints,
            played=figures.played,
            repaired=figures.repaired,
            recovered=figures.recovered,
            concealed=figures.concealed,
            unsigned=figures.unsigned,
        )


class ReceiptsBeside(Strict):
    """What is no longer kept one by one."""

    folded: list[FoldedReceiptsOut]


class ReceiptsQuery(PageQuery):
    """Which receipts, by order and endpoint; of an area means of those below it too."""

    sort: Literal["order"] = "order"
    area_id: UUID | None = None
    state: Literal["received", "accepted", "refused", "started", "finished"] | None = None
