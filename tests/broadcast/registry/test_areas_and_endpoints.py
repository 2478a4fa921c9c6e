"""The tree of areas, and who is meant by a list of targets."""

from __future__ import annotations

from dataclasses import replace

import pytest

from loa.broadcast.journal.act import system
from loa.broadcast.records import Area, Endpoint
from loa.broadcast.registry.areas import Areas
from loa.broadcast.registry.endpoints import Endpoints
from loa.broadcast.store import areas as stored_areas
from loa.broadcast.store import endpoints as stored_endpoints
from loa.broadcast.store.database import Database
from loa.broadcast.store.endpoints import EndpointFilter
from loa.broadcast.store.paging import Page
from loa.broadcast.store.tables import area as area_table
from loa.errors import Conflict, NotFound, StoreError
from loa.model import EndpointKind, new_id

NOW_MS = 1_790_000_000_000
NOBODY = b"\xff" * 16


async def _tree(db: Database) -> dict[str, Area]:
    areas = Areas(db)
    city = await areas.create(None, "Thành phố", "city", "31", system(NOW_MS))
    north = await areas.create(city.id, "Bắc", "district", None, system(NOW_MS + 1))
    south = await areas.create(city.id, "Nam", "district", None, system(NOW_MS + 2))
    hamlet = await areas.create(north.id, "Thôn 1", "hamlet", None, system(NOW_MS + 3))
    return {"city": city, "north": north, "south": south, "hamlet": hamlet}


async def _endpoint(db: Database, area: Area, name: str, at_ms: int) -> Endpoint:
    endpoint = Endpoint(new_id(at_ms), EndpointKind.SPEAKER, name, area.id, b"k" * 32, at_ms, None, 1)
    async with db.write() as connection:
        await stored_endpoints.insert(connection, endpoint)
    return endpoint


async def test_a_path_goes_from_the_top_down_and_a_subtree_holds_all_below(db: Database) -> None:
    tree, areas = await _tree(db), Areas(db)
    assert await areas.path(tree["hamlet"].id) == (tree["city"].id, tree["north"].id, tree["hamlet"].id)
    assert await areas.subtree(tree["city"].id) == {area.id for area in tree.values()}
    assert await areas.subtree(tree["north"].id) == {tree["north"].id, tree["hamlet"].id}
    assert await areas.get(tree["south"].id) == tree["south"]


async def test_areas_are_listed_in_pages(db: Database) -> None:
    tree, areas = await _tree(db), Areas(db)
    first = await areas.list(Page(limit=3))
    rest = await areas.list(Page(limit=3).behind(first[-1]))
    assert [*first, *rest] == list(tree.values())


async def test_unknown_areas_are_not_found(db: Database) -> None:
    areas = Areas(db)
    for question in (areas.get(NOBODY), areas.path(NOBODY), areas.subtree(NOBODY)):
        with pytest.raises(NotFound):
            await question
    with pytest.raises(NotFound):
        await areas.create(NOBODY, "Nowhere", "commune", None, system(NOW_MS))


async def test_an_official_code_is_used_once(db: Database) -> None:
    await _tree(db)
    with pytest.raises(Conflict):
        await Areas(db).create(None, "Another", "city", "31", system(NOW_MS))


async def test_the_tree_is_sixteen_levels_deep_and_no_deeper(db: Database) -> None:
    areas, parent = Areas(db), None
    for level in range(16):
        parent = (await areas.create(parent, f"level {level}", "level", None, system(NOW_MS + level))).id
    assert parent is not None
    assert len(await areas.path(parent)) == 16
    with pytest.raises(Conflict, match="16 levels"):
        await areas.create(parent, "too deep", "level", None, system(NOW_MS))


async def test_a_loop_in_the_tree_ends_in_an_error_and_not_in_a_loop(db: Database) -> None:
    one, two = new_id(1), new_id(2)
    async with db.write() as connection:
        await stored_areas.insert(connection, Area(one, None, "one", "x", None, 1))
        await stored_areas.insert(connection, Area(two, one, "two", "x", None, 1))
        await connection.execute(area_table.update().where(area_table.c.id == one).values(parent_id=two))
    assert await Areas(db).subtree(one) == {one, two}
    with pytest.raises(StoreError, match="deeper"):
        await Areas(db).path(one)


async def test_a_target_that_does_not_exist_is_not_found(db: Database) -> None:
    tree, endpoints = await _tree(db), Endpoints(db)
    with pytest.raises(NotFound, match="area"):
        await endpoints.require_targets([tree["north"].id, NOBODY], [])
    with pytest.raises(NotFound, match="endpoint"):
        await endpoints.require_targets([tree["north"].id], [NOBODY])


async def test_targets_that_exist_are_good_and_a_revoked_endpoint_still_exists(db: Database) -> None:
    tree, endpoints = await _tree(db), Endpoints(db)
    a = await _endpoint(db, tree["hamlet"], "a", NOW_MS)
    await endpoints.revoke(a.id, system(NOW_MS))
    await endpoints.require_targets([tree["north"].id, tree["hamlet"].id], [a.id])
    await endpoints.require_targets([], [])


async def test_endpoints_are_listed_in_pages_and_by_area(db: Database) -> None:
    tree, endpoints = await _tree(db), Endpoints(db)
    made = [await _endpoint(db, tree["hamlet"], f"e{n}", NOW_MS + n) for n in range(5)]
    other = await _endpoint(db, tree["south"], "other", NOW_MS + 9)
    assert await endpoints.list() == [*made, other]
    assert await endpoints.list(Page(limit=2).behind(made[1])) == made[2:4]

    async def within(*areas: bytes) -> list[Endpoint]:
        return await endpoints.list(only=EndpointFilter(within=frozenset(areas)))

    assert await within(tree["north"].id) == made
    assert await within(tree["south"].id) == [other]
    assert await within(NOBODY) == []
    assert await within() == []


async def test_those_that_are_not_revoked_are_counted(db: Database) -> None:
    tree, endpoints = await _tree(db), Endpoints(db)
    assert await endpoints.count() == 0
    made = [await _endpoint(db, tree["hamlet"], f"e{n}", NOW_MS + n) for n in range(3)]
    await endpoints.revoke(made[1].id, system(NOW_MS))
    assert await endpoints.count() == 2


async def test_revoking_is_for_good_and_its_first_time_stays(db: Database) -> None:
    tree, endpoints = await _tree(db), Endpoints(db)
    a = await _endpoint(db, tree["hamlet"], "a", NOW_MS)
    assert await endpoints.revoke(a.id, system(NOW_MS + 5)) == replace(a, revoked_ms=NOW_MS + 5, version=2)
    assert await endpoints.revoke(a.id, system(NOW_MS + 9)) == await endpoints.get(a.id)
    assert (await endpoints.get(a.id)).revoked_ms == NOW_MS + 5
    with pytest.raises(NotFound):
        await endpoints.revoke(NOBODY, system(NOW_MS))


async def test_a_placement_tells_the_path(db: Database) -> None:
    tree, endpoints = await _tree(db), Endpoints(db)
    a = await _endpoint(db, tree["hamlet"], "a", NOW_MS)
    placement = await endpoints.placement(a)
    assert (placement.endpoint_id, placement.serial) == (a.id, 1)
    assert placement.areas == await Areas(db).path(tree["hamlet"].id)
