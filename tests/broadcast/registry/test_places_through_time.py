"""Whatever happens to areas and devices: what was true at an instant is answered the same ever after."""

from __future__ import annotations

import asyncio
import random
import shutil
import tempfile
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from loa.broadcast.journal.act import Act, system
from loa.broadcast.records import Endpoint
from loa.broadcast.registry.areas import Areas
from loa.broadcast.registry.edits import AreaEdit, EndpointEdit
from loa.broadcast.registry.endpoints import Endpoints
from loa.broadcast.registry.reorganisation import Dissolve, Merge, NewArea, Part, Plan, Split, Step
from loa.broadcast.registry.reorganiser import Applied, Reorganiser
from loa.broadcast.store import endpoints as stored_endpoints
from loa.broadcast.store.database import Database
from loa.broadcast.store.tables import endpoint_place
from loa.errors import Conflict, NotFound, PlaceError
from loa.model import EndpointKind, new_id

START_MS = 1_790_000_000_000
STEP_MS = 10

Tree = dict[bytes, tuple[bytes | None, str]]
"""Each area's parent and name."""


@dataclass
class Seen:
    """What the store said at each instant, while it was now."""

    trees: dict[int, Tree] = field(default_factory=dict)
    places: dict[int, dict[bytes, bytes]] = field(default_factory=dict)

    def forget_from(self, at_ms: int) -> None:
        """A change that takes effect then may tell otherwise of what comes after."""
        for known in (self.trees, self.places):
            for instant in [each for each in known if each >= at_ms]:
                del known[instant]


class Story:
    """A city to which things happen at random, one every STEP_MS."""

    def __init__(self, db: Database, seed: int) -> None:
        self.areas, self.endpoints, self.reorganiser = Areas(db), Endpoints(db), Reorganiser(db)
        self._db = db
        self._random = random.Random(seed)
        self._now_ms = START_MS
        self._names = 0
        self.seen = Seen()
        self.refused = self.done = 0
        self._placed: dict[bytes, tuple[int, tuple[bytes, ...]]] = {}

    async def happen(self, what: str) -> None:
        """One thing; it may be refused, and then nothing has happened."""
        self._now_ms += STEP_MS
        back = self._random.choice([None, None, 3, 15, 25])
        at_ms = None if back is None else self._now_ms - back
        try:
            await getattr(self, f"_{what}")(system(self._now_ms), at_ms)
        except (Conflict, NotFound, PlaceError):
            self.refused += 1
        else:
            self.done += 1
            if at_ms is not None:
                self.seen.forget_from(at_ms)
        await self._check_placements()
        self.seen.trees[self._now_ms] = await self._tree(self._now_ms)
        self.seen.places[self._now_ms] = await self._places(self._now_ms)

    async def _check_placements(self) -> None:
        """Whatever changes of what a placement says, its serial has grown."""
        for endpoint, placement in await self.endpoints.placed([each.id for each in await self.endpoints.list()]):
            if endpoint.revoked_ms is not None:
                continue
            serial, areas = self._placed.get(endpoint.id, (0, ()))
            assert placement.serial >= serial
            assert placement.serial > serial or placement.areas == areas
            self._placed[endpoint.id] = placement.serial, placement.areas

    async def check(self) -> None:
        """All that was seen is still so, and every instant makes sense."""
        for at_ms, tree in self.seen.trees.items():
            assert await self._tree(at_ms) == tree
            assert await self._places(at_ms) == self.seen.places[at_ms]
        everybody = await self.endpoints.list()
        for at_ms in range(START_MS, self._now_ms + STEP_MS, 5):
            tree, places = await self._tree(at_ms), await self._places(at_ms)
            assert {parent for parent, _ in tree.values()} <= {None, *tree}
            assert set(places.values()) <= set(tree)
            assert set(places) == {
                each.id
                for each in everybody
                if each.enrolled_ms <= at_ms and (each.revoked_ms is None or at_ms < each.revoked_ms)
            }
        now = {area.id: (area.parent_id, area.name) for area in await self.areas.list() if area.open}
        assert await self._tree(self._now_ms) == now
        for endpoint in await self.endpoints.list():
            stays = await self.endpoints.stays(endpoint.id)
            assert all(one.until_ms == two.from_ms for one, two in pairwise(stays))
            assert all(stay.until_ms is None or stay.from_ms < stay.until_ms for stay in stays)
            at_ms = self._random.randrange(START_MS, self._now_ms)
            try:
                stood = await self.endpoints.stood_at(endpoint.id, at_ms)
            except NotFound:
                assert endpoint.id not in await self._places(at_ms)
            else:
                assert stood.path[-1].area_id == (await self._places(at_ms))[endpoint.id]
                assert stood.path[0].parent_id is None

    async def _tree(self, at_ms: int) -> Tree:
        return {area.id: (area.parent_id, area.name) for area in await self.areas.tree_at(at_ms)}

    async def _places(self, at_ms: int) -> dict[bytes, bytes]:
        async with self._db.read() as connection:
            rows = (await connection.execute(select(endpoint_place).where(endpoint_place.c.from_ms <= at_ms))).all()
        standing = [row for row in rows if row.until_ms is None or row.until_ms > at_ms]
        places = {row.endpoint_id: row.area_id for row in standing}
        assert len(places) == len(standing), "in two places at once"
        return places

    # --- what may happen --------------------------------------------------------------------------------------

    def _name(self) -> str:
        self._names += 1
        return f"n{self._names}"

    async def _some_areas(self, count: int) -> list[bytes]:
        areas = [area.id for area in await self.areas.list()]
        return self._random.sample(areas, min(count, len(areas))) or [b"\0" * 16]

    async def _some_endpoint(self) -> Endpoint:
        found = await self.endpoints.list()
        if not found:
            raise NotFound("nobody yet")
        return self._random.choice(found)

    async def _create(self, act: Act, at_ms: int | None) -> None:
        parent = self._random.choice([None, *await self._some_areas(3)])
        await self.areas.create(parent, self._name(), "x", self._name(), act, valid_from_ms=at_ms)

    async def _rename(self, act: Act, at_ms: int | None) -> None:
        (area,) = await self._some_areas(1)
        await self.areas.edit(area, AreaEdit(name=self._name()), act, at_ms=at_ms)

    async def _rehang(self, act: Act, at_ms: int | None) -> None:
        area, *parent = await self._some_areas(2)
        await self.areas.edit(area, AreaEdit(parent_id=self._random.choice([None, *parent])), act, at_ms=at_ms)

    async def _close(self, act: Act, at_ms: int | None) -> None:
        (area,) = await self._some_areas(1)
        await self.areas.close(area, act, at_ms=at_ms)

    async def _enrol(self, act: Act, _at_ms: int | None) -> None:
        (area,) = await self._some_areas(1)
        if not (await self.areas.get(area)).open:
            raise Conflict("closed")
        new = Endpoint(new_id(act.now_ms), EndpointKind.SPEAKER, self._name(), area, b"k" * 32, act.now_ms, None, 1)
        async with self._db.write() as connection:
            await stored_endpoints.insert(connection, new)

    async def _move(self, act: Act, at_ms: int | None) -> None:
        (area,) = await self._some_areas(1)
        endpoint = await self._some_endpoint()
        await self.endpoints.edit(endpoint.id, EndpointEdit(area_id=area), act, at_ms=at_ms)

    async def _revoke(self, act: Act, _at_ms: int | None) -> None:
        await self.endpoints.revoke((await self._some_endpoint()).id, act)

    async def _new(self, key: str) -> NewArea:
        return NewArea(key, self._random.choice([None, *await self._some_areas(2)]), self._name(), "x")

    async def _merge(self, act: Act, at_ms: int | None) -> None:
        sources = await self._some_areas(self._random.randint(1, 3))
        into: NewArea | bytes = await self._new("n")
        if self._random.random() < 0.5:
            (into,) = await self._some_areas(1)
        await self._reorganise(Merge(tuple(sources), into), act, at_ms)

    async def _split(self, act: Act, at_ms: int | None) -> None:
        (source,) = await self._some_areas(1)
        standing = [
            each.id for each in await self.endpoints.list() if each.area_id == source and not each.revoked_ms
        ]
        below = [area.id for area in await self.areas.list() if area.parent_id == source and area.open]
        one = Part(await self._new("a"), tuple(below[::2]), tuple(standing[::2]))
        two = Part(await self._new("b"), tuple(below[1::3]))
        keep = self._random.random() < 0.5
        await self._reorganise(Split(source, (one, two), rest=1, keep=keep), act, at_ms)

    async def _dissolve(self, act: Act, at_ms: int | None) -> None:
        await self._reorganise(Dissolve(tuple(await self._some_areas(2))), act, at_ms)

    async def _reorganise(self, step: Step, act: Act, at_ms: int | None) -> None:
        plan = await self.reorganiser.preview([step], now_ms=act.now_ms, at_ms=at_ms)
        tree = {area.id: area for area in await self.areas.list() if area.open}
        stands = {each.id: each for each in await self.endpoints.list()}
        done = await self.reorganiser.apply([step], plan.fingerprint, act, at_ms=at_ms)
        await self._as_planned(plan, done, {key: each.parent_id for key, each in tree.items()}, stands)

    async def _as_planned(
        self, plan: Plan, done: Applied, parents: dict[bytes, bytes | None], stands: dict[bytes, Endpoint]
    ) -> None:
        """What has changed is what the plan says, and nothing else."""
        ids = {key: area.id for key, area in done.opened.items()}
        expected = {
            area: parent for area, parent in parents.items() if area not in {c.area.id for c in plan.closed}
        }
        for rehung in plan.rehung:
            expected[rehung.area.id] = ids[rehung.parent] if isinstance(rehung.parent, str) else rehung.parent
        for new in plan.opened:
            expected[ids[new.key]] = ids[new.parent] if isinstance(new.parent, str) else new.parent
        assert {area.id: area.parent_id for area in await self.areas.list() if area.open} == expected
        moved = {move.endpoint.id: ids[move.to] if isinstance(move.to, str) else move.to for move in plan.moved}
        replaced = {each.id for each in plan.replaced}
        assert set(done.moved) == set(moved) | replaced
        for endpoint in await self.endpoints.list():
            before = stands[endpoint.id]
            assert endpoint.area_id == moved.get(endpoint.id, before.area_id)
            again = endpoint.id in moved or endpoint.id in replaced
            assert endpoint.placement_serial == before.placement_serial + again


WHAT = ["create", "rename", "rehang", "close", "enrol", "move", "revoke", "merge", "split", "dissolve"]


@settings(max_examples=60)
@given(st.integers(0, 2**32), st.lists(st.sampled_from(WHAT), min_size=1, max_size=30))
def test_what_was_true_stays_true_whatever_happens(empty_store: Path, seed: int, events: list[str]) -> None:
    async def tell(folder: Path) -> None:
        shutil.copy(empty_store, folder / "loa.db")
        db = await Database.open(f"sqlite+aiosqlite:///{folder / 'loa.db'}")
        try:
            story = Story(db, seed)
            for event in ("create", "create", "create", "enrol", "enrol", *events):
                await story.happen(event)
            await story.check()
        finally:
            await db.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(tell(Path(folder)))
