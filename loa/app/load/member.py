"""What every generated endpoint is: its link from the connection to the end, and its way back."""

from __future__ import annotations

import random
from enum import IntEnum
from typing import Protocol

from loa.app.load.link import Link
from loa.app.load.sink_sockets import SinkSocket
from loa.app.load.tally import Tally
from loa.app.load.wheel import TimerWheel
from loa.edge.speaker.identity import Identity
from loa.edge.speaker.link_client import BackOff
from loa.edge.speaker.link_session import (
    Closed,
    Event,
    LinkSession,
    OrderArrived,
    PlacementChanged,
    SecretReceived,
    Welcomed,
)
from loa.timing.clock import Clock

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
HANDSHAKE_NS = 15 * NS_PER_S
MAX_ORDER_MESSAGES = 64


class Timer(IntEnum):
    """What a member may be woken for."""

    HANDSHAKE = 1
    REJOIN = 2
    KEEPALIVE = 3
    PROBE = 4
    STATUS = 5
    NACK = 6
    STARTED = 7
    FINISHED = 8


class Standing(IntEnum):
    """How far a member has come."""

    AWAY = 0
    CONNECTING = 1
    LINKED = 2
    BOUND = 3


Alarm = tuple["Member", Timer, int, bytes]
"""Whom to wake for what, in which of its lives, and about which order."""


class World(Protocol):
    """What members share: clock, timers, counts, and the way to the core."""

    clock: Clock
    rng: random.Random
    tally: Tally
    wheel: TimerWheel[Alarm]
    order_messages: dict[bytes, bytes]
    """Link messages that were orders, and their bundles: all endpoints are sent the same bytes."""

    def ask_to_join(self, member: Member) -> None:
        """Connect it when it is its turn; then `link_open` or `link_lost` is called."""

    def handshake_over(self, member: Member) -> None:
        """It is linked, or has failed: the next may begin."""

    def open_media(self, member: Member, welcomed: Welcomed) -> None:
        """The core knows its channel: give it a way to send datagrams. OSError when there is none."""

    def release(self, media: SinkSocket) -> None:
        """A member has done with its socket."""


class Member:
    """One generated endpoint. Subclasses say what it does once it is linked."""

    def __init__(self, world: World, number: int, identity: Identity, software: str) -> None:
        self.world = world
        self.number = number
        self.identity = identity
        self.standing = Standing.AWAY
        self.life = 0
        self.linked_utc_ns = 0
        self.bound_utc_ns = 0
        self.wanted = False
        self._software = software
        self._link: Link | None = None
        self.session: LinkSession | None = None
        self._welcomed: Welcomed | None = None
        self._began_ns = 0
        self._ended_for = ""
        self._back_off: BackOff | None = None

    # --- coming and going -------------------------------------------------------------------------------------

    def join(self) -> None:
        """Want a link, from now on and again whenever it is lost."""
        if not self.wanted:
            self.wanted = True
            self.world.ask_to_join(self)

    def leave(self, *, with_goodbye: bool) -> None:
        """Want no link: end the one there is."""
        self.wanted = False
        link, session = self._link, self.session
        if link is None:
            return
        if with_goodbye and session is not None and session.up:
            session.close("shutdown")
            self._send_waiting()
            link.close()
        else:
            link.abort("left")

    def deafen(self) -> None:
        """Read nothing more of this link: what comes is thrown away."""
        if self._link is not None:
            self._link.deaf = True

    def connecting(self) -> None:
        """Its turn has come."""
        self.life += 1
        self.standing = Standing.CONNECTING
        self._began_ns = self.world.clock.monotonic_ns()
        self.alarm(self._began_ns + HANDSHAKE_NS, Timer.HANDSHAKE)

    def link_open(self, link: Link) -> None:
        """See LinkOwner."""
        self._link = link
        self._ended_for = ""
        self.session = self.new_session()
        link.send(self.session.hello())

    def link_message(self, link: Link, data: bytes) -> None:
        """See LinkOwner."""
        session = self.session
        if link is not self._link or session is None:
            return
        now_ns = self.local_ns()
        known = self.world.order_messages.get(data) if session.up else None
        if known is not None:
            self.on_event(OrderArrived(known), now_ns)
            return
        for event in session.receive(data, now_ns):
            if isinstance(event, OrderArrived):
                self._remember(data, event.bundle)
            if isinstance(event, Closed):
                self._ended_for = event.reason
                self._send_waiting()
                link.close()
                return
            if isinstance(event, Welcomed):
                self._welcomed = event
            elif self._welcomed is not None and isinstance(event, PlacementChanged | SecretReceived):
                # The first word after the proof: from now on the core knows the channel.
                welcomed, self._welcomed = self._welcomed, None
                self._is_linked(welcomed)
            self.on_event(event, now_ns)
        self._send_waiting()

    def _remember(self, data: bytes, bundle: bytes) -> None:
        """What thousands are sent is parsed once."""
        messages = self.world.order_messages
        messages[data] = bundle
        while len(messages) > MAX_ORDER_MESSAGES:
            del messages[next(iter(messages))]

    def link_lost(self, link: Link | None, reason: str) -> None:
        """See LinkOwner. `link` is None when there never was one."""
        if link is not self._link and self._link is not None:
            return
        was, self.standing = self.standing, Standing.AWAY
        self._link, self.session, self._welcomed = None, None, None
        self.life += 1
        self.on_link_end()
        counts = self.world.tally.counts
        if was is Standing.CONNECTING:
            self.world.handshake_over(self)
            if self.wanted:
                counts["links_refused"] += 1
                counts[f"refused: {(self._ended_for or reason)[:60]}"] += 1
        elif self.wanted:
            counts["links_lost"] += 1
            counts[f"lost: {(self._ended_for or reason)[:60]}"] += 1
        if self.wanted:
            if self._back_off is None:
                self._back_off = BackOff(self.world.rng)
            wait_s = self._back_off.next_s(self._ended_for)
            self.alarm(self.world.clock.monotonic_ns() + int(wait_s * NS_PER_S), Timer.REJOIN)

    def _is_linked(self, welcomed: Welcomed) -> None:
        self.standing = Standing.LINKED
        self.linked_utc_ns = self.world.clock.utc_ns()
        if self._back_off is not None:
            self._back_off.succeeded()
        self.world.handshake_over(self)
        try:
            self.world.open_media(self, welcomed)
        except OSError as error:
            self.world.tally.counts["media_not_opened"] += 1
            if self._link is not None:
                self._link.abort(str(error))

    def is_bound(self) -> None:
        """The core has confirmed its address."""
        if self.standing is Standing.LINKED:
            self.standing = Standing.BOUND
            self.bound_utc_ns = self.world.clock.utc_ns()
            self.world.tally.join_us.add((self.world.clock.monotonic_ns() - self._began_ns) // 1000)
            self.world.tally.counts["joins"] += 1

    # --- what it is made of -----------------------------------------------------------------------------------

    def alarm(self, due_ns: int, timer: Timer, about: bytes = b"") -> None:
        """Be woken then, if this life still lasts."""
        self.world.wheel.set(due_ns, (self, timer, self.life, about))

    def wake(self, timer: Timer, life: int, about: bytes, now_ns: int) -> None:
        """An alarm goes off."""
        if life != self.life:
            return
        if timer is Timer.HANDSHAKE:
            if self.standing is Standing.CONNECTING and self._link is not None:
                self._link.abort("the handshake took too long")
        elif timer is Timer.REJOIN:
            if self.wanted and self.standing is Standing.AWAY:
                self.world.ask_to_join(self)
        else:
            self.on_alarm(timer, about, now_ns)

    def send(self, message: bytes) -> None:
        """Send an encoded link message, if the link is up."""
        if self._link is not None:
            self._link.send(message)

    def _send_waiting(self) -> None:
        if self.session is not None and self._link is not None:
            for message in self.session.take_outgoing():
                self._link.send(message)

    def new_session(self) -> LinkSession:
        """The session of a new link."""
        return LinkSession(self.identity, self._software)

    def local_ns(self) -> int:
        """Its own clock."""
        return self.world.clock.monotonic_ns()

    def on_event(self, event: Event, now_ns: int) -> None:
        """An event of its link."""
        raise NotImplementedError

    def on_alarm(self, timer: Timer, about: bytes, now_ns: int) -> None:
        """An alarm that is not the link's."""
        raise NotImplementedError

    def on_link_end(self) -> None:
        """Its link is over."""
        raise NotImplementedError
