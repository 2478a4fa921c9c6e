"""Lists of areas and devices taken in: what it would come to, and doing exactly that in one transaction.

A list is taken in whole or not at all, and one that has been taken in before changes nothing.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy.ext.asyncio import AsyncConnection

from loa.broadcast.journal import journal
from loa.broadcast.journal.act import Act
from loa.broadcast.journal.journal import Deed
from loa.broadcast.names import tidy
from loa.broadcast.records import Area, AreaChange, ChangeKind, Endpoint, Enrolment
from loa.broadcast.registry.areas import described
from loa.broadcast.registry.effect import takes_effect
from loa.broadcast.registry.enrolment import free_codes
from loa.broadcast.registry.lists.area_plan import Action, AreaImportPlan, PlannedArea, Ref, plan_areas
from loa.broadcast.registry.lists.device_plan import DeviceAction, DeviceImportPlan, PlannedDevice, plan_devices
from loa.broadcast.registry.lists.rows import AreaList, DeviceList
from loa.broadcast.store import area_history as stored_history
from loa.broadcast.store import areas as stored
from loa.broadcast.store import endpoints as stored_endpoints
from loa.broadcast.store import enrolments as stored_enrolments
from loa.broadcast.store.database import Database
from loa.codecs.enrolment_wire import EnrolmentCode
from loa.errors import Changed, PlaceError
from loa.model import EndpointKind, id_text, new_id

MAX_SOURCE = 400


@dataclass(frozen=True, slots=True)
class AreaImport:
    """A list of areas taken in, or only looked at. `change` is None when nothing was changed.

    `moved`: the endpoints that have a new placement, or would have.
    """

    plan: AreaImportPlan
    change: AreaChange | None
    moved: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class DeviceImport:
    """A list of devices taken in: for each row its code, if it was given one. Codes are told here and never
    again."""

    plan: DeviceImportPlan
    codes: Mapping[int, EnrolmentCode]
    expires_ms: int


class Importer:
    """Plans and applies lists."""

    def __init__(self, db: Database) -> None:
        self._db = db

    # --- areas ------------------------------------------------------------------------------------------------

    async def preview_areas(self, given: AreaList, *, under: bytes | None, now_ms: int) -> AreaImport:
        """What the list would come to now; PlaceError."""
        async with self._db.read() as connection:
            plan = await _area_plan(connection, given, under, now_ms)
            return AreaImport(plan, None, tuple(await _placed_anew(connection, plan)))

    async def apply_areas(
        self, given: AreaList, act: Act, *, under: bytes | None, source: str = "", fingerprint: str | None = None
    ) -> AreaImport:
        """Take the list in. `hub.moved` is to be told of `moved`.

        `source` says whence it is, as a decree would. PlaceError when it has errors; Changed when it comes to
        another plan than that with the fingerprint; Conflict.
        """
        source = tidy(source, "the source", MAX_SOURCE)
        async with self._db.write() as connection:
            plan = await _area_plan(connection, given, under, act.now_ms)
            if fingerprint not in (None, plan.fingerprint):
                raise Changed("what the list comes to has changed: look at it again")
            if plan.errors:
                first = plan.errors[0]
                raise PlaceError(f"{len(plan.errors)} rows are wrong; line {first.line}: {first.message}")
            moved = await _placed_anew(connection, plan)
            change = await _apply_areas(connection, plan, moved, act, source)
        return AreaImport(plan, change, tuple(moved))

    # --- devices ----------------------------------------------------------------------------------------------

    async def preview_devices(
        self,
        given: DeviceList,
        *,
        under: bytes | None,
        within: frozenset[bytes] | None,
        now_ms: int,
        renew: bool = False,
    ) -> DeviceImportPlan:
        """What the list would come to now. Rows may name the areas `within`, or below; None: all. PlaceError."""
        async with self._db.read() as connection:
            return await _device_plan(connection, given, under, within, renew, now_ms)

    async def apply_devices(
        self,
        given: DeviceList,
        act: Act,
        *,
        under: bytes | None,
        within: frozenset[bytes] | None,
        valid_s: int,
        renew: bool = False,
        kind: EndpointKind = EndpointKind.SPEAKER,
        fingerprint: str | None = None,
    ) -> DeviceImport:
        """Take the list in: codes that are good for `valid_s` seconds; PlaceError, Changed."""
        async with self._db.write() as connection:
            plan = await _device_plan(connection, given, under, within, renew, act.now_ms)
            if fingerprint not in (None, plan.fingerprint):
                raise Changed("what the list comes to has changed: look at it again")
            if plan.errors:
                first = plan.errors[0]
                raise PlaceError(f"{len(plan.errors)} rows are wrong; line {first.line}: {first.message}")
            expires_ms = act.now_ms + valid_s * 1000
            codes = await _apply_devices(connection, plan, act, kind, expires_ms)
        return DeviceImport(plan, codes, expires_ms)


async def _area_plan(
    connection: AsyncConnection, given: AreaList, under: bytes | None, now_ms: int
) -> AreaImportPlan:
    tree = await stored.tree(connection)
    drawn = any(row.outline is not None for row in given.rows)
    digests = await stored.outline_digests(connection, tree) if drawn else {}
    # A long list takes a while, and others are to be served meanwhile.
    return await asyncio.to_thread(plan_areas, given, tree, digests, under=under, now_ms=now_ms)


async def _placed_anew(connection: AsyncConnection, plan: AreaImportPlan) -> list[bytes]:
    rehung = [each.area.id for each in plan.areas if each.area is not None and "parent" in each.changes]
    if not rehung:
        return []
    below = await stored.subtrees(connection, rehung)
    standing = await stored_endpoints.in_areas(connection, below)
    return sorted(each.id for each in standing if each.revoked_ms is None)


async def _apply_areas(
    connection: AsyncConnection, plan: AreaImportPlan, moved: Sequence[bytes], act: Act, source: str
) -> AreaChange | None:
    creating, updating = plan.of(Action.CREATE), plan.of(Action.UPDATE)
    if not creating and not updating:
        return None
    ids = {each.line: new_id(act.now_ms) for each in creating}
    created = [_created(each, ids, act) for each in creating]
    changes = [_updated(each, ids) for each in updating]
    # What goes on under another name has been what it was until now; what begins may have begun before.
    since_ms = await stored_history.since(connection, [before.id for before, _ in changes])
    at_ms = takes_effect(None, act.now_ms, since_ms.values())
    await stored.insert(connection, *created)
    await stored.save(connection, changes, at_ms)
    drawn = {ids[each.line]: each.outline for each in creating if each.outline is not None}
    drawn |= {each.area.id: each.outline for each in updating if each.area is not None and each.outline is not None}
    await stored.set_outlines(connection, drawn)
    await stored_endpoints.replace(connection, moved)
    change = AreaChange(
        id=new_id(act.now_ms),
        kind=ChangeKind.IMPORT,
        at_ms=at_ms,
        recorded_ms=act.now_ms,
        decree=source,
        summary=json.dumps({**plan.counts, "replaced": len(moved)}, sort_keys=True),
    )
    await stored_history.insert_change(connection, change, {})
    whole = Deed(
        "areas.import",
        f"change:{id_text(change.id)}",
        [area for area in plan.touched if area is not None],
        after={"source": source, **plan.counts, "replaced": len(moved)},
    )
    deeds = [Deed("area.create", f"area:{id_text(area.id)}", [area.id], after=described(area)) for area in created]
    deeds += [
        Deed(
            "area.change" if before.parent_id == after.parent_id else "area.move",
            f"area:{id_text(after.id)}",
            [after.id] if before.parent_id is None else [after.id, before.parent_id],
            described(before),
            described(after),
        )
        for before, after in changes
    ]
    await journal.record_all(connection, act, [whole, *deeds])
    return change


def _created(planned: PlannedArea, ids: Mapping[int, bytes], act: Act) -> Area:
    return Area(
        id=ids[planned.line],
        parent_id=_id(planned.parent, ids),
        name=planned.name,
        level=planned.level,
        code=planned.code,
        created_ms=act.now_ms,
        valid_from_ms=planned.valid_from_ms,
        position=planned.position,
    )


def _updated(planned: PlannedArea, ids: Mapping[int, bytes]) -> tuple[Area, Area]:
    before = planned.area
    assert before is not None
    after = replace(
        before,
        parent_id=_id(planned.parent, ids),
        name=planned.name,
        level=planned.level,
        code=planned.code,
        position=planned.position,
        version=before.version + 1,
    )
    return before, after


def _id(ref: Ref | None, ids: Mapping[int, bytes]) -> bytes | None:
    return ids[ref] if isinstance(ref, int) else ref


async def _device_plan(
    connection: AsyncConnection,
    given: DeviceList,
    under: bytes | None,
    within: frozenset[bytes] | None,
    renew: bool,
    now_ms: int,
) -> DeviceImportPlan:
    tree = await stored.tree(connection)
    if within is not None:
        below = await stored.subtrees(connection, within)
        tree = {area_id: area for area_id, area in tree.items() if area_id in below}
    endpoints = await stored_endpoints.in_areas(connection, tree)
    codes = await stored_enrolments.waiting(connection, tree)
    return await asyncio.to_thread(
        plan_devices, given, tree, endpoints, codes, under=under, renew=renew, now_ms=now_ms
    )


async def _apply_devices(
    connection: AsyncConnection, plan: DeviceImportPlan, act: Act, kind: EndpointKind, expires_ms: int
) -> dict[int, EnrolmentCode]:
    wanting, placing = plan.of(DeviceAction.CODE), plan.of(DeviceAction.PLACE)
    if not wanting and not placing:
        return {}
    codes = await free_codes(connection, len(wanting))
    # Twenty thousand keys take a second: others are to be served meanwhile.
    enrolments = await asyncio.to_thread(_enrolments, wanting, codes, act, kind, expires_ms)
    replaced = [each.replaces.id for each in wanting if each.replaces is not None]
    await stored_enrolments.expire(connection, replaced, act.now_ms)
    await stored_enrolments.insert(connection, *enrolments)
    placed = [(each.endpoint, _placed(each, each.endpoint)) for each in placing if each.endpoint is not None]
    await stored_endpoints.describe(connection, *(after for _, after in placed))
    whole = Deed("endpoints.import", f"import:{id_text(new_id(act.now_ms))}", plan.touched, after={**plan.counts})
    deeds = [
        Deed(
            "enrolment.create",
            f"enrolment:{id_text(each.id)}",
            [each.area_id],
            after={"name": each.name, "kind": str(each.kind), "expires_ms": each.expires_ms},
        )
        for each in enrolments
    ]
    deeds += [
        Deed(
            "endpoint.change",
            f"endpoint:{id_text(after.id)}",
            [after.area_id],
            {"lat": before.position and before.position.lat, "lon": before.position and before.position.lon},
            {"lat": after.position and after.position.lat, "lon": after.position and after.position.lon},
        )
        for before, after in placed
    ]
    await journal.record_all(connection, act, [whole, *deeds])
    return {each.line: code for each, code in zip(wanting, codes, strict=True)}


def _enrolments(
    wanting: Sequence[PlannedDevice],
    codes: Sequence[EnrolmentCode],
    act: Act,
    kind: EndpointKind,
    expires_ms: int,
) -> list[Enrolment]:
    return [
        Enrolment(
            id=new_id(act.now_ms),
            code_id=code.code_id,
            key=code.key(),
            area_id=each.area.id,
            kind=kind,
            name=each.name,
            created_ms=act.now_ms,
            expires_ms=expires_ms,
            position=each.position,
        )
        for each, code in zip(wanting, codes, strict=True)
    ]


def _placed(planned: PlannedDevice, endpoint: Endpoint) -> Endpoint:
    return replace(endpoint, position=planned.position, version=endpoint.version + 1)
