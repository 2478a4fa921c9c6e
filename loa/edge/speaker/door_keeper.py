"""Whether the endpoint gets its sound by datagrams or by link (docs/protocol.md, *Media by link*).

Pure. Datagrams are better, so the link is asked for only where they do not come through, and for so long.
"""

from __future__ import annotations

from loa.edge.speaker.channel import Channel

NS_PER_S = 1_000_000_000
BLOCKED_NS = 5 * NS_PER_S // 2
"""With keep-alives unanswered for so long, datagrams do not come through."""
HOLD_NS = 2 * NS_PER_S
"""A door is kept for so long at least: the server takes no more changes than that."""


class DoorKeeper:
    """What has been asked for on this link. `changes` counts it over all links."""

    def __init__(self) -> None:
        self.by_link = False
        self.changes = 0
        self._asked_ns: int | None = None
        self._news = False

    def new_channel(self, channel: Channel, now_ns: int) -> None:
        """Another link is up, and the server sends datagrams: where they did not come through, they do not now."""
        self._asked_ns, self._news = None, self.by_link
        if self.by_link:
            channel.use_link(True, now_ns)

    def take_news(self, channel: Channel, now_ns: int) -> bool | None:
        """What is to be asked for now: sound by link (True), by datagrams (False), or nothing new (None)."""
        held = self._asked_ns is not None and now_ns - self._asked_ns < HOLD_NS
        wanted = not channel.bound if self.by_link else channel.silent_ns(now_ns) >= BLOCKED_NS
        if wanted is not self.by_link and not held:
            self.by_link, self._news = wanted, True
            channel.use_link(wanted, now_ns)
        if not self._news:
            return None
        self._news, self._asked_ns = False, now_ns
        self.changes += 1
        return self.by_link
