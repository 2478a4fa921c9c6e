"""The administrative tree, as it is and as it was.

An area holds from the instant it is valid until it is closed. Changes take effect now, or at an earlier instant
that the caller names, but never before the last change of what they touch; so the answers about any earlier instant
stay (store/area_history.py). All that stands in a closed area must have left it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from sqlalchemy.ext.asyncio import AsyncConnection

from loa.broadcast.geometry import Outline, Position
from loa.broadcast.journal import journal
from loa.broadcast.journal.act import Act
from loa.broadcast.names import clean, clean_code, clean_level
from loa.broadcast.records import Area, AreaVersion, Lineage
from loa.broadcast.registry.edits import KEEP, AreaEdit
from loa.broadcast.registry.effect import takes_effect
from loa.broadcast.registry.tree import Tree
from loa.broadcast.store import area_history as stored_history
from loa.broadcast.store import areas as stored
from loa.broadcast.store import endpoint_places as stored_places
from loa.broadcast.store import endpoints as stored_endpoints
from loa.broadcast.store import enrolments as stored_enrolments
from loa.broadcast.store.areas import AreaFilter
from loa.broadcast.store.database import Database
from loa.broadcast.store.paging import FIRST, Page
from loa.errors import Changed, Conflict
from loa.model import id_text, new_id

EVERY_AREA = AreaFilter()


def described(area: Area) -> dict[str, object]:
    """An area as the journal tells of it."""
    return {
        "name": area.name,
        "level": area.level,
        "code": area.code,
        "parent_id": None if area.parent_id is None else id_text(area.parent_id),
        "lat": area.position and area.position.lat,
        "lon": area.position and area.position.lon,
        "valid_from_ms": area.valid_from_ms,
        "valid_until_ms": area.valid_until_ms,
    }


def require_open(area: Area) -> None:
    """Conflict for an area that has been closed."""
    if not area.open:
        raise Conflict(f"the area {area.name} has been closed")


@dataclass(frozen=True, slots=True)
class EditedArea:
    """An area after a change, and the endpoints whose placement has changed with it."""

    area: Area
    moved: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class AreaHistory:
    """All that an area has been, what it came from and what it became."""

    versions: tuple[AreaVersion, ...]
    lineage: tuple[Lineage, ...]


class Areas:
    """All areas. The tree is at most MAX_DEPTH_OF_AREAS deep."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def create(
        self,
        parent_id: bytes | None,
        name: str,
        level: str,
        code: str | None,
        act: Act,
        *,
        valid_from_ms: int | None = None,
        position: Position | None = None,
        outline: Outline | None = None,
    ) -> Area:
        """A new area under `parent_id` (None: a top), valid from now on or from an earlier instant.

        NotFound; Conflict for a code in use, a tree too deep, or a parent that is closed or was not valid yet;
        PlaceError for a name, level or code that cannot be one.
        """
        area = Area(
            id=new_id(act.now_ms),
            parent_id=parent_id,
            name=clean(name, "the name"),
            level=clean_level(level),
            code=clean_code(code),
            created_ms=act.now_ms,
            valid_from_ms=act.now_ms,
            position=position,
        )
        async with self._db.write() as connection:
            begins_ms = [0]
            if parent_id is not None:
                parent = await stored.get(connection, parent_id)
                require_open(parent)
                begins_ms = [parent.valid_from_ms]
                above = await stored.path(connection, parent_id)
                Tree({node: above[at - 1] if at else None for at, node in enumerate((*above, area.id))}).check()
            area = replace(area, valid_from_ms=takes_effect(valid_from_ms, act.now_ms, begins_ms))
            await stored.insert(connection, area)
            if outline is not None:
                await stored.set_outlines(connection, {area.id: outline})
            await journal.record(
                connection, act, "area.create", f"area:{id_text(area.id)}", areas=[area.id], after=described(area)
            )
        return area

    async def edit(
        self,
        area_id: bytes,
        edit: AreaEdit,
        act: Act,
        *,
        expected_version: int | None = None,
        at_ms: int | None = None,
    ) -> EditedArea:
        """Rename, re-code, move or redraw an open area, with effect from `at_ms` (None: now).

        NotFound; Changed when its version is not the expected one; Conflict for a closed area, a code in use, a
        parent below itself or closed, a tree too deep, and an instant before its last change; PlaceError.
        """
        async with self._db.write() as connection:
            before = await stored.get(connection, area_id)
            if expected_version not in (None, before.version):
                raise Changed(f"the area {before.name} has been changed meanwhile")
            require_open(before)
            after = _edited(before, edit)
            redrawn = edit.outline is not KEEP
            if after == before and not redrawn:
                return EditedArea(before)
            since_ms = list((await stored_history.since(connection, [area_id])).values())
            moved: list[bytes] = []
            if after.parent_id != before.parent_id:
                since_ms += await self._check_parent(connection, after)
                below = await stored.subtrees(connection, [area_id])
                standing = await stored_endpoints.in_areas(connection, below)
                moved = [each.id for each in standing if each.revoked_ms is None]
            after = replace(after, version=before.version + 1)
            await stored.save(connection, [(before, after)], takes_effect(at_ms, act.now_ms, since_ms))
            if edit.outline is not KEEP:
                await stored.set_outlines(connection, {area_id: edit.outline})
            await stored_endpoints.replace(connection, moved)
            await journal.record(
                connection,
                act,
                "area.change" if after.parent_id == before.parent_id else "area.move",
                f"area:{id_text(area_id)}",
                areas=[area_id] if before.parent_id is None else [area_id, before.parent_id],
                before=described(before),
                after={**described(after), "outline": "redrawn"} if redrawn else described(after),
            )
        return EditedArea(after, tuple(moved))

    @staticmethod
    async def _check_parent(connection: AsyncConnection, moving: Area) -> list[int]:
        """Since when the new parent has been valid; NotFound, or Conflict when it cannot be the parent."""
        since_ms: list[int] = []
        if moving.parent_id is not None:
            parent = await stored.get(connection, moving.parent_id)
            require_open(parent)
            since_ms.append(parent.valid_from_ms)
        tree = await stored.tree(connection)
        Tree({area.id: area.parent_id for area in (tree | {moving.id: moving}).values()}).check()
        return since_ms

    async def close(
        self, area_id: bytes, act: Act, *, expected_version: int | None = None, at_ms: int | None = None
    ) -> Area:
        """Close an area in which nothing is left, with effect from `at_ms` (None: now). Closing again changes
        nothing.

        NotFound; Changed; Conflict while areas or devices stand in it or codes for it are waiting, and for an
        instant at which they still did.
        """
        async with self._db.write() as connection:
            before = await stored.get(connection, area_id)
            if not before.open:
                return before
            if expected_version not in (None, before.version):
                raise Changed(f"the area {before.name} has been changed meanwhile")
            await self._check_empty(connection, before, act.now_ms)
            since_ms = await left_ms(connection, [area_id])
            ends_ms = takes_effect(at_ms, act.now_ms, since_ms.values())
            after = replace(before, valid_until_ms=ends_ms, version=before.version + 1)
            await stored.save(connection, [(before, after)], ends_ms)
            await journal.record(
                connection,
                act,
                "area.close",
                f"area:{id_text(area_id)}",
                areas=[area_id],
                before=described(before),
                after=described(after),
            )
        return after

    @staticmethod
    async def _check_empty(connection: AsyncConnection, area: Area, now_ms: int) -> None:
        if await stored.page(connection, Page(limit=1), AreaFilter(parent_id=area.id, open=True)):
            raise Conflict(f"areas still stand below {area.name}: merge or dissolve it")
        if any(each.revoked_ms is None for each in await stored_endpoints.in_areas(connection, [area.id])):
            raise Conflict(f"devices still stand in {area.name}: move them, or merge it")
        codes = await stored_enrolments.waiting(connection, [area.id])
        if any(each.expires_ms >= now_ms for each in codes):
            raise Conflict(f"enrolment codes for {area.name} are still waiting to be claimed")

    async def get(self, area_id: bytes) -> Area:
        """The area, closed or not; NotFound."""
        async with self._db.read() as connection:
            return await stored.get(connection, area_id)

    async def outline(self, area_id: bytes) -> Outline | None:
        """The area's outline, if it has one."""
        async with self._db.read() as connection:
            return (await stored.outlines(connection, [area_id])).get(area_id)

    async def outlines(self, area_ids: Collection[bytes]) -> dict[bytes, Outline]:
        """The outlines of those of these areas that have one."""
        async with self._db.read() as connection:
            return await stored.outlines(connection, area_ids)

    async def list(self, page: Page = FIRST, only: AreaFilter = EVERY_AREA) -> list[Area]:
        """A page of the areas; BadCursor."""
        async with self._db.read() as connection:
            return await stored.page(connection, page, only)

    async def list_at(self, at_ms: int, page: Page = FIRST, only: AreaFilter = EVERY_AREA) -> Sequence[Area]:
        """A page, by id, of the areas as they were at `at_ms`, with the names, codes and parents of then;
        BadCursor.

        Of the filter, `parent_id`, `level` and `code` are asked, of then too.
        """
        async with self._db.read() as connection:
            return await stored_history.tree_at(
                connection, at_ms, page, parent_id=only.parent_id, level=only.level, code=only.code
            )

    async def tree_at(self, at_ms: int) -> Sequence[Area]:
        """All areas as they were at `at_ms`."""
        async with self._db.read() as connection:
            return await stored_history.tree_at(connection, at_ms)

    async def history(self, area_id: bytes) -> AreaHistory:
        """All that the area has been; NotFound."""
        async with self._db.read() as connection:
            await stored.get(connection, area_id)
            return AreaHistory(
                tuple(await stored_history.versions(connection, area_id)),
                tuple(await stored_history.lineage(connection, area_id)),
            )

    async def path(self, area_id: bytes) -> tuple[bytes, ...]:
        """The ids from the top of the tree down to the area itself; NotFound."""
        async with self._db.read() as connection:
            return await stored.path(connection, area_id)

    async def path_at(self, area_id: bytes, at_ms: int) -> tuple[AreaVersion, ...]:
        """What stood from the top of the tree down to the area at `at_ms`; NotFound when it was not valid then."""
        async with self._db.read() as connection:
            return tuple(await stored_history.path_at(connection, area_id, at_ms))

    async def reach(self, area_id: bytes) -> frozenset[bytes]:
        """The areas whose officers may see what happened in this one; NotFound.

        Itself and all above it; of a closed one also what it became, and all above that.
        """
        async with self._db.read() as connection:
            area = await stored.get(connection, area_id)
            areas = {area_id}
            if not area.open:
                areas |= await stored_history.heirs(connection, areas)
            paths = await stored.paths(connection, areas)
        return frozenset(above for path in paths.values() for above in path)

    async def subtree(self, area_id: bytes) -> set[bytes]:
        """The ids of the area and of all below it, closed ones too; NotFound."""
        async with self._db.read() as connection:
            await stored.get(connection, area_id)
            return await stored.subtrees(connection, [area_id])


def _edited(before: Area, edit: AreaEdit) -> Area:
    after = before
    if edit.name is not KEEP:
        after = replace(after, name=clean(edit.name, "the name"))
    if edit.level is not KEEP:
        after = replace(after, level=clean_level(edit.level))
    if edit.code is not KEEP:
        after = replace(after, code=clean_code(edit.code))
    if edit.parent_id is not KEEP:
        after = replace(after, parent_id=edit.parent_id)
    if edit.position is not KEEP:
        after = replace(after, position=edit.position)
    return after


async def left_ms(connection: AsyncConnection, area_ids: Collection[bytes]) -> dict[bytes, int]:
    """For each of these open areas: the earliest instant from which it can end.

    That is when it became what it is, and when the last child or device that has left it did so.
    """
    found = await stored_history.since(connection, area_ids)
    for left in (
        await stored_history.children_left_ms(connection, area_ids),
        await stored_places.left_ms(connection, area_ids),
    ):
        for area_id, at_ms in left.items():
            found[area_id] = max(found.get(area_id, 0), at_ms)
    return found
