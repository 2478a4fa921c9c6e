"""Enrolled devices: who there is, where each stands, and who is meant by a list of targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from loa.broadcast.journal import journal
from loa.broadcast.journal.act import Act
from loa.broadcast.records import Endpoint
from loa.broadcast.store import areas as stored_areas
from loa.broadcast.store import endpoints as stored
from loa.broadcast.store.database import Database
from loa.broadcast.store.endpoints import EndpointFilter
from loa.broadcast.store.paging import FIRST, Page
from loa.codecs.statement_wire import Placement
from loa.errors import NotFound
from loa.model import id_text

EVERY_ENDPOINT = EndpointFilter()


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

    async def targeted(self, areas: Sequence[bytes], endpoints: Sequence[bytes]) -> Sequence[Endpoint]:
        """The endpoints in the areas, below them, or named; each once, in the order of ids, none revoked.

        NotFound for an area or endpoint that does not exist.
        """
        async with self._db.read() as connection:
            _all_known("area", areas, await stored_areas.known(connection, areas))
            named = await stored.named(connection, endpoints)
            _all_known("endpoint", endpoints, {endpoint.id for endpoint in named})
            below = await stored_areas.subtrees(connection, areas)
            found = [*named, *await stored.in_areas(connection, below)]
        by_id = {endpoint.id: endpoint for endpoint in found if endpoint.revoked_ms is None}
        return [by_id[endpoint_id] for endpoint_id in sorted(by_id)]

    async def revoke(self, endpoint_id: bytes, act: Act) -> Endpoint:
        """Revoke the endpoint for good; NotFound. Revoking again changes nothing."""
        async with self._db.write() as connection:
            endpoint = await stored.get(connection, endpoint_id)
            if endpoint.revoked_ms is not None:
                return endpoint
            await stored.set_revoked(connection, endpoint_id, act.now_ms)
            subject = f"endpoint:{id_text(endpoint_id)}"
            await journal.record(connection, act, "endpoint.revoke", subject, areas=[endpoint.area_id])
        return replace(endpoint, revoked_ms=act.now_ms)

    async def placement(self, endpoint: Endpoint) -> Placement:
        """Where the endpoint stands, to be sealed by the order key."""
        async with self._db.read() as connection:
            path = await stored_areas.path(connection, endpoint.area_id)
        return Placement(endpoint.id, endpoint.placement_serial, path)


def _all_known(what: str, wanted: Sequence[bytes], known: set[bytes]) -> None:
    for identifier in wanted:
        if identifier not in known:
            raise NotFound(f"no {what} {id_text(identifier)}")
