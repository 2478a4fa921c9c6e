"""Enrolment codes in the store. Each function works in the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Row, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from loa.broadcast.records import Enrolment
from loa.broadcast.store.areas import below
from loa.broadcast.store.paging import Page, paged
from loa.broadcast.store.tables import enrolment
from loa.errors import NotFound
from loa.model import EndpointKind, id_text


def _enrolment(row: Row[Any]) -> Enrolment:
    values = dict(row._mapping)
    return Enrolment(**{**values, "kind": EndpointKind(values["kind"])})


async def insert(connection: AsyncConnection, new: Enrolment) -> None:
    """Write a new code down."""
    await connection.execute(
        enrolment.insert().values(
            id=new.id,
            code_id=new.code_id,
            key=new.key,
            area_id=new.area_id,
            kind=str(new.kind),
            name=new.name,
            created_ms=new.created_ms,
            expires_ms=new.expires_ms,
            wrong_claims=new.wrong_claims,
            claimed_by_key=new.claimed_by_key,
            endpoint_id=new.endpoint_id,
        )
    )


async def get(connection: AsyncConnection, enrolment_id: bytes) -> Enrolment:
    """The enrolment; NotFound."""
    row = (await connection.execute(select(enrolment).where(enrolment.c.id == enrolment_id))).one_or_none()
    if row is None:
        raise NotFound(f"no enrolment {id_text(enrolment_id)}")
    return _enrolment(row)


async def by_code(connection: AsyncConnection, code_id: str) -> Enrolment | None:
    """The enrolment that a code id names."""
    row = (await connection.execute(select(enrolment).where(enrolment.c.code_id == code_id))).one_or_none()
    return None if row is None else _enrolment(row)


async def page(connection: AsyncConnection, page: Page, within: Collection[bytes] | None) -> list[Enrolment]:
    """A page of enrolments, only of these areas and those below them if any are given; BadCursor."""
    query = select(enrolment)
    if within is not None:
        query = query.where(enrolment.c.area_id.in_(select(below(within).c.id)))
    return [_enrolment(row) for row in await connection.execute(paged(query, enrolment, page))]


async def count_wrong(connection: AsyncConnection, enrolment_id: bytes) -> None:
    """Count one more wrong claim."""
    await connection.execute(
        enrolment.update().where(enrolment.c.id == enrolment_id).values(wrong_claims=enrolment.c.wrong_claims + 1)
    )


async def set_claimed(
    connection: AsyncConnection, enrolment_id: bytes, device_key: bytes, endpoint_id: bytes
) -> None:
    """The code has become an endpoint."""
    await connection.execute(
        enrolment.update()
        .where(enrolment.c.id == enrolment_id)
        .values(claimed_by_key=device_key, endpoint_id=endpoint_id)
    )


async def end_open(connection: AsyncConnection, now_ms: int) -> int:
    """From `now_ms` on no code that has not been used is good any more; how many still were."""
    done = await connection.execute(
        enrolment.update()
        .where(enrolment.c.endpoint_id.is_(None), enrolment.c.expires_ms >= now_ms)
        .values(expires_ms=now_ms - 1)
    )
    return done.rowcount


async def forget(connection: AsyncConnection, before_ms: int, most: int) -> int:
    """Forget codes, used or not, that were no longer valid before then, at most so many; how many."""
    old = select(enrolment.c.id).where(enrolment.c.expires_ms < before_ms)
    old = old.order_by(enrolment.c.expires_ms).limit(most)
    return (await connection.execute(delete(enrolment).where(enrolment.c.id.in_(old)))).rowcount
