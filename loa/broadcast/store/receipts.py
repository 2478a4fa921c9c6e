"""Receipts in the store: one row for each order and endpoint. Each function works in the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Insert, Row, and_, case, false, func, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from loa.broadcast.records import ReceiptRow
from loa.broadcast.store.nearby import within
from loa.broadcast.store.paging import Page
from loa.broadcast.store.tables import endpoint, order_, receipt
from loa.codecs.order_wire import Action
from loa.errors import BadCursor
from loa.model import ID_BYTES, ReceiptState

RESULT = ("played", "repaired", "recovered", "concealed", "unsigned")
"""What was heard, in frames."""
STEPS: dict[ReceiptState, tuple[str, ...]] = {
    ReceiptState.RECEIVED: ("received_ms",),
    ReceiptState.ACCEPTED: ("accepted_ms",),
    ReceiptState.REFUSED: ("refused_ms", "reason"),
    ReceiptState.STARTED: ("started_ms", "presented_ns", "index", "error_ns"),
    ReceiptState.FINISHED: ("finished_ms", *RESULT, "result_reason"),
}
"""The columns that hold what is said of each state, its time first. A result that is not known is None in all."""
_UPWARD = (
    ReceiptState.RECEIVED,
    ReceiptState.REFUSED,
    ReceiptState.ACCEPTED,
    ReceiptState.STARTED,
    ReceiptState.FINISHED,
)
_SHUTDOWN = "shutdown"
_EMPTY = {"reason": "", "result_reason": ""}

ReceiptKey = tuple[bytes, bytes]
"""Order id and endpoint id."""


def receipt_of(row: Row[Any]) -> ReceiptRow:
    """The receipt in a row of the table."""
    values = dict(row._mapping)
    return ReceiptRow(**{**values, "state": ReceiptState(values["state"])})


async def add(connection: AsyncConnection, state: ReceiptState, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write down what endpoints said of one state: order_id, endpoint_id and the columns of `STEPS[state]` in each.

    What was said first of a state stays, and the state never goes down.

    Two exceptions tell the truth: accepted overrides refused, since anybody can make an endpoint refuse false bytes
    under an order's name; and a speaker that was switched off in the middle may take the broadcast up again, so a
    result overrides one that says shutdown.
    """
    if rows:
        statement = _statement(state, connection.dialect.name)
        await connection.execute(statement, [{"state": int(state), **_EMPTY, **row} for row in rows])


@cache
def _statement(state: ReceiptState, dialect: str) -> Insert:
    """Insert a step of a receipt, or add it to the row that is there."""
    insert = postgresql.insert(receipt) if dialect == "postgresql" else sqlite.insert(receipt)
    said: dict[str, ColumnElement[Any]] = {name: insert.excluded[name] for name in STEPS[state]}
    time = receipt.c[STEPS[state][0]]
    unsaid: ColumnElement[bool] = time.is_(None)
    if state is ReceiptState.FINISHED:
        unsaid = or_(unsaid, receipt.c.result_reason == _SHUTDOWN)
        for name in (*RESULT, "result_reason"):
            said[name] = case((insert.excluded.played.is_(None), receipt.c[name]), else_=insert.excluded[name])
    lower = or_(false(), *(receipt.c.state == int(each) for each in _UPWARD[: _UPWARD.index(state)]))
    said["state"] = case((lower, insert.excluded.state), else_=receipt.c.state)
    return insert.on_conflict_do_update(index_elements=["order_id", "endpoint_id"], set_=said, where=unsaid)


async def page(
    connection: AsyncConnection,
    broadcast_id: bytes,
    page: Page,
    state: ReceiptState | None = None,
    areas: Collection[bytes] | None = None,
) -> list[ReceiptRow]:
    """A page of the rows of all orders of a broadcast, by order and endpoint; BadCursor.

    In one state if it is given, and only of endpoints in these areas and below them if any are given.
    """
    query = (
        select(receipt)
        .join(order_, order_.c.order_id == receipt.c.order_id)
        .where(order_.c.broadcast_id == broadcast_id)
        .order_by(receipt.c.order_id, receipt.c.endpoint_id)
        .limit(page.limit)
    )
    if state is not None:
        query = query.where(receipt.c.state == int(state))
    if areas is not None:
        standing = select(endpoint.c.id).where(within(endpoint.c.area_id, areas, "seen"))
        query = query.where(receipt.c.endpoint_id.in_(standing))
    if page.start is not None:
        _, key = page.start
        if len(key) != 2 * ID_BYTES:
            raise BadCursor("not an order and an endpoint")
        order_id, endpoint_id = key[:ID_BYTES], key[ID_BYTES:]
        query = query.where(
            or_(
                receipt.c.order_id > order_id,
                and_(receipt.c.order_id == order_id, receipt.c.endpoint_id > endpoint_id),
            )
        )
    return [receipt_of(row) for row in await connection.execute(query)]


async def summary(connection: AsyncConnection, broadcast_id: bytes) -> dict[ReceiptState, int]:
    """How many endpoints have come how far with a broadcast, each counted once, by its tune orders."""
    highest = (
        select(func.max(receipt.c.state).label("state"))
        .join(order_, order_.c.order_id == receipt.c.order_id)
        .where(order_.c.broadcast_id == broadcast_id, order_.c.action == int(Action.TUNE))
        .group_by(receipt.c.endpoint_id)
        .subquery()
    )
    rows = await connection.execute(select(highest.c.state, func.count()).group_by(highest.c.state))
    return {ReceiptState(state): count for state, count in rows}
