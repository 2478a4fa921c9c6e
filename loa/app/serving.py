"""What every process with an HTTP face is, whatever its role: opened, drained, closed."""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

from loa.app import http_face
from loa.app.health import Health
from loa.app.in_flight import InFlight
from loa.app.live import Live
from loa.app.rooms import Rooms
from loa.app.tasks import in_background
from loa.broadcast.live.endpoint_states import EndpointStates
from loa.broadcast.orders.book import IssuedOrders
from loa.broadcast.registry.enrolment import Enrolments
from loa.config import CoreConfig
from loa.control_api.application import make_application
from loa.control_api.hand_over import HandOver
from loa.control_api.handed_over import ClusterSecret
from loa.control_api.services import CoreRooms, Services, ShownBroadcasts
from loa.monitoring.metrics import make_exporter
from loa.timing.clock import Clock, SystemClock


class ServingProcess(ABC):
    """Running between the two ends of `async with`; what was opened is closed in the opposite order."""

    def __init__(self, config: CoreConfig, clock: Clock | None = None) -> None:
        self.config = config
        self.http_port = config.http_port
        self.url = ""
        """Where its HTTP face is, once it is open."""
        self.replaced = asyncio.Event()
        """Set when another process has taken this one's place: this one must end."""
        self._clock = clock or SystemClock()
        self._stack = contextlib.AsyncExitStack()
        self._closing = asyncio.Event()
        self._going_down = False
        self._requests = InFlight()
        self._health: Health
        self._live: Live

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            await self._open(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._closing.set()
        await self._stack.aclose()

    async def drain(self) -> None:
        """Before the end: not ready, nothing more is begun, and requests in flight have `drain_s` to finish."""
        self._going_down = True
        await self._requests.drain(self.config.drain_s)

    @property
    @abstractmethod
    def alive(self) -> bool:
        """Whether what could hang in it gives signs of life."""

    @abstractmethod
    def lacking(self) -> list[str]:
        """What it lacks to be ready, in words."""

    @abstractmethod
    def look_at_keys(self) -> None:
        """A ceremony has changed the keys: take them up now, not only at the next look."""

    @abstractmethod
    async def welcome(self, show: Callable[[str, str], None]) -> None:
        """At the first start of all, make an administrator; `show` gets login and one-time password. StoreError."""

    def status(self) -> str:
        """In one line, for people."""
        lacking = self.lacking()
        return "not ready: " + "; ".join(lacking) if lacking else "ready"

    @abstractmethod
    async def _open(self, stack: contextlib.AsyncExitStack) -> None:
        """Open everything, the HTTP face by `_serve`; `stack` closes it."""

    async def _watch_health(self, folder: Path, rooms: Rooms, stack: contextlib.AsyncExitStack) -> None:
        """Look at store and disk now, and from time to time. `folder`: on the disk that matters here."""
        self._health = Health(folder, rooms.db.ask, rooms.endpoints.count)
        await self._health.first_look()
        in_background(stack, self._health.run())

    def _services(
        self,
        rooms: Rooms,
        *,
        enrolments: Enrolments,
        shown: ShownBroadcasts,
        states: EndpointStates,
        orders: IssuedOrders,
        core: CoreRooms | HandOver,
        media_pid: Callable[[], int] = lambda: 0,
    ) -> Services:
        """What is behind the routes: the rooms that every process has, and what differs. `media_pid`: or 0."""
        return Services(
            config=self.config,
            clock=self._clock,
            areas=rooms.areas,
            area_groups=rooms.area_groups,
            reorganiser=rooms.reorganiser,
            importer=rooms.importer,
            endpoints=rooms.endpoints,
            enrolments=enrolments,
            programmes=rooms.programmes,
            library=rooms.library,
            uploads=rooms.uploads,
            broadcasts=rooms.broadcasts,
            shown=shown,
            states=states,
            orders=orders,
            receipts=rooms.receipts,
            tokens=rooms.tokens,
            people=rooms.people,
            ledger=rooms.ledger,
            feed=rooms.feed,
            limits=rooms.live.limits,
            core=core,
            closing=self._closing,
            endpoint_of=rooms.endpoint_of,
            reach_of=rooms.reach_of,
            metrics=make_exporter(self._counters, self._gauges, media_pid),
            not_ready=self._not_ready,
        )

    async def _serve(
        self, services: Services, stack: contextlib.AsyncExitStack, secret: ClusterSecret | None = None
    ) -> None:
        """Open the HTTP face. `secret`: by which processes beside this one hand requests over to it."""
        application = make_application(services, secret)
        self._requests.watch(application)
        self._face = await http_face.serve(application, self.config, stack)
        self.http_port, self.url = self._face.port, self._face.url

    @abstractmethod
    def _counters(self) -> Mapping[str, Mapping[str, int]]:
        """What is counted, by room."""

    def _not_ready(self) -> str:
        return "; ".join(self.lacking())

    def _gauges(self) -> Mapping[str, float]:
        return {
            **self._health.gauges(),
            **self._live.gauges(),
            "ready": not self.lacking(),
            "going_down": self._going_down,
            "requests_in_flight": len(self._requests),
        }
