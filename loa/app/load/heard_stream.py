"""What came of one stream of sound, by its packets alone: what is missing, what was late, what jitter it had. Pure.

It says what the core and the network did. What the endpoint made of it, the endpoint's own counters say.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from loa.codecs.rtp import nearest_index

MAX_GAPS = 10_000
"""Packets that are waited for; more are missing for good."""


@dataclass(slots=True)
class HeardStream:
    """One stream at one endpoint.

    index0: its first index, which is to be heard at `heard_ns` of the origin's time. frame_ns: from one packet to
    the next. lead_ns: so long before it is heard a packet must be there.
    """

    index0: int
    frame_ns: int
    end_index: int | None
    priority: int
    heard_ns: int = 0
    lead_ns: int = 0
    index: int = -1
    at_ns: int = 0
    preempted: int = 0
    late: int = 0
    _gone: int = 0
    _gaps: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.index = self.index0 - 1

    @property
    def missing(self) -> int:
        """Packets between the first and the newest that have not come."""
        return self._gone + len(self._gaps)

    def is_late(self, sequence: int, origin_ns: int) -> bool:
        """Whether a packet that came at `origin_ns` is of no use any more; then it is counted."""
        index = nearest_index(sequence, max(self.index, self.index0))
        late = origin_ns > self.heard_ns + (index - self.index0) * self.frame_ns - self.lead_ns
        self.late += late
        return late

    def take(self, sequence: int, at_ns: int, *, silenced: bool) -> tuple[int, int | None] | None:
        """A packet came, with the low 16 bits of its index: its index, and by how many ns its distance to the one
        before is off (None: there is none before). None for one that was sent again.

        `silenced`: a broadcast that stands above this one has been heard since the last packet of this one. What is
        left out then was not sent to this endpoint.
        """
        index = nearest_index(sequence, self.index + 1)
        if index <= self.index:
            self._gaps.discard(index)
            return None
        off_ns = None
        if self.at_ns:
            left_out = range(self.index + 1, index)
            if silenced:
                self.preempted += len(left_out)
            elif len(self._gaps) + len(left_out) > MAX_GAPS:
                self._gone += len(left_out)
            else:
                self._gaps.update(left_out)
            off_ns = at_ns - self.at_ns - (index - self.index) * self.frame_ns
        self.index, self.at_ns = index, at_ns
        return index, off_ns

    def ended(self) -> int:
        """The stream was heard to its end: how many packets are missing, those after the newest too."""
        tail = 0 if self.end_index is None or not self.at_ns else max(0, self.end_index - 1 - self.index)
        return self.missing + tail
