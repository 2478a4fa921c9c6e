"""What the HTTP face needs of the rooms below it, as one value that `app` fills in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from aiohttp import web

from loa.broadcast.air.director import Director
from loa.broadcast.air.group_keeper import GroupKeeper
from loa.broadcast.air.hub import Hub
from loa.broadcast.content.library import Library
from loa.broadcast.content.uploads import Uploads
from loa.broadcast.journal.feed import Feed
from loa.broadcast.journal.ledger import Ledger
from loa.broadcast.listen.desk import ListenDesk
from loa.broadcast.live.endpoint_states import EndpointStates
from loa.broadcast.orders.book import IssuedOrders
from loa.broadcast.orders.receipts import Receipts
from loa.broadcast.people.people import People
from loa.broadcast.records import Broadcast, Endpoint
from loa.broadcast.registry.area_groups import AreaGroups
from loa.broadcast.registry.areas import Areas
from loa.broadcast.registry.endpoints import Endpoints
from loa.broadcast.registry.enrolment import Enrolments
from loa.broadcast.registry.importer import Importer
from loa.broadcast.registry.reorganiser import Reorganiser
from loa.broadcast.store.broadcasts import BroadcastFilter, Broadcasts
from loa.broadcast.store.paging import Page
from loa.broadcast.store.programmes import Programmes
from loa.broadcast.store.remembered import Remembered
from loa.config import CoreConfig
from loa.control_api.bearer import BearerTokens
from loa.control_api.rate_limits import RateLimits
from loa.timing.clock import Clock

if TYPE_CHECKING:
    from loa.control_api.hand_over import HandOver


class ShownBroadcasts(Protocol):
    """Broadcasts as they are known here: as they are now by the chronicle, or as they are written down."""

    async def get(self, broadcast_id: bytes) -> Broadcast:
        """The broadcast; NotFound."""

    async def list(self, page: Page, only: BroadcastFilter) -> list[Broadcast]:
        """A page of the broadcasts; BadCursor."""


@dataclass(frozen=True, slots=True)
class CoreRooms:
    """What only the core has. `enrolments` answer claims too."""

    hub: Hub
    director: Director
    enrolments: Enrolments
    groups: GroupKeeper
    listeners: ListenDesk


@dataclass(frozen=True, slots=True)
class Services:
    """The rooms behind the routes. `not_ready` says in words what is missing, or nothing.

    `core`: the core's own rooms, or the way to the process that has them. `shown`: broadcasts as they are to be
    shown here. `endpoint_of`, `reach_of`: endpoints, and from which areas one is reached (Areas.reach), as they are
    or were a moment ago, for what every request asks. `closing`: set when the process goes down, so that answers
    without an end come to one.
    """

    config: CoreConfig
    clock: Clock
    areas: Areas
    area_groups: AreaGroups
    reorganiser: Reorganiser
    importer: Importer
    endpoints: Endpoints
    enrolments: Enrolments
    programmes: Programmes
    library: Library
    uploads: Uploads
    broadcasts: Broadcasts
    shown: ShownBroadcasts
    states: EndpointStates
    orders: IssuedOrders
    receipts: Receipts
    tokens: BearerTokens
    people: People
    ledger: Ledger
    feed: Feed
    limits: RateLimits
    core: CoreRooms | HandOver
    closing: asyncio.Event
    endpoint_of: Remembered[bytes, Endpoint]
    reach_of: Remembered[bytes, frozenset[bytes]]
    metrics: Callable[[], bytes]
    not_ready: Callable[[], str]

    @property
    def now_ms(self) -> int:
        """UTC in milliseconds."""
        return self.clock.utc_ns() // 1_000_000


SERVICES = web.AppKey("services", Services)
