"""Which multicast groups areas have: given and taken away by people, and written down in the journal."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from loa.broadcast.journal import journal
from loa.broadcast.journal.act import Act
from loa.broadcast.records import AreaGroup, GroupKind
from loa.broadcast.registry.areas import require_open
from loa.broadcast.store import area_groups as stored
from loa.broadcast.store import areas as stored_areas
from loa.broadcast.store.database import Database
from loa.errors import Conflict, NotFound
from loa.model import id_text

MOST = {GroupKind.SEALED: 1_024, GroupKind.PLAIN: 256}
"""Each sealed group is one more address for a frame, each plain one a packet of its own."""

_ACTIONS = {GroupKind.SEALED: "area.multicast", GroupKind.PLAIN: "area.plain-rtp"}


@dataclass(frozen=True, slots=True)
class GroupInUse:
    """A group, its area's name, and the ids of that and of all areas above it."""

    group: AreaGroup
    area_name: str
    path: frozenset[bytes]


class AreaGroups:
    """The groups of all areas."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def get(self, area_id: bytes, kind: GroupKind) -> AreaGroup:
        """The area's own group of this kind; NotFound when it, or the area, is not there."""
        async with self._db.read() as connection:
            await stored_areas.get(connection, area_id)
            found = await stored.find(connection, area_id, kind)
        if found is None:
            raise NotFound(f"the area {id_text(area_id)} has none of its own")
        return found

    async def in_use(self, kind: GroupKind) -> list[GroupInUse]:
        """The groups of this kind of open areas."""
        async with self._db.read() as connection:
            groups = await stored.of_open_areas(connection, kind)
            ids = [group.area_id for group in groups]
            areas, paths = await stored_areas.named(connection, ids), await stored_areas.paths(connection, ids)
        return [GroupInUse(group, areas[group.area_id].name, frozenset(paths[group.area_id])) for group in groups]

    async def give(self, group: AreaGroup, act: Act) -> None:
        """Give an open area a group in place of its earlier one of that kind.

        NotFound; Conflict for a closed area, for a group that is another's, and for one more than MOST.
        """
        async with self._db.write() as connection:
            area = await stored_areas.get(connection, group.area_id)
            require_open(area)
            before = await stored.find(connection, group.area_id, group.kind)
            if before == group:
                return
            other = await stored.holder(connection, group.host, group.port)
            if other is not None and (other.area_id, other.kind) != (group.area_id, group.kind):
                whose = await stored_areas.get(connection, other.area_id)
                if whose.open:
                    raise Conflict(f"the group {group.host} port {group.port} is that of {whose.name}")
                await stored.delete(connection, other.area_id, other.kind)
            if before is None and len(await stored.of_open_areas(connection, group.kind)) >= MOST[group.kind]:
                raise Conflict(f"there are {MOST[group.kind]} groups of this kind already")
            await stored.save(connection, group)
            await self._record(connection, act, _ACTIONS[group.kind], group.area_id, before, group)

    async def take_away(self, area_id: bytes, kind: GroupKind, act: Act) -> None:
        """Take an area's group of this kind away; NotFound when it has none."""
        async with self._db.write() as connection:
            await stored_areas.get(connection, area_id)
            before = await stored.find(connection, area_id, kind)
            if before is None:
                raise NotFound(f"the area {id_text(area_id)} has none of its own")
            await stored.delete(connection, area_id, kind)
            await self._record(connection, act, f"{_ACTIONS[kind]}-off", area_id, before, None)

    @staticmethod
    async def _record(
        connection: AsyncConnection,
        act: Act,
        action: str,
        area_id: bytes,
        before: AreaGroup | None,
        after: AreaGroup | None,
    ) -> None:
        await journal.record(
            connection,
            act,
            action,
            f"area:{id_text(area_id)}",
            areas=[area_id],
            before=described(before) if before else None,
            after=described(after) if after else None,
        )


def described(group: AreaGroup) -> dict[str, object]:
    """A group as the journal tells of it."""
    return {
        "address": group.host,
        "port": group.port,
        "ttl": group.ttl,
        "interface": group.interface,
        "loop": group.loop,
        "source": group.source,
    }
