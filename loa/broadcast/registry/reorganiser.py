"""Areas merged, split and dissolved: what it would come to, and doing exactly that in one transaction."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy.ext.asyncio import AsyncConnection

from loa.broadcast.journal import journal
from loa.broadcast.journal.act import Act
from loa.broadcast.journal.journal import Deed
from loa.broadcast.names import tidy
from loa.broadcast.records import Area, AreaChange, AreaRight, Lineage
from loa.broadcast.registry.areas import described, left_ms
from loa.broadcast.registry.planner import World, make_plan, named_areas
from loa.broadcast.registry.reorganisation import Plan, Ref, Step
from loa.broadcast.store import area_history as stored_history
from loa.broadcast.store import area_rights as stored_rights
from loa.broadcast.store import areas as stored
from loa.broadcast.store import broadcasts as stored_broadcasts
from loa.broadcast.store import endpoint_places as stored_places
from loa.broadcast.store import endpoints as stored_endpoints
from loa.broadcast.store import enrolments as stored_enrolments
from loa.broadcast.store.database import Database
from loa.broadcast.store.paging import FIRST, Page
from loa.errors import Changed
from loa.model import id_text, new_id

MAX_DECREE = 400


@dataclass(frozen=True, slots=True)
class Applied:
    """What was done: the areas opened, by the keys of the plan, and the endpoints that have a new placement."""

    change: AreaChange
    opened: Mapping[str, Area]
    moved: tuple[bytes, ...]


class Reorganiser:
    """Plans and applies. A plan is not kept: who applies it says the steps again, and the fingerprint of the
    plan."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def preview(
        self, steps: Sequence[Step], *, now_ms: int, at_ms: int | None = None, decree: str = ""
    ) -> Plan:
        """What the steps would come to now; the errors of planner.make_plan."""
        decree = tidy(decree, "the decree", MAX_DECREE)
        async with self._db.read() as connection:
            world = await _world(connection, steps, now_ms)
        return make_plan(world, steps, now_ms=now_ms, at_ms=at_ms, decree=decree)

    async def apply(
        self, steps: Sequence[Step], fingerprint: str, act: Act, *, at_ms: int | None = None, decree: str = ""
    ) -> Applied:
        """Do what the plan with this fingerprint says, all of it or nothing.

        `hub.moved` is to be told of `Applied.moved`. Changed when the steps come to another plan by now; otherwise
        the errors of planner.make_plan.
        """
        decree = tidy(decree, "the decree", MAX_DECREE)
        async with self._db.write() as connection:
            world = await _world(connection, steps, act.now_ms)
            plan = make_plan(world, steps, now_ms=act.now_ms, at_ms=at_ms, decree=decree)
            if plan.fingerprint != fingerprint:
                raise Changed("what the plan rests on has changed: look at a new one")
            return await _apply(connection, plan, act)

    async def change(self, change_id: bytes) -> tuple[AreaChange, list[Lineage]]:
        """A change that was made, an import too, and which area became which by it; NotFound."""
        async with self._db.read() as connection:
            change = await stored_history.get_change(connection, change_id)
            return change, await stored_history.made_by(connection, change_id)

    async def changes(self, page: Page = FIRST) -> list[AreaChange]:
        """A page of the changes that were made; BadCursor."""
        async with self._db.read() as connection:
            return await stored_history.changes(connection, page)


async def _world(connection: AsyncConnection, steps: Sequence[Step], now_ms: int) -> World:
    named = named_areas(steps)
    areas = await stored.tree(connection)
    below = await stored.subtrees(connection, named)
    standing = await stored_endpoints.in_areas(connection, below & set(areas))
    devices = {device.id: device for device in standing if device.revoked_ms is None}
    return World(
        areas=areas,
        since_ms=await stored_history.since(connection),
        ends_ms=await left_ms(connection, named),
        devices=devices,
        stands_ms=await stored_places.since(connection, devices),
        rights=await stored_rights.in_areas(connection, named, now_ms),
        codes=await stored_enrolments.waiting(connection, named),
        on_air=await stored_broadcasts.unfinished(connection),
    )


async def _apply(connection: AsyncConnection, plan: Plan, act: Act) -> Applied:
    at_ms = plan.effect_ms
    ids = {new.key: new_id(act.now_ms) for new in plan.opened}

    def area_id(ref: Ref) -> bytes:
        return ids[ref] if isinstance(ref, str) else ref

    opened = {
        new.key: Area(
            id=ids[new.key],
            parent_id=None if new.parent is None else area_id(new.parent),
            name=new.name,
            level=new.level,
            code=new.code,
            created_ms=act.now_ms,
            valid_from_ms=at_ms,
            position=new.position,
        )
        for new in plan.opened
    }
    closed = [
        (each.area, replace(each.area, valid_until_ms=at_ms, version=each.area.version + 1)) for each in plan.closed
    ]
    rehung = [
        (
            each.area,
            replace(
                each.area,
                parent_id=None if each.parent is None else area_id(each.parent),
                version=each.area.version + 1,
            ),
        )
        for each in plan.rehung
    ]
    heirs = {each.area.id: [area_id(heir) for heir in each.heirs] for each in plan.closed}
    heirs |= {area: [area_id(heir) for heir in given] for area, given in plan.gives.items()}
    rights = {each.right: None if each.to is None else area_id(each.to) for each in plan.following}
    change = AreaChange(
        id=new_id(act.now_ms),
        kind=plan.kind,
        at_ms=at_ms,
        recorded_ms=act.now_ms,
        decree=plan.decree,
        summary=json.dumps(plan.counts, sort_keys=True),
    )
    # What closes gives its code back before another takes it.
    await stored.save(connection, closed, at_ms)
    await stored.insert(connection, *opened.values())
    await stored.set_outlines(connection, {ids[new.key]: new.outline for new in plan.opened if new.outline})
    await stored.save(connection, rehung, at_ms)
    await stored_history.insert_change(connection, change, heirs)
    moves = {move.endpoint.id: area_id(move.to) for move in plan.moved}
    await stored_endpoints.move(connection, moves, at_ms)
    await stored_endpoints.replace(connection, [endpoint.id for endpoint in plan.replaced])
    await stored_rights.follow(connection, rights, act.now_ms)
    await stored_enrolments.move(connection, {each.enrolment.id: area_id(each.to) for each in plan.codes})
    deeds = [_whole(plan, change)]
    deeds += [_area_deed("area.close", before, after, heirs[after.id]) for before, after in closed]
    deeds += [_area_deed("area.create", None, area) for area in opened.values()]
    deeds += [_area_deed("area.move", before, after) for before, after in rehung]
    deeds += [_right_deed(right, to) for right, to in rights.items()]
    await journal.record_all(connection, act, deeds)
    placed = (*moves, *(endpoint.id for endpoint in plan.replaced))
    return Applied(change, opened, placed)


def _whole(plan: Plan, change: AreaChange) -> Deed:
    return Deed(
        f"areas.{plan.kind}",
        f"change:{id_text(change.id)}",
        [area for area in plan.touched if area is not None],
        after={"at_ms": change.at_ms, "decree": plan.decree, **plan.counts},
    )


def _area_deed(action: str, before: Area | None, after: Area, heirs: Sequence[bytes] = ()) -> Deed:
    said = described(after)
    if heirs:
        said["became"] = [id_text(heir) for heir in heirs]
    return Deed(
        action,
        f"area:{id_text(after.id)}",
        {after.id, *heirs, *([before.parent_id] if before is not None and before.parent_id else [])},
        None if before is None else described(before),
        said,
    )


def _right_deed(right: AreaRight, area_id: bytes | None) -> Deed:
    return Deed(
        f"{right.kind}.follow" if area_id is not None else f"{right.kind}.revoke",
        f"{right.kind}:{id_text(right.id)}",
        {right.area_id} if area_id is None else {right.area_id, area_id},
        {"area_id": id_text(right.area_id), "role": str(right.role)},
        {"area_id": None if area_id is None else id_text(area_id), "role": str(right.role)},
    )
