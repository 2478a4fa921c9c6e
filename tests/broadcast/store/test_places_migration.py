"""A store from before places had a history gets one, and can go back."""

from __future__ import annotations

from sqlalchemy import Connection, text

from loa.broadcast.registry.areas import Areas
from loa.broadcast.registry.endpoints import Endpoints
from loa.broadcast.store.areas import AreaFilter
from loa.broadcast.store.database import Database, migrate, migrate_down

BEFORE = "0003"
CITY, COMMUNE, SPEAKER, GONE = (bytes([number]) * 16 for number in range(4))


def _fill(connection: Connection) -> None:
    area = (
        "INSERT INTO area (id, parent_id, name, level, code, created_ms) VALUES (:id, :up, :name, 'x', :code, :at)"
    )
    connection.execute(text(area), {"id": CITY, "up": None, "name": "Hải Phòng", "code": "31", "at": 100})
    connection.execute(text(area), {"id": COMMUNE, "up": CITY, "name": "Phù Liễn", "code": None, "at": 200})
    endpoint = (
        "INSERT INTO endpoint (id, kind, name, area_id, device_key, enrolled_ms, revoked_ms, placement_serial)"
        " VALUES (:id, 'speaker', 'Loa Đồng', :area, :key, :at, :gone, 3)"
    )
    key = b"k" * 32
    connection.execute(text(endpoint), {"id": SPEAKER, "area": COMMUNE, "key": key, "at": 300, "gone": None})
    connection.execute(text(endpoint), {"id": GONE, "area": COMMUNE, "key": key, "at": 300, "gone": 400})


async def test_what_there_was_has_been_so_since_it_was_made(db: Database) -> None:
    async with db.write() as connection:
        await connection.run_sync(migrate_down, BEFORE)
        await connection.run_sync(_fill)
        await connection.run_sync(migrate)
    areas, endpoints = Areas(db), Endpoints(db)
    assert [[area.id for area in await areas.tree_at(at_ms)] for at_ms in (99, 100, 199, 200)] == [
        [], [CITY], [CITY], [CITY, COMMUNE],
    ]  # fmt: skip
    assert [area.name for area in await areas.path_at(COMMUNE, 200)] == ["Hải Phòng", "Phù Liễn"]
    assert [area.id for area in await areas.list(only=AreaFilter(q="phu lien"))] == [COMMUNE]
    assert (await areas.get(CITY)).valid_from_ms == 100
    stays = {stay.endpoint_id: stay for each in (SPEAKER, GONE) for stay in await endpoints.stays(each)}
    assert (stays[SPEAKER].from_ms, stays[SPEAKER].until_ms, stays[SPEAKER].area_id) == (300, None, COMMUNE)
    assert (stays[GONE].from_ms, stays[GONE].until_ms) == (300, 400)
    assert (await endpoints.get(SPEAKER)).placement_serial == 3

    def rows(connection: Connection) -> list[tuple[object, ...]]:
        found = connection.execute(text("SELECT id, parent_id, name, code, created_ms FROM area ORDER BY id"))
        return [tuple(row) for row in found]

    async with db.write() as connection:
        before = await connection.run_sync(rows)
        await connection.run_sync(migrate_down, BEFORE)
        assert await connection.run_sync(rows) == before
        await connection.run_sync(migrate)
