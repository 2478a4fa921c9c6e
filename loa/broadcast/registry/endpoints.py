"""Enrolled devices: who there is, where each stands and stood, and who is meant by a list of targets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy.ext.asyncio import AsyncConnection

from loa.broadcast.journal import journal
from loa.broadcast.journal.act import Act
from loa.broadcast.journal.journal import Deed
from loa.broadcast.names import MAX_NOTE, clean, tidy
from loa.broadcast.records import AreaVersion, Endpoint, Stay
from loa.broadcast.registry.areas import require_open
from loa.broadcast.registry.edits import KEEP, EndpointEdit
from loa.broadcast.registry.effect import takes_effect
from loa.broadcast.store import area_history as stored_history
from loa.broadcast.store import areas as stored_areas
from loa.broadcast.store import endpoint_places as stored_places
from loa.broadcast.store import endpoints as stored
from loa.broadcast.store.database import Database
from loa.broadcast.store.endpoints import EndpointFilter
from loa.broadcast.store.paging import FIRST, Page
from loa.codecs.statement_wire import Placement
from loa.errors import Changed, Conflict, NotFound
from loa.model import id_text

EVERY_ENDPOINT = EndpointFilter()


def described(endpoint: Endpoint) -> dict[str, object]:
    """An endpoint as the journal tells of it."""
    return {
        "name": endpoint.name,
        "kind": str(endpoint.kind),
        "area_id": id_text(endpoint.area_id),
        "lat": endpoint.position and endpoint.position.lat,
        "lon": endpoint.position and endpoint.position.lon,
        "note": endpoint.note,
    }


@dataclass(frozen=True, slots=True)
class StoodAt:
    """Where an endpoint stood at an instant: `path` from the top of the tree of then down to its area."""

    stay: Stay
    path: tuple[AreaVersion, ...]


class Endpoints:
    """All endpoints."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def get(self, endpoint_id: bytes) -> Endpoint:
        """The endpoint, revoked or not; NotFound."""
        async with self._db.read() as connection:
            return await stored.get(connection, endpoint_id)

    async def list(self, page: Page = FIRST, only: EndpointFilter = EVERY_ENDPOINT) -> list[Endpoint]:
        """A page of the endpoints; BadCursor. Unknown areas give nothing."""
        async with self._db.read() as connection:
            return await stored.page(connection, page, only)

    async def count(self) -> int:
        """How many are enrolled and not revoked."""
        async with self._db.read() as connection:
            return await stored.count(connection)

    async def require_targets(self, areas: Sequence[bytes], endpoints: Sequence[bytes]) -> None:
        """NotFound for an area or endpoint that does not exist, and for an area that has been closed."""
        async with self._db.read() as connection:
            _all_known("open area", areas, await stored_areas.known(connection, areas))
            _all_known("endpoint", endpoints, {each.id for each in await stored.named(connection, endpoints)})

    async def edit(
        self,
        endpoint_id: bytes,
        edit: EndpointEdit,
        act: Act,
        *,
        expected_version: int | None = None,
        at_ms: int | None = None,
    ) -> Endpoint:
        """Rename, move, place or annotate an endpoint; a move takes effect from `at_ms` (None: now).

        When its area has changed, `hub.moved` is to be told. NotFound; Changed when its version is not the expected
        one; Conflict for a move into a closed area, of a revoked endpoint, or before its last one; PlaceError.
        """
        async with self._db.write() as connection:
            before = await stored.get(connection, endpoint_id)
            if expected_version not in (None, before.version):
                raise Changed(f"the endpoint {before.name} has been changed meanwhile")
            after = _edited(before, edit)
            if after == before:
                return before
            if after.area_id != before.area_id:
                await self._move(connection, [before], after.area_id, act, at_ms)
            after = replace(after, version=before.version + 1)
            await stored.describe(connection, after)
            await journal.record_all(connection, act, [_deed(before, after)])
            return await stored.get(connection, endpoint_id)

    async def move(
        self, seen: Mapping[bytes, int], area_id: bytes, act: Act, *, at_ms: int | None = None
    ) -> Sequence[bytes]:
        """Move endpoints into an area together, with effect from `at_ms` (None: now); those that stood elsewhere.

        `seen`: the version in which each has been seen. `hub.moved` is to be told of the answer. NotFound for one
        that does not exist; Changed, and Conflict as `edit`: then none moves.
        """
        async with self._db.write() as connection:
            found = await stored.named(connection, seen)
            _all_known("endpoint", sorted(seen), {endpoint.id for endpoint in found})
            for endpoint in found:
                if endpoint.version != seen[endpoint.id]:
                    raise Changed(f"the endpoint {endpoint.name} has been changed meanwhile")
            moving = [endpoint for endpoint in found if endpoint.area_id != area_id]
            if moving:
                await self._move(connection, moving, area_id, act, at_ms)
                deeds = [_deed(before, replace(before, area_id=area_id)) for before in moving]
                await journal.record_all(connection, act, deeds)
        return [endpoint.id for endpoint in moving]

    @staticmethod
    async def _move(
        connection: AsyncConnection, moving: Sequence[Endpoint], area_id: bytes, act: Act, at_ms: int | None
    ) -> None:
        area = await stored_areas.get(connection, area_id)
        require_open(area)
        if any(endpoint.revoked_ms is not None for endpoint in moving):
            raise Conflict("a revoked endpoint stands nowhere and cannot move")
        since_ms = await stored_places.since(connection, [endpoint.id for endpoint in moving])
        effect_ms = takes_effect(at_ms, act.now_ms, [area.valid_from_ms, *since_ms.values()])
        await stored.move(connection, dict.fromkeys((endpoint.id for endpoint in moving), area_id), effect_ms)

    async def revoke(self, endpoint_id: bytes, act: Act) -> Endpoint:
        """Revoke the endpoint for good; NotFound. Revoking again changes nothing."""
        async with self._db.write() as connection:
            endpoint = await stored.get(connection, endpoint_id)
            if endpoint.revoked_ms is not None:
                return endpoint
            await stored.set_revoked(connection, endpoint_id, act.now_ms)
            subject = f"endpoint:{id_text(endpoint_id)}"
            await journal.record(connection, act, "endpoint.revoke", subject, areas=[endpoint.area_id])
        return replace(endpoint, revoked_ms=act.now_ms, version=endpoint.version + 1)

    async def stays(self, endpoint_id: bytes) -> Sequence[Stay]:
        """Where the endpoint has stood, in order; NotFound."""
        async with self._db.read() as connection:
            await stored.get(connection, endpoint_id)
            return await stored_places.stays(connection, endpoint_id)

    async def history(self, endpoint_id: bytes, most: int) -> Sequence[StoodAt]:
        """Where the endpoint has stood, at most the last `most` times, each with the tree of when it began;
        NotFound."""
        async with self._db.read() as connection:
            await stored.get(connection, endpoint_id)
            stays = (await stored_places.stays(connection, endpoint_id))[-most:]
            paths = [await stored_history.path_at(connection, stay.area_id, stay.from_ms) for stay in stays]
            return [StoodAt(stay, tuple(path)) for stay, path in zip(stays, paths, strict=True)]

    async def stood_at(self, endpoint_id: bytes, at_ms: int) -> StoodAt:
        """Where the endpoint stood at `at_ms`; NotFound when it did not exist, was not enrolled yet or was
        revoked."""
        async with self._db.read() as connection:
            stay = await stored_places.stay_at(connection, endpoint_id, at_ms)
            return StoodAt(stay, tuple(await stored_history.path_at(connection, stay.area_id, at_ms)))

    async def placement(self, endpoint: Endpoint) -> Placement:
        """Where the endpoint stands, to be sealed by the order key."""
        async with self._db.read() as connection:
            path = await stored_areas.path(connection, endpoint.area_id)
        return Placement(endpoint.id, endpoint.placement_serial, path)

    async def placed(self, endpoint_ids: Iterable[bytes]) -> Sequence[tuple[Endpoint, Placement]]:
        """Those of these endpoints that exist, revoked or not, with where they stand, as of one instant."""
        async with self._db.read() as connection:
            found = await stored.named(connection, endpoint_ids)
            paths = await stored_areas.paths(connection, {endpoint.area_id for endpoint in found})
        return [
            (each, Placement(each.id, each.placement_serial, tuple(reversed(paths[each.area_id]))))
            for each in found
        ]


def _edited(before: Endpoint, edit: EndpointEdit) -> Endpoint:
    after = before
    if edit.name is not KEEP:
        after = replace(after, name=clean(edit.name, "the name"))
    if edit.area_id is not KEEP:
        after = replace(after, area_id=edit.area_id)
    if edit.position is not KEEP:
        after = replace(after, position=edit.position)
    if edit.note is not KEEP:
        after = replace(after, note=tidy(edit.note, "the note", MAX_NOTE))
    return after


def _deed(before: Endpoint, after: Endpoint) -> Deed:
    action = "endpoint.change" if after.area_id == before.area_id else "endpoint.move"
    areas = {before.area_id, after.area_id}
    return Deed(action, f"endpoint:{id_text(before.id)}", areas, described(before), described(after))


def _all_known(what: str, wanted: Iterable[bytes], known: set[bytes]) -> None:
    for identifier in wanted:
        if identifier not in known:
            raise NotFound(f"no {what} {id_text(identifier)}")
