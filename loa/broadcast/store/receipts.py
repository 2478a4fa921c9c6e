"""Receipts in the store: one row for each order and endpoint. Each function works in the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import fields
from typing import Any

from sqlalchemy import Row, and_, func, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from loa.broadcast.records import ReceiptRow
from loa.broadcast.store.database import upsert
from loa.broadcast.store.nearby import within
from loa.broadcast.store.paging import Page
from loa.broadcast.store.tables import endpoint, order_, receipt
from loa.codecs.order_wire import Action
from loa.errors import BadCursor
from loa.model import ID_BYTES, ReceiptState

_COLUMNS = tuple(each.name for each in fields(ReceiptRow))

ReceiptKey = tuple[bytes, bytes]
"""Order id and endpoint id."""


def receipt_of(row: Row[Any]) -> ReceiptRow:
    """The receipt in a row of the table."""
    values = dict(row._mapping)
    return ReceiptRow(**{**values, "state": ReceiptState(values["state"])})


async def load(connection: AsyncConnection, keys: Collection[ReceiptKey]) -> dict[ReceiptKey, ReceiptRow]:
    """The rows with these keys, as far as there are any."""
    query = select(receipt).where(tuple_(receipt.c.order_id, receipt.c.endpoint_id).in_(list(keys)))
    rows = [receipt_of(row) for row in await connection.execute(query)]
    return {(row.order_id, row.endpoint_id): row for row in rows}


async def save(connection: AsyncConnection, rows: Sequence[ReceiptRow]) -> None:
    """Write rows, over what was there."""
    values = [{**{name: getattr(row, name) for name in _COLUMNS}, "state": int(row.state)} for row in rows]
    await upsert(connection, receipt, values, key=["order_id", "endpoint_id"])


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
