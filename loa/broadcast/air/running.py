"""One broadcast on air: its order, its sound, who is meant, and who gets it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from loa.arbiter import Precedence, precedence_of
from loa.broadcast.air.audience import Audience
from loa.broadcast.air.epoch import EpochSecret
from loa.broadcast.air.media_port import Frames
from loa.broadcast.air.session import Session
from loa.broadcast.orders.book import IssuedOrder
from loa.broadcast.records import Broadcast
from loa.codecs.order_wire import Tune

BUFFER_FRAMES = 250
CHUNK_FRAMES = 50
MAX_AREAS_MOVED_TO = 32
"""Areas that a stop names beside the targets; where it would be more, the tops of the tree."""


@dataclass(eq=False, slots=True)
class Running:
    """A broadcast on air. `audience`: who gets its sound now, by the arbiter's decision. `secret`: the one that its
    key follows from, held so that who comes later gets it."""

    broadcast: Broadcast
    tune: Tune
    order: IssuedOrder
    packets: Sequence[bytes]
    secret: EpochSecret | None = None
    fed: int = 0
    stopping: asyncio.Task[None] | None = None
    silent: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    audience: Audience = field(init=False)
    _areas: frozenset[bytes] = field(init=False)
    _endpoints: frozenset[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.audience = Audience(self.broadcast.id)
        self._areas = frozenset(self.broadcast.areas)
        self._endpoints = frozenset(self.broadcast.endpoints)

    @property
    def precedence(self) -> Precedence:
        """Where it stands among others, by its order."""
        return precedence_of(self.tune.priority, self.tune.start_ns, self.tune.broadcast_id)

    def names(self, session: Session) -> bool:
        """Whether the targets name this endpoint, or an area in which it stands now."""
        return not self._areas.isdisjoint(session.place) or session.endpoint.id in self._endpoints

    def means(self, session: Session) -> bool:
        """Whether the broadcast is for this endpoint: it is named, or was when it stood elsewhere.

        An endpoint that moves while the broadcast is on air goes on with it.
        """
        return bool(self.meant_of((session,)))

    def meant_of(self, sessions: Iterable[Session]) -> list[Session]:
        """Those of many sessions that it means, as `means` says of one."""
        areas, endpoints, since_ms = self._areas, self._endpoints, self.broadcast.created_ms
        return [
            session
            for session in sessions
            if not areas.isdisjoint(session.place)
            or session.endpoint.id in endpoints
            or session.has_stood_in(areas, since_ms)
        ]

    def areas_to_stop(self, meant: Iterable[Session]) -> Sequence[bytes]:
        """The areas of the targets, and those where endpoints of `meant` stand that have moved out of them."""
        moved = [session for session in meant if not self.names(session)]
        areas = {session.place[-1] for session in moved}
        if len(areas) > MAX_AREAS_MOVED_TO:
            areas = {session.place[0] for session in moved}
        return tuple(dict.fromkeys((*self.broadcast.areas, *sorted(areas))))

    def next_frames(self, buffered: int) -> Iterator[Frames]:
        """What to hand to the media process while it has so many frames in its buffer."""
        room = BUFFER_FRAMES - buffered
        while room > 0 and self.fed < len(self.packets):
            chunk = tuple(self.packets[self.fed : self.fed + CHUNK_FRAMES])
            yield Frames(self.tune.broadcast_id, self.tune.index0 + self.fed, chunk)
            self.fed += len(chunk)
            room -= len(chunk)
