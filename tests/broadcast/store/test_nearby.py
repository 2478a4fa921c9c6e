"""Which programmes and broadcasts concern an area: what is in it, below it and above it, and not the neighbours."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from loa.broadcast.journal.act import system
from loa.broadcast.records import Area, Broadcast, Endpoint
from loa.broadcast.registry.areas import Areas
from loa.broadcast.store import endpoints as stored_endpoints
from loa.broadcast.store.broadcasts import BroadcastFilter, Broadcasts
from loa.broadcast.store.database import Database
from loa.broadcast.store.programmes import ProgrammeFilter, Programmes
from loa.model import EndpointKind, new_id
from tests.broadcast.conftest import NOW_MS
from tests.broadcast.orders.standing import a_broadcast, a_programme, store_broadcast

ACT = system(NOW_MS)


class Tree:
    """Twelve areas under two tops, with an endpoint in each."""

    def __init__(self) -> None:
        self.areas: list[Area] = []
        self.endpoint_in: dict[bytes, bytes] = {}

    async def grow(self, db: Database, dice: random.Random) -> None:
        areas = Areas(db)
        for number in range(12):
            parent = None if number < 2 else dice.choice(self.areas)
            deep = parent is not None and len(self.path(parent.id)) >= 4
            parent_id = None if parent is None or deep else parent.id
            self.areas.append(await areas.create(parent_id, f"Xã {number}", "commune", None, ACT))
        async with db.write() as connection:
            for area in self.areas:
                endpoint = Endpoint(
                    new_id(NOW_MS), EndpointKind.SPEAKER, "Loa", area.id, b"k" * 32, NOW_MS, None, 1
                )
                await stored_endpoints.insert(connection, endpoint)
                self.endpoint_in[area.id] = endpoint.id

    def path(self, area_id: bytes) -> set[bytes]:
        parents = {area.id: area.parent_id for area in self.areas}
        found: set[bytes] = set()
        at: bytes | None = area_id
        while at is not None:
            found.add(at)
            at = parents[at]
        return found

    def near(self, one: bytes, other: bytes) -> bool:
        return one in self.path(other) or other in self.path(one)


@pytest.fixture
async def tree(db: Database) -> Tree:
    grown = Tree()
    await grown.grow(db, random.Random(11))
    return grown


async def test_a_programme_is_seen_from_above_and_from_below_and_the_citys_from_everywhere(
    db: Database, tree: Tree
) -> None:
    programmes = Programmes(db)
    of = {}
    for area_id in (None, *(area.id for area in tree.areas)):
        of[area_id] = await a_programme(db, area_id)
    for area in tree.areas:
        seen = {each.id for each in await programmes.list(only=ProgrammeFilter(seen_from=frozenset([area.id])))}
        expected = {of[each].id for each in of if each is None or tree.near(each, area.id)}
        assert seen == expected
        within = {each.id for each in await programmes.list(only=ProgrammeFilter(area_id=area.id))}
        assert within == {of[each].id for each in of if each is not None and area.id in tree.path(each)}
    first, second = tree.areas[0].id, tree.areas[-1].id
    both = await programmes.list(only=ProgrammeFilter(seen_from=frozenset([first, second]), area_id=second))
    assert {each.id for each in both} == {of[each].id for each in of if each and second in tree.path(each)}
    assert {each.area_id for each in await programmes.list(only=ProgrammeFilter(seen_from=frozenset()))} == {None}


async def test_a_broadcast_is_seen_where_it_was_heard(db: Database, tree: Tree) -> None:
    dice = random.Random(5)
    broadcasts = Broadcasts(db)
    made: list[Broadcast] = []
    for _ in range(40):
        areas = dice.sample(tree.areas, dice.randint(0, 2))
        standing = dice.sample(tree.areas, dice.randint(0 if areas else 1, 2))
        template = await a_broadcast(db, areas=tuple(area.id for area in areas))
        new = replace(template, id=new_id(NOW_MS), endpoints=tuple(tree.endpoint_in[area.id] for area in standing))
        await store_broadcast(db, new)
        made += [template, new]
    area_of = {endpoint: area for area, endpoint in tree.endpoint_in.items()}

    def concerns(broadcast: Broadcast, root: bytes) -> bool:
        whole = any(tree.near(area_id, root) for area_id in broadcast.areas)
        return whole or any(root in tree.path(area_of[each]) for each in broadcast.endpoints)

    for area in tree.areas:
        expected = {each.id for each in made if concerns(each, area.id)}
        for only in (BroadcastFilter(area_id=area.id), BroadcastFilter(seen_from=frozenset([area.id]))):
            rows = await broadcasts.list(only=only)
            assert {row.id for row in rows} == expected
        for each in made:
            assert await broadcasts.is_near(each.id, frozenset([area.id])) == (each.id in expected)
    here, there = tree.areas[3].id, tree.areas[7].id
    both = await broadcasts.list(only=BroadcastFilter(area_id=here, seen_from=frozenset([there])))
    assert {row.id for row in both} == {e.id for e in made if concerns(e, here) and concerns(e, there)}
    assert await broadcasts.list(only=BroadcastFilter(seen_from=frozenset())) == []
