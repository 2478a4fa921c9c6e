"""What concerns an area: what is in it, below it or above it. Conditions for queries.

Who looks after a commune hears what the whole district and what a hamlet of the commune is told, and not the
neighbours. Areas are followed by UNION, each once, so that even a loop in the tree comes to an end.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import CTE, ColumnElement, and_, or_, select

from loa.broadcast.store.tables import area, broadcast, broadcast_target


def near(column: ColumnElement[bytes], areas: Collection[bytes], name: str) -> ColumnElement[bool]:
    """Whether the area in `column` is one of `areas`, below one, or above one.

    `name` tells the tables of one query apart.
    """
    down, up = below(areas, name), above(areas, name)
    return or_(column.in_(select(down.c.id)), column.in_(select(up.c.id)))


def within(column: ColumnElement[bytes], areas: Collection[bytes], name: str) -> ColumnElement[bool]:
    """Whether the area in `column` is one of `areas` or below one."""
    return column.in_(select(below(areas, name).c.id))


def broadcast_near(areas: Collection[bytes], name: str) -> ColumnElement[bool]:
    """Whether a broadcast was for one of `areas`, for something in one, or for all of an area above one."""
    target = broadcast_target
    down, up = below(areas, name), above(areas, name)
    meant = or_(
        target.c.area_id.in_(select(down.c.id)), and_(target.c.whole, target.c.area_id.in_(select(up.c.id)))
    )
    return broadcast.c.id.in_(select(target.c.broadcast_id).where(meant))


def below(areas: Collection[bytes], name: str) -> CTE:
    """A table of the ids of these areas and of all below them."""
    found = select(area.c.id).where(area.c.id.in_(sorted(areas))).cte(f"{name}_below", recursive=True)
    return found.union(select(area.c.id).join(found, area.c.parent_id == found.c.id))


def above(areas: Collection[bytes], name: str) -> CTE:
    """A table of the ids of these areas and of all above them."""
    found = (
        select(area.c.id, area.c.parent_id).where(area.c.id.in_(sorted(areas))).cte(f"{name}_above", recursive=True)
    )
    return found.union(select(area.c.id, area.c.parent_id).join(found, area.c.id == found.c.parent_id))
