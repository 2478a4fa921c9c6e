"""Whether the endpoint hears its area's multicast group, and when it says so (docs/protocol.md, *Groups*).

Pure. The server sends sound to the group instead of to the endpoint only while the endpoint says that it hears the
group; so all that goes wrong with a group costs the moment until the endpoint says that it does not.
"""

from __future__ import annotations

from typing import NamedTuple

from loa.codecs.group_wire import GroupMessage, Hearing

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
SILENT_NS = 6_500 * NS_PER_MS
"""With nothing from the group for so long (three beats and some patience), it is not heard."""
QUIET_NS = 150 * NS_PER_MS
"""With none of the sound that is due for so long, it is not either."""
GRACE_NS = NS_PER_S
"""The sound comes by the group only so long after the endpoint has said that it hears it."""
HOLD_NS = 10 * NS_PER_S
MAX_HOLD_NS = 320 * NS_PER_S
"""A group that was there and brought no sound is not believed again for so long: HOLD_NS at first, then twice as
long each time, up to this."""
STEADY_NS = 60 * NS_PER_S
"""A group that was heard for so long on end is believed as at first."""


class Membership(NamedTuple):
    """A group to be in: only what `source` sends to it is wanted. Numeric hosts."""

    host: str
    port: int
    source: str


class GroupEar:
    """What one link has said of the group, and what has been heard of it since."""

    def __init__(self) -> None:
        self.hearing = False
        self.lost = 0
        """How often the group was not heard any more."""
        self._told: GroupMessage | None = None
        self._by_link = False
        self._news = False
        self._heard_ns = 0
        self._quiet_since_ns = 0
        self._hearing_since_ns = 0
        self._hold_ns = HOLD_NS
        self._held_until_ns: int | None = None

    def new_link(self) -> None:
        """Another link has begun: the server sends to the endpoint's own address until it is told otherwise."""
        self._told = None
        self.hearing = self._news = False

    def told(self, message: GroupMessage) -> None:
        """The server has said which group there is, if any. What is heard has to be said of it anew."""
        if self._told is None or _where(self._told) != _where(message):
            self._held_until_ns, self._hold_ns = None, HOLD_NS
        self._told = message if message.host else None
        self.hearing = self._news = False

    def by_link(self, by_link: bool) -> None:
        """The endpoint has asked for its sound by link, or for datagrams again: by link it is in no group."""
        if by_link is not self._by_link:
            self._by_link = by_link
            self.hearing = self._news = False

    def membership(self, server_host: str) -> Membership | None:
        """The group to be in; None when there is none. `server_host`: whom the endpoint's channel is with."""
        if self._told is None or self._by_link:
            return None
        source = self._told.source or server_host
        if (":" in source) != (":" in self._told.host):
            return None
        return Membership(self._told.host, self._told.port, source)

    def heard(self, now_ns: int, *, sound: bool = False) -> None:
        """A beat came by the group, or a packet of sound that is tuned and was of use."""
        if self._told is None or self._by_link:
            return
        self._heard_ns = now_ns
        if sound:
            self._quiet_since_ns = max(self._quiet_since_ns, now_ns)
        if not self.hearing and (self._held_until_ns is None or now_ns >= self._held_until_ns):
            self.hearing = self._news = True
            self._hearing_since_ns = now_ns
            self._quiet_since_ns = now_ns + GRACE_NS

    def tick(self, now_ns: int, *, sound_due: bool) -> None:
        """Time passes. `sound_due`: something is tuned whose frames should be coming."""
        if not self.hearing:
            return
        if not sound_due:
            self._quiet_since_ns = max(self._quiet_since_ns, now_ns)
        if now_ns - self._hearing_since_ns > STEADY_NS:
            self._hold_ns = HOLD_NS
        if now_ns - self._quiet_since_ns > QUIET_NS:
            self._held_until_ns = now_ns + self._hold_ns
            self._hold_ns = min(2 * self._hold_ns, MAX_HOLD_NS)
        elif now_ns - self._heard_ns <= SILENT_NS:
            return
        self.hearing, self._news = False, True
        self.lost += 1

    def take_news(self) -> Hearing | None:
        """What is to be said to the server, once."""
        if not self._news or self._told is None:
            return None
        self._news = False
        return Hearing(self._told.serial, self.hearing)


def _where(message: GroupMessage) -> tuple[str, int, str]:
    return message.host, message.port, message.source
