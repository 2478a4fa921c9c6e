"""One unprotected RTP stream (RFC 3550, RFC 7587) that never ends, whatever broadcast it carries. Pure.

A receiver that knows nothing of broadcasts plays it as one stream: one SSRC, sequence numbers without a gap,
timestamps that go on with the time, also through silence and from one broadcast to the next.
"""

from __future__ import annotations

from loa.codecs.rtp import PT_OPUS, RtpHeader
from loa.timing.line import ns_to_samples_floor


class PlainStream:
    """Makes the packets of one stream."""

    def __init__(self, ssrc: int, sequence0: int, timestamp0: int) -> None:
        """All three random, as RFC 3550 §5.1 wants."""
        self._ssrc = ssrc
        self._sequence = sequence0
        self._timestamp0 = timestamp0
        self._epoch_ns: int | None = None
        self._next_samples = 0
        self._anchor: tuple[object, int, int] | None = None
        self._expected = 0

    def packet(self, carried: object, index: int, due_ns: int, frame_samples: int, payload: bytes) -> bytes:
        """The packet of a frame. `carried`: whose frame `index` it is; frames of one come in order.

        `due_ns`: when it is due, which places the first frame of each on the stream's time line.
        """
        if self._epoch_ns is None:
            self._epoch_ns = due_ns
        anchor = self._anchor
        if anchor is None or anchor[0] is not carried:
            # Not before the end of what was sent last: what that costs is made good in the next silence.
            at = max(ns_to_samples_floor(due_ns - self._epoch_ns), self._next_samples)
            anchor = self._anchor = (carried, index, at)
            self._expected = -1
        samples = anchor[2] + (index - anchor[1]) * frame_samples
        marker = index != self._expected  # the first after silence, RFC 3551 §4.1
        self._expected = index + 1
        self._next_samples = samples + frame_samples
        header = RtpHeader(
            PT_OPUS,
            self._sequence & 0xFFFF,
            (self._timestamp0 + samples) & 0xFFFF_FFFF,
            self._ssrc,
            marker,
        )
        self._sequence += 1
        return header.pack() + payload
