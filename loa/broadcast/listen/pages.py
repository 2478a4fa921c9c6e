"""The Ogg pages of a broadcast on air, each made once for all who listen. Nothing is encoded again."""

from __future__ import annotations

from collections.abc import Sequence

from loa.codecs.ogg_opus import OggOpusWriter
from loa.codecs.order_wire import Tune
from loa.timing.line import FrameGrid


class LivePages:
    """Pages as their sound becomes due, by the broadcast's own grid.

    Pages lie on a grid too: whoever opens them, their numbers and granule positions are those of a stream that
    began with the broadcast.
    """

    def __init__(self, tune: Tune, packets: Sequence[bytes], page_ms: int, from_ns: int) -> None:
        """`page_ms` of sound on a page, at least a frame; the first page holds what was due at `from_ns`."""
        self._packets = packets
        self._index0 = tune.index0
        self._grid = FrameGrid(tune.start_ns, tune.index0, tune.timestamp0, tune.frame_samples)
        self._frames = max(1, page_ms * 48 // tune.frame_samples)
        last_page = max(0, len(packets) - 1) // self._frames
        page = min(max(0, self._grid.index_at(from_ns) - tune.index0) // self._frames, last_page)
        self._at = page * self._frames
        self._writer = OggOpusWriter(tune.ssrc, page_ms=max(20, self._frames * tune.frame_samples // 48))
        self.headers = self._writer.headers()
        """What every listener gets before the first page: OpusHead and OpusTags (RFC 7845 §5)."""
        self._writer.run_on(page, self._at * tune.frame_samples)
        self.page_ms = self._frames * tune.frame_samples // 48
        self.over = False
        """The last page has been given."""

    def next_due_ns(self) -> int:
        """When the next page is complete: its last frame has been due for as long as it lasts."""
        return self._grid.due_ns(self._index0 + self._next())

    def due(self, now_ns: int) -> list[bytes]:
        """The pages that have become complete, the last one marked as the end of the stream (RFC 3533 §6)."""
        pages = []
        while not self.over and self.next_due_ns() <= now_ns:
            upto = self._next()
            self.over = upto == len(self._packets)
            pages.append(self._writer.pages(self._packets[self._at : upto], final=self.over))
            self._at = upto
        return pages

    def end(self) -> bytes:
        """The page that ends the stream before its time (RFC 3533 §6). There is no sound on it."""
        if self.over:
            return b""
        self.over = True
        return self._writer.pages((), final=True)

    def _next(self) -> int:
        return min(self._at + self._frames, len(self._packets))
