"""Sound to endpoints that listen over their links: one message for all of them, and none waits for another.

While one message is on its way to thousands, what becomes due gathers, and is the next message: the more listeners
there are, the fewer and longer are the messages.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Collection, Sequence

from loa.broadcast.air.session import Session
from loa.codecs import link_wire
from loa.codecs.link_media import MAX_PACKETS, MediaMessage

AT_ONCE = 250
"""Links in one turn of the event loop."""
MAX_WAITING = 512
"""Packets of a broadcast that wait; with more, the oldest are dropped."""
MAX_BYTES = 48 * 1024
"""Of packets in one message."""
BACKLOG_BYTES = 16 * 1024
"""What may wait for a link that does not keep up, more than a second of sound: it misses what comes then."""


class LinkSound:
    """Sends the packets of broadcasts over links.

    Counts packets, for each link apart: `link_frames_sent`, `link_frames_dropped` for links that did not keep up.
    """

    def __init__(self, counters: Counter[str]) -> None:
        self._counters = counters
        self._waiting: dict[bytes, deque[bytes]] = {}
        self._sending: dict[bytes, asyncio.Task[None]] = {}

    def send(self, broadcast_id: bytes, packets: Sequence[bytes], listeners: Collection[Session]) -> None:
        """Send packets of a broadcast to its listeners, who may change until they are sent."""
        waiting = self._waiting.setdefault(broadcast_id, deque())
        waiting.extend(packets)
        while len(waiting) > MAX_WAITING:
            waiting.popleft()
            self._counters["link_frames_dropped"] += len(listeners)
        if broadcast_id not in self._sending:
            self._sending[broadcast_id] = asyncio.create_task(self._send(broadcast_id, listeners))

    async def _send(self, broadcast_id: bytes, listeners: Collection[Session]) -> None:
        try:
            waiting = self._waiting[broadcast_id]
            while waiting:
                packets = _some(waiting)
                message = link_wire.encode(MediaMessage(packets))
                sessions = list(listeners)
                for at in range(0, len(sessions), AT_ONCE):
                    some = sessions[at : at + AT_ONCE]
                    taken = sum([session.offer(message, BACKLOG_BYTES) for session in some])
                    self._counters["link_frames_sent"] += taken * len(packets)
                    self._counters["link_frames_dropped"] += (len(some) - taken) * len(packets)
                    await asyncio.sleep(0)
        finally:
            del self._sending[broadcast_id], self._waiting[broadcast_id]


def _some(waiting: deque[bytes]) -> tuple[bytes, ...]:
    """At least one, and as many as fit into a message."""
    packets = [waiting.popleft()]
    size = len(packets[0])
    while waiting and len(packets) < MAX_PACKETS and (size := size + len(waiting[0])) <= MAX_BYTES:
        packets.append(waiting.popleft())
    return tuple(packets)
