"""Which multicast group each endpoint is offered, and which say that they hear it (docs/protocol.md, *Groups*).

An endpoint is offered the group of the nearest area upward that has one. Its door is the group only while it says
that it hears it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from loa.broadcast.air.door import Door
from loa.broadcast.air.mailing import Mailing
from loa.broadcast.air.media_port import Command, GroupRoute, UseGroups
from loa.broadcast.air.session import Session
from loa.codecs.group_wire import GroupMessage, Hearing
from loa.codecs.multicast import is_ipv6
from loa.timing.clock import Clock

HEARD_AGAIN_NS = 1_000_000_000
"""Who hears a group again sooner than this after a change stays with unicast until it says so once more."""


def group_of(place: Sequence[bytes], routes: Mapping[bytes, GroupRoute]) -> GroupRoute | None:
    """The group of the nearest area upward in `place`, which leads from the top of the tree down."""
    return next((routes[area] for area in reversed(place) if area in routes), None)


class GroupDesk:
    """The groups of areas, and who is in them."""

    def __init__(
        self,
        sessions: Callable[[], Iterable[Session]],
        *,
        mailing: Mailing,
        clock: Clock,
        tell_media: Callable[[Command], None],
        door_changed: Callable[[Session, Door], None],
        own_source: str = "",
    ) -> None:
        """`tell_media`: may drop what cannot be told. `door_changed(session, before)`: after the change.
        `own_source`: the numeric address that the media process is bound to; empty: to all."""
        self._sessions = sessions
        self._mailing = mailing
        self._clock = clock
        self._tell_media = tell_media
        self._door_changed = door_changed
        self._own_source = own_source
        self._routes: dict[bytes, GroupRoute] = {}
        self.counters: Counter[str] = Counter()

    def open_epoch(self) -> None:
        """There is a media process that knows no group yet."""
        self._use()

    def replace(self, routes: Mapping[bytes, GroupRoute]) -> None:
        """These are the groups of areas from now on. Endpoints that are here are offered what has changed for them,
        and hear by unicast until they say that they hear that."""
        if routes == self._routes:
            return
        self._routes = dict(routes)
        sessions = list(self._sessions())
        waiting = len(sessions)

        def offer(session: Session) -> None:
            nonlocal waiting
            waiting -= 1
            self.placed(session)
            if not waiting:
                self._use()  # a group ends when nobody is in it any more

        self._mailing.send(sessions, offer)
        if not sessions:
            self._use()

    def placed(self, session: Session) -> None:
        """An endpoint has come, or has come to stand elsewhere."""
        route = group_of(session.place, self._routes)
        if route == session.offered:
            return
        self._to(session, Door.UNICAST)
        session.offered, session.heard_ns = route, None
        session.offer_serial += 1
        serial = session.offer_serial
        session.put(
            GroupMessage(serial) if route is None else GroupMessage(serial, route.host, route.port, route.source)
        )

    def heard(self, session: Session, said: Hearing) -> None:
        """An endpoint says whether it hears the group; what it says of an earlier offer means nothing any more."""
        if said.serial != session.offer_serial or session.offered is None:
            self.counters["outdated"] += 1
            return
        if said.hearing is (session.door is Door.GROUP) or session.door is Door.LINK:
            return
        now_ns = self._clock.monotonic_ns()
        if said.hearing and session.heard_ns is not None and now_ns - session.heard_ns < HEARD_AGAIN_NS:
            self.counters["too_soon"] += 1
            return
        session.heard_ns = now_ns
        self.counters["heard" if said.hearing else "lost"] += 1
        self._to(session, Door.GROUP if said.hearing else Door.UNICAST)

    def _to(self, session: Session, door: Door) -> None:
        """Change an endpoint's door between unicast and its group; one that listens by link stays with that."""
        before = session.door
        if before is door or before is Door.LINK:
            return
        session.door = door
        session.group = session.offered.address if door is Door.GROUP and session.offered is not None else None
        self._door_changed(session, before)

    def _use(self) -> None:
        own = self._own_source
        self._tell_media(UseGroups(tuple(sent_from(route, own) for route in self._routes.values())))


def sent_from(route: GroupRoute, own_source: str) -> GroupRoute:
    """The route, from `own_source` where no other source is named and that one can be."""
    if own_source and not route.source and is_ipv6(own_source) == is_ipv6(route.host):
        return route._replace(source=own_source)
    return route
