"""The ciphertexts of the last seconds of one SSRC, for answering NACKs with the same bytes."""

from __future__ import annotations

from collections import deque

SPAN_NS = 10_000_000_000
MAX_PACKETS = 1024
"""More than 10 s of the shortest frames, so that only a burst of lost time is cut by it."""


class RepairRing:
    """Packets by extended index, the newest SPAN_NS and at most MAX_PACKETS of them."""

    def __init__(self) -> None:
        self._packets: dict[int, bytes] = {}
        self._ages: deque[tuple[int, int]] = deque()

    def __len__(self) -> int:
        return len(self._packets)

    def put(self, index: int, packet: bytes, now_ns: int) -> None:
        """Keep a packet sent at `now_ns`. Indices must not repeat."""
        self.expire(now_ns)
        if len(self._ages) == MAX_PACKETS:
            del self._packets[self._ages.popleft()[1]]
        self._packets[index] = packet
        self._ages.append((now_ns, index))

    def get(self, index: int, now_ns: int) -> bytes | None:
        """The packet, if it was sent and is young enough."""
        self.expire(now_ns)
        return self._packets.get(index)

    def expire(self, now_ns: int) -> None:
        """Forget what is older than SPAN_NS."""
        while self._ages and self._ages[0][0] <= now_ns - SPAN_NS:
            del self._packets[self._ages.popleft()[1]]
