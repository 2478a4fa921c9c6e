"""A process that serves HTTP beside the core, on this machine or another: it answers what the store knows, and
hands over to the core what only the core can do."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping

import structlog

from loa.app.roles import check_role, cluster_secret
from loa.app.rooms import open_rooms
from loa.app.serving import ServingProcess
from loa.app.store import audio_folder
from loa.broadcast.live.shared_states import SharedStates
from loa.broadcast.orders.book import IssuedOrders
from loa.broadcast.registry.enrolment import Enrolments
from loa.control_api.hand_over import HandOver

log = structlog.get_logger("loa.app")


class ApiProcess(ServingProcess):
    """Running, between the two ends of `async with`. It has no keys, no media process and no links of its own."""

    async def _open(self, stack: contextlib.AsyncExitStack) -> None:
        config, clock = self.config, self._clock
        check_role(config)
        secret = cluster_secret(config, clock)
        assert secret is not None
        rooms = await open_rooms(config, clock, stack)
        await self._watch_health(audio_folder(config), rooms, stack)
        live = self._live = rooms.live
        assert live.line is not None
        self._hand_over = HandOver(config.core_url, secret)
        stack.push_async_callback(self._hand_over.close)
        services = self._services(
            rooms,
            enrolments=Enrolments(rooms.db, keyring=None),
            shown=rooms.broadcasts,
            states=SharedStates(live.line),
            orders=IssuedOrders(rooms.db),
            core=self._hand_over,
        )
        await self._serve(services, stack)

    async def welcome(self, show: Callable[[str, str], None]) -> None:
        """The first administrator is the core's to make."""

    @property
    def alive(self) -> bool:
        """It has nothing that could hang without it."""
        return True

    def look_at_keys(self) -> None:
        """There are none here."""

    def lacking(self) -> list[str]:
        """What it lacks to be ready, in words."""
        # Without the core, too, it answers what the store knows: a balancer that left it out would help nobody.
        return [
            *(["the process is going down"] if self._going_down else []),
            *([] if self._health.store.answers else ["the store does not answer"]),
            *([] if self._health.disk.answers else ["the folder of programmes does not answer"]),
        ]

    def _counters(self) -> Mapping[str, Mapping[str, int]]:
        return {"hand_over": self._hand_over.counters}
