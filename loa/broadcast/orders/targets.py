"""Whom stored orders mean. Receipts ask it often: an order is decoded once, and places are looked up in bulk."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from loa.broadcast.store import area_history as stored_history
from loa.broadcast.store import areas as stored_areas
from loa.broadcast.store import endpoint_places as stored_places
from loa.broadcast.store import endpoints as stored_endpoints
from loa.broadcast.store import orders as stored_orders
from loa.codecs.order_wire import Bundle, Order
from loa.errors import WireError

KEPT_ORDERS = 64

log = structlog.get_logger("loa.orders")


@dataclass(frozen=True, slots=True)
class Targets:
    """The areas and endpoints that an order names, and when it was issued."""

    areas: frozenset[bytes]
    endpoints: frozenset[bytes]
    issued_ms: int = 0

    def mean(self, endpoint_id: bytes, place: Collection[bytes]) -> bool:
        """Whether an endpoint with this id, in these areas, is meant."""
        return endpoint_id in self.endpoints or not self.areas.isdisjoint(place)


class OrderTargets:
    """The targets of stored orders. Orders never change, so the last KEPT_ORDERS that were asked for are kept."""

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, Targets] = OrderedDict()

    async def of(self, connection: AsyncConnection, order_ids: Collection[bytes]) -> dict[bytes, Targets]:
        """The targets of those of the ids that are orders."""
        found = {order_id: self._kept[order_id] for order_id in order_ids if order_id in self._kept}
        missing = [order_id for order_id in order_ids if order_id not in found]
        if missing:
            bundles = await stored_orders.bundles(connection, missing)
            found |= {order_id: _targets(order_id, bundle) for order_id, bundle in bundles.items()}
        self._keep(found)
        return found

    def _keep(self, found: Mapping[bytes, Targets]) -> None:
        for order_id, targets in found.items():
            self._kept[order_id] = targets
            self._kept.move_to_end(order_id)
        while len(self._kept) > KEPT_ORDERS:
            self._kept.popitem(last=False)


async def places(connection: AsyncConnection, endpoint_ids: Iterable[bytes]) -> dict[bytes, frozenset[bytes]]:
    """For each of these endpoints that exists: the areas it stands in, from its own to the top."""
    area_of = await stored_endpoints.areas_of(connection, endpoint_ids)
    paths = await stored_areas.paths(connection, area_of.values())
    return {endpoint_id: frozenset(paths.get(area_id, ())) for endpoint_id, area_id in area_of.items()}


async def places_since(
    connection: AsyncConnection, endpoint_ids: Iterable[bytes], since_ms: int
) -> dict[bytes, frozenset[bytes]]:
    """For each of these endpoints: the areas it has stood in, or under, at any time from `since_ms` on.

    With them all that became one of these areas by what was written down since, and dated back to before.
    """
    stayed = await stored_places.stayed_since(connection, endpoint_ids, since_ms)
    parents = await stored_history.parents_since(connection, set().union(*stayed.values()), since_ms)
    found: dict[bytes, frozenset[bytes]] = {}
    for endpoint_id, areas in stayed.items():
        above = _closure(areas, parents)
        found[endpoint_id] = frozenset(
            above | await stored_history.forebears_dated_back(connection, above, since_ms)
        )
    return found


def _closure(areas: Iterable[bytes], parents: Mapping[bytes, Collection[bytes]]) -> set[bytes]:
    found: set[bytes] = set()
    asking = set(areas)
    while asking:
        found |= asking
        asking = {parent for area in asking for parent in parents.get(area, ())} - found
    return found


def _targets(order_id: bytes, bundle: bytes) -> Targets:
    try:
        order = Order.decode(Bundle.decode(bundle).envelope.body)
    except WireError as error:
        # One order that cannot be read means nobody; it must not stop the receipts of all others.
        log.error("a stored order cannot be read", order_id=order_id.hex(), error=str(error))
        return Targets(frozenset(), frozenset())
    return Targets(frozenset(order.areas), frozenset(order.endpoints), order.issued_ms)
