"""An endpoint whose link is up: what is known of it, and what is said to it.

A session has no queue and no task of its own: what it is told goes to its transport at once, which keeps what the
network does not take yet. The one task of a link reads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from loa.broadcast.air.credit import Credit
from loa.broadcast.air.door import Door
from loa.broadcast.air.epoch import EpochSecrets
from loa.broadcast.air.media_port import Address, GroupRoute
from loa.broadcast.records import Endpoint
from loa.codecs import link_wire
from loa.codecs.key_schedule import LinkKeys
from loa.codecs.link_wire import Bye, Message, Status
from loa.errors import LinkError

MAX_UNSENT_BYTES = 256 * 1024
"""What may wait for a slow endpoint; then the link ends, and the next one starts with what is on air."""
MESSAGES_A_SECOND, MESSAGES_AT_ONCE = 50, 100
"""What is heard of one endpoint; more is read later, and then its own sending waits."""
MAX_HELD = 500
"""So many messages in a row that had to wait, ten seconds of them, end the link: no endpoint has that much to say,
and its goodbye, too, waits behind them."""

DOOR_CHANGES_NS = 1_000_000_000
"""An endpoint may ask for another door so often."""


class Transport(Protocol):
    """A message pipe to one endpoint."""

    async def receive(self) -> bytes:
        """The next whole message, at most link_wire.MAX_MESSAGE_BYTES. LinkError once the other end is gone."""

    def send(self, message: bytes) -> None:
        """Hand one message to the network; never waits. LinkError once the other end is gone."""

    @property
    def unsent_bytes(self) -> int:
        """How much of what was sent the network has not taken yet."""

    async def close(self) -> None:
        """Send what waits, within a moment, and close; never raises."""


@dataclass(eq=False, slots=True)
class Session:
    """An endpoint whose link is up, or whose media channel outlives its link for a while.

    `key_list_version`: of the list in force when it was welcomed; the hub tells it of later ones.
    `left`: areas in which it stood before, and when it left each (UTC, ms): it goes on with what was on air there.
    `door`: how sound goes to it; `group`: the multicast group that it is in, while its door is that.
    `offered`: the group that it has been told of, by the message `offer_serial`; `heard_ns`: when it last began or
    ceased to hear that one.
    `door_ns`: when its endpoint last asked for another door (monotonic).
    `too_slow`: it was ended because it did not take what it was sent.
    `held`: how many messages in a row had to wait, up to the last, since the endpoint says too much.
    """

    endpoint: Endpoint
    place: tuple[bytes, ...]
    channel_id: bytes
    keys: LinkKeys
    connected_ms: int
    key_list_version: int
    transport: Transport
    live: bool = True
    bound: bool = False
    too_slow: bool = False
    held: int = 0
    door: Door = Door.UNICAST
    group: Address | None = None
    offered: GroupRoute | None = None
    offer_serial: int = 0
    heard_ns: int | None = None
    door_ns: int = 0
    status: Status | None = None
    secret_serial: int = 0
    left: dict[bytes, int] = field(default_factory=dict)
    _reading: asyncio.Timeout | None = None
    _messages: Credit = field(default_factory=lambda: Credit(MESSAGES_A_SECOND, MESSAGES_AT_ONCE))

    @property
    def heard_by(self) -> Door | None:
        """By which door sound reaches it; None: its address is not bound, nor does it hear by link."""
        return self.door if self.bound or self.door is Door.LINK else None

    def put(self, message: Message) -> None:
        """Say something to this endpoint alone."""
        self.post(link_wire.encode(message))

    def post(self, message: bytes) -> None:
        """Send an encoded message. Once MAX_UNSENT_BYTES wait the link ends: what waits is too old to be of use."""
        if not self.live:
            return
        self.too_slow = self.transport.unsent_bytes > MAX_UNSENT_BYTES
        if self.too_slow:
            self.end()
            return
        try:
            self.transport.send(message)
        except LinkError:
            self.end()

    def offer(self, message: bytes, backlog_bytes: int) -> bool:
        """Send an encoded message unless more than `backlog_bytes` wait: whether this one has not to be missed."""
        if not self.live:
            return True
        if self.transport.unsent_bytes > backlog_bytes:
            return False
        try:
            self.transport.send(message)
        except LinkError:
            self.end()
        return True

    def put_secret(self, epoch: EpochSecrets) -> None:
        """Send the epoch secrets that this link has not had: the one in force, and earlier ones by which something
        is on air. A serial is sealed once on a link."""
        if not self.live:
            return
        for secret in epoch.after(self.secret_serial):
            self.secret_serial = secret.serial
            self.put(secret.sealed(self.keys))

    def take_door(self, by_link: bool, now_ns: int) -> Door | None:
        """Take the door that the endpoint asks for; the one before, or None when that is no change. LinkError when
        it asks too often."""
        before = self.door
        if by_link is (before is Door.LINK):
            return None
        if self.door_ns and now_ns < self.door_ns + DOOR_CHANGES_NS:
            raise LinkError("malformed: another door again within a second")
        self.door_ns = now_ns
        self.door, self.group = (Door.LINK if by_link else Door.UNICAST), None
        return before

    def has_stood_in(self, areas: Iterable[bytes], since_ms: int) -> bool:
        """Whether the endpoint has left one of these areas since then."""
        return bool(self.left) and any(self.left.get(area, -1) >= since_ms for area in areas)

    def end(self) -> None:
        """End the link after what has been sent."""
        self.live = False
        if self._reading is not None:
            self._reading.reschedule(asyncio.get_running_loop().time())
            self._reading = None

    def bye(self, reason: str, detail: str = "") -> None:
        """Say why, then end."""
        self.put(Bye(reason, detail))
        self.end()

    async def receive(self) -> bytes | None:
        """The endpoint's next message; None once the session has ended. LinkError as of the transport, and for an
        endpoint that goes on saying too much."""
        if not self.live:
            return None
        try:
            async with asyncio.timeout(None) as self._reading:
                wait_ns = self._messages.wait_ns(round(asyncio.get_running_loop().time() * 1e9))
                self.held = self.held + 1 if wait_ns else 0
                if self.held > MAX_HELD:
                    raise LinkError("malformed: far too many messages")
                if wait_ns:
                    await asyncio.sleep(wait_ns / 1e9)
                self._messages.spend()
                return await self.transport.receive()
        except TimeoutError:
            return None
        finally:
            self._reading = None
