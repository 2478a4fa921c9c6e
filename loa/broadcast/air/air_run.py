"""One generation of a broadcast on air: Opus packets in ahead of time, SRTP and block packets out when due.

Pure. An index is encrypted once and never again; what was not handed over in time is skipped, and what follows
keeps its own time. Where all frames of a block are there at its first one, they are sealed together with it: five
at once cost little more than one after 20 ms in which the processor did other work.
"""

from __future__ import annotations

from dataclasses import dataclass

from loa.broadcast.air.air_counters import Values
from loa.broadcast.air.media_port import Frames, StartAir
from loa.broadcast.air.repair_ring import RepairRing
from loa.codecs import block_wire
from loa.codecs.order_wire import FRAME_SAMPLES, MAX_INDEX
from loa.codecs.rtp import PT_BLOCK, PT_OPUS, RtpHeader, pack_plain
from loa.codecs.signed import SigningKey
from loa.codecs.srtp import SrtpContext
from loa.errors import LoaError
from loa.timing.line import FrameGrid

STARVED_NS = 2_000_000_000
MAX_LATE_NS = 500_000_000
"""A run that is so far behind (the machine slept, or is too slow for its listeners) skips to the frame that is due
now. With less it catches up."""
CATCH_UP_FRAMES = 4
"""So many at once, so that others on air and what is commanded meanwhile have their turn."""
MAX_AHEAD = 3_000
"""How many indices above the next one may be handed over: a minute of the shortest frames."""
MAX_OPUS_BYTES = 1_275
_NOT_SENT = bytes(block_wire.HASH_BYTES)


class IndexReused(LoaError):
    """An index was about to be encrypted twice under one key, which would give the key away."""


class Sealer:
    """Makes the SRTP packets of one SSRC; indices only go up."""

    def __init__(self, context: SrtpContext, ssrc: int, payload_type: int) -> None:
        self._context = context
        self._ssrc = ssrc
        self._payload_type = payload_type
        self._next = 0

    def header(self, index: int, timestamp: int, *, marker: bool = False) -> bytes:
        """The RTP header of the packet `index`."""
        return pack_plain(self._payload_type, marker, index & 0xFFFF, timestamp, self._ssrc)

    def seal(self, index: int, header: bytes, payload: bytes) -> bytes:
        """The protected packet; IndexReused unless `index` is above all before it."""
        if index < self._next:
            raise IndexReused(f"index {index} of SSRC {self._ssrc:08x} after {self._next - 1}")
        self._next = index + 1
        return self._context.protect(header, payload, index)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A packet to send now. `due_ns`: when it could first have been sent, for measuring how late it is.

    Of sound, `index` and `payload` are the frame as it was handed over.
    """

    packet: bytes
    due_ns: int
    index: int = 0
    payload: bytes = b""


class AirRun:
    """One generation, from its start to `ended` (end, stopped or starved; None before)."""

    def __init__(self, start: StartAir, counters: Values) -> None:
        """ValueError for a start that no tune order could describe."""
        self._check(start)
        self.ssrc = start.ssrc
        self._start = start
        self._counters = counters
        self._end = MAX_INDEX + 1 if start.end_index is None else start.end_index
        context = SrtpContext(start.master_key, start.master_salt)
        self._sound = Sealer(context, start.ssrc, PT_OPUS)
        self._blocks = Sealer(context, start.block_ssrc, PT_BLOCK)
        self._block_key = SigningKey(start.block_seed) if start.block_seed else None
        self.grid = FrameGrid(start.start_ns, start.index0, start.timestamp0, start.frame_samples)
        self.rings = {start.ssrc: RepairRing(), start.block_ssrc: RepairRing()}
        self.next_index = start.index0
        self.sent = 0
        self._supplied = (
            False  # before the first frames are there, none is skipped: they follow their start at once
        )
        self.ended: str | None = None
        self._stopping = False
        self._held: dict[int, tuple[bytes, int]] = {}
        self._starves_ns = self.grid.due_ns(start.index0) + STARVED_NS
        # The block that next_index stands in: whether it went out ahead of its frames, or the hashes it will need.
        self._block = 0
        self._block_sent = False
        self._block_packet = b""
        self._hashes: dict[int, bytes] = {}
        self._sealed: dict[int, bytes] = {}
        """Packets of frames that are held still: the rest of the block that next_index stands in."""

    @staticmethod
    def _check(start: StartAir) -> None:
        if start.frame_samples not in FRAME_SAMPLES:
            raise ValueError(f"frames of {start.frame_samples} samples")
        if not 0 <= start.index0 <= MAX_INDEX or start.start_ns < 0:
            raise ValueError("a start out of range")
        if start.end_index is not None and not start.index0 < start.end_index <= MAX_INDEX:
            raise ValueError("an end before the start")
        if start.ssrc == start.block_ssrc or not 1 <= start.block_frames <= block_wire.MAX_FRAMES:
            raise ValueError("one SSRC for sound and blocks, or a block of no length")
        for ssrc in (start.ssrc, start.block_ssrc):
            RtpHeader(PT_OPUS, 0, start.timestamp0, ssrc)

    @property
    def block_ahead(self) -> bytes | None:
        """The packet of the block that covers the next frame, where it has been sent already."""
        return self._block_packet if self._block_sent else None

    @property
    def buffered(self) -> int:
        """Frames handed over and not yet sent."""
        return len(self._held)

    def supply(self, frames: Frames, now_ns: int) -> None:
        """Hold packets until they are due. Past, foreign, repeated and far-off ones are counted and dropped."""
        for index, packet in enumerate(frames.packets, frames.first_index):
            if index < self.next_index:
                self._counters["frames_late"] += 1
            elif (
                self.ended is not None
                or self._stopping
                or index >= min(self._end, self.next_index + MAX_AHEAD)
                or index in self._held
                or not 1 <= len(packet) <= MAX_OPUS_BYTES
            ):
                self._counters["frames_refused"] += 1
            else:
                self._held[index] = (packet, now_ns)
                self._supplied = True

    def stop(self) -> None:
        """Send no further frame. The next `due` closes the last block and ends the run."""
        self._stopping = True
        self._held.clear()
        self._sealed.clear()

    def next_due_ns(self) -> int | None:
        """When `due` next has something to do: may be past. None after the end."""
        if self.ended is not None:
            return None
        if self._stopping:
            return 0
        if not self._supplied:
            return self._starves_ns
        return self.grid.due_ns(self.next_index if self.next_index in self._held else self.next_index + 1)

    def due(self, now_ns: int) -> list[Outgoing]:
        """The packets to send now, in order, of CATCH_UP_FRAMES at most; sets `ended` when they are the last.

        With more that is overdue, `next_due_ns` is past.
        """
        out: list[Outgoing] = []
        if self.ended is not None:
            return out
        if self._stopping:
            self._end_with("stopped", now_ns, out)
            return out
        current = self.grid.index_at(now_ns)
        if self._supplied and self.grid.index_at(now_ns - MAX_LATE_NS) > self.next_index:
            self._skip_to(min(current, self._end), now_ns, out)
        began = self.sent
        while self.next_index <= min(current, self._end - 1) and self.sent - began < CATCH_UP_FRAMES:
            held = self._held.pop(self.next_index, None)
            if held is not None:
                self._send(self.next_index, *held, now_ns, out)
                self._move_to(self.next_index + 1, now_ns, out)
            elif self.next_index < current and self._supplied:
                self._skip_to(self.next_index + 1, now_ns, out)
            else:
                break  # it may still come before the next one is due
        if self.next_index >= self._end:
            self._end_with("end", now_ns, out)
        elif now_ns >= self._starves_ns and not self._held:
            self._end_with("starved", now_ns, out)
        return out

    def _send(self, index: int, payload: bytes, supplied_ns: int, now_ns: int, out: list[Outgoing]) -> None:
        due_ns = max(self.grid.due_ns(index), supplied_ns)
        packet = self._sealed.pop(index, None)
        if packet is None:
            packet = self._seal(index, payload)
            first, after = self._block_bounds()
            if index == first and all(i in self._held for i in range(first + 1, after)):
                for i in range(first + 1, after):
                    self._sealed[i] = self._seal(i, self._held[i][0])
                if self._block_key is not None:
                    self._send_block(after, due_ns, now_ns, out)
        self.rings[self._start.ssrc].put(index, packet, now_ns)
        out.append(Outgoing(packet, due_ns, index, payload))
        self._counters["frames_sent"] += 1
        self.sent += 1
        self._starves_ns = self.grid.due_ns(index + 1) + STARVED_NS

    def _seal(self, index: int, payload: bytes) -> bytes:
        """The frame's packet; its hash is noted for the block, where there is one."""
        header = self._sound.header(index, self.grid.timestamp(index), marker=index == self._start.index0)
        if self._block_key is not None and not self._block_sent:
            self._hashes[index] = block_wire.frame_hash(header, payload)
        return self._sound.seal(index, header, payload)

    def _skip_to(self, index: int, now_ns: int, out: list[Outgoing]) -> None:
        if index <= self.next_index:
            return
        self._counters["frames_skipped"] += index - self.next_index
        for stale in [i for i in self._held if i < index]:
            del self._held[stale]
            self._sealed.pop(stale, None)
        self._move_to(index, now_ns, out)

    def _move_to(self, index: int, now_ns: int, out: list[Outgoing]) -> None:
        self.next_index = index
        block = (index - self._start.index0) // self._start.block_frames
        if block != self._block:
            self._close_block(self._block_bounds()[1], now_ns, out)
            self._block, self._block_sent = block, False

    def _end_with(self, reason: str, now_ns: int, out: list[Outgoing]) -> None:
        if self._hashes:
            self._close_block(max(self._hashes) + 1, now_ns, out)
        self.ended = reason
        self._held.clear()
        self._sealed.clear()

    def _block_bounds(self) -> tuple[int, int]:
        first = self._start.index0 + self._block * self._start.block_frames
        return first, min(first + self._start.block_frames, self._end)

    def _close_block(self, after: int, now_ns: int, out: list[Outgoing]) -> None:
        """Send the block of frames already sent. Skipped ones get a hash that no frame has."""
        if self._hashes:
            self._send_block(after, max(self.grid.due_ns(max(self._hashes)), now_ns), now_ns, out)

    def _send_block(self, after: int, due_ns: int, now_ns: int, out: list[Outgoing]) -> None:
        assert self._block_key is not None
        first = self._block_bounds()[0]
        hashes = [self._hashes.get(i, _NOT_SENT) for i in range(first, after)]
        self._hashes.clear()
        payload = block_wire.seal_block(self._block_key, self._start.ssrc, first, hashes)
        header = self._blocks.header(self._block, self.grid.timestamp(first))
        packet = self._blocks.seal(self._block, header, payload)
        self._block_sent, self._block_packet = True, packet
        self.rings[self._start.block_ssrc].put(self._block, packet, now_ns)
        out.append(Outgoing(packet, due_ns))
        self._counters["blocks_sent"] += 1
