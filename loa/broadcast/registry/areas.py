"""The administrative tree."""

from __future__ import annotations

from loa.broadcast.journal import journal
from loa.broadcast.journal.act import Act
from loa.broadcast.records import Area
from loa.broadcast.store import areas as stored
from loa.broadcast.store.areas import AreaFilter
from loa.broadcast.store.database import Database
from loa.broadcast.store.paging import FIRST, Page
from loa.codecs.statement_wire import MAX_DEPTH_OF_AREAS
from loa.errors import Conflict
from loa.model import id_text, new_id

EVERY_AREA = AreaFilter()


def described(area: Area) -> dict[str, str | None]:
    """An area as the journal tells of it."""
    parent = None if area.parent_id is None else id_text(area.parent_id)
    return {"name": area.name, "level": area.level, "code": area.code, "parent_id": parent}


class Areas:
    """All areas. The tree is at most MAX_DEPTH_OF_AREAS deep."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def create(self, parent_id: bytes | None, name: str, level: str, code: str | None, act: Act) -> Area:
        """A new area under `parent_id` (None: a top). NotFound; Conflict for a code in use or a tree too deep."""
        area = Area(new_id(act.now_ms), parent_id, name, level, code, act.now_ms)
        async with self._db.write() as connection:
            if parent_id is not None and len(await stored.path(connection, parent_id)) >= MAX_DEPTH_OF_AREAS:
                raise Conflict(f"the tree of areas is at most {MAX_DEPTH_OF_AREAS} levels deep")
            await stored.insert(connection, area)
            await journal.record(
                connection, act, "area.create", f"area:{id_text(area.id)}", areas=[area.id], after=described(area)
            )
        return area

    async def get(self, area_id: bytes) -> Area:
        """The area; NotFound."""
        async with self._db.read() as connection:
            return await stored.get(connection, area_id)

    async def list(self, page: Page = FIRST, only: AreaFilter = EVERY_AREA) -> list[Area]:
        """A page of the areas; BadCursor."""
        async with self._db.read() as connection:
            return await stored.page(connection, page, only)

    async def path(self, area_id: bytes) -> tuple[bytes, ...]:
        """The ids from the top of the tree down to the area itself; NotFound."""
        async with self._db.read() as connection:
            return await stored.path(connection, area_id)

    async def subtree(self, area_id: bytes) -> set[bytes]:
        """The ids of the area and of all below it; NotFound."""
        async with self._db.read() as connection:
            await stored.get(connection, area_id)
            return await stored.subtrees(connection, [area_id])
