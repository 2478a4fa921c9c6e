"""Devices whose root key was replaced: who they are, and new codes for all of them.

A device believes the root it pinned when it was enrolled, and no other. It is enrolled again with a new code, as a
new endpoint; the endpoint it was is revoked when that code is made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from loa.broadcast.journal import journal
from loa.broadcast.journal.act import Act
from loa.broadcast.records import Endpoint
from loa.broadcast.registry.enrolment import new_code
from loa.broadcast.store import areas as stored_areas
from loa.broadcast.store import endpoints as stored
from loa.broadcast.store.database import Database
from loa.model import id_text

BATCH = 100


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """A device that believes an earlier root. `place`: the names of its areas from the top of the tree down."""

    endpoint: Endpoint
    place: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NewCode:
    """The code by which a device is enrolled again."""

    device: LeftBehind
    code: str
    expires_ms: int

    def __repr__(self) -> str:
        return f"NewCode({self.device.endpoint.name})"


async def left_behind(db: Database, replaced_ms: int) -> list[LeftBehind]:
    """The devices enrolled before the root was replaced that are not revoked, ordered by place and name."""
    async with db.read() as connection:
        endpoints = await stored.enrolled_until(connection, replaced_ms)
        places = {area_id: await _place(connection, area_id) for area_id in {each.area_id for each in endpoints}}
    found = [LeftBehind(endpoint, places[endpoint.area_id]) for endpoint in endpoints]
    return sorted(found, key=lambda device: (device.place, device.endpoint.name, device.endpoint.id))


async def _place(connection: AsyncConnection, area_id: bytes) -> tuple[str, ...]:
    return tuple(
        [(await stored_areas.get(connection, above)).name for above in await stored_areas.path(connection, area_id)]
    )


async def enrol_again(
    db: Database, devices: Sequence[LeftBehind], act: Act, valid_s: int, keep: Callable[[Sequence[NewCode]], None]
) -> int:
    """A new code for each device, and the endpoint it was revoked; how many.

    `keep` is given the codes of a batch to write down for good, before they become good: where it raises, or the
    process ends, the codes of that batch are good for nothing, and its devices are still left behind.
    """
    done = 0
    for at in range(0, len(devices), BATCH):
        async with db.write() as connection:
            tried = [await _replace(connection, device, act, valid_s) for device in devices[at : at + BATCH]]
            made = [code for code in tried if code is not None]
            keep(made)
        done += len(made)
    return done


async def _replace(connection: AsyncConnection, device: LeftBehind, act: Act, valid_s: int) -> NewCode | None:
    endpoint = await stored.get(connection, device.endpoint.id)
    if endpoint.revoked_ms is not None:
        return None  # meanwhile
    await stored.set_revoked(connection, endpoint.id, act.now_ms)
    await journal.record(
        connection,
        act,
        "endpoint.revoke",
        f"endpoint:{id_text(endpoint.id)}",
        areas=[endpoint.area_id],
        after={"reason": "the root key was replaced"},
    )
    enrolment, code = await new_code(
        connection, endpoint.area_id, endpoint.kind, endpoint.name, act, valid_s, endpoint.position
    )
    return NewCode(device, code.text, enrolment.expires_ms)
