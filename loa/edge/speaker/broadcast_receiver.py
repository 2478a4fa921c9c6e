"""One tuned generation: its packets in, its frames out, decoded when they are played (docs/protocol.md, *Media*).

Pure: origin time and local time are handed in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from loa.codecs import block_wire, rtp
from loa.codecs.channel_wire import Nack, split_nack
from loa.codecs.key_schedule import MediaKey
from loa.codecs.opus_decode import OpusDecoder, has_fec, packet_samples
from loa.codecs.order_wire import MAX_INDEX, Tune
from loa.codecs.srtp import SrtpContext
from loa.edge.speaker.block_check import BlockCheck, Cover
from loa.edge.speaker.frame_counters import Counters
from loa.edge.speaker.jitter_buffer import JitterBuffer, Put
from loa.errors import AuthorityError, MediaError, WireError
from loa.timing.line import FrameGrid
from loa.timing.token_bucket import TokenBucket

NS_PER_MS = 1_000_000
REACH_SAMPLES = 20 * 48_000
MAX_PACKET_BYTES = 1500
MAX_CONCEALED = 10_000
MAX_TRANSIT_NS = 200 * NS_PER_MS
NACKS_A_SECOND = 10
FADE_FROM_SAMPLES = 4_800
FADED_SAMPLES = 14_400
"""A loss is concealed as it comes for 100 ms, and has faded to silence at 300 ms."""
_MOST_ASKED = 100
_PLAIN_HEADER = 0x80

Float32 = NDArray[np.float32]


class Decoder(Protocol):
    """What `loa.codecs.opus_decode.OpusDecoder` does."""

    def decode(self, packet: bytes) -> Float32: ...

    def decode_fec(self, next_packet: bytes, samples: int) -> Float32: ...

    def conceal(self, samples: int) -> Float32: ...

    def reset(self) -> None: ...


class How(Enum):
    """Where a frame's sound came from."""

    PLAYED = "played"
    RECOVERED = "recovered"
    CONCEALED = "concealed"


@dataclass(slots=True)
class _Frame:
    payload: bytes
    hash: bytes
    repaired: bool
    signed: bool


class BroadcastReceiver:
    """Receives, repairs, verifies and decodes the frames of one generation, in order from `next_index`."""

    def __init__(self, tune: Tune, make_decoder: Callable[[], Decoder] = OpusDecoder) -> None:
        self.tune = tune
        self.grid = FrameGrid(tune.start_ns, tune.index0, tune.timestamp0, tune.frame_samples)
        self.counters = Counters()
        self.concealed_frames: list[int] = []  # numbers relative to index0, ascending, at most MAX_CONCEALED
        self.next_index = tune.index0
        self.last_heard_ns: int | None = None
        self._reach = REACH_SAMPLES // tune.frame_samples
        capacity = self._reach + 10 * 48_000 // tune.frame_samples + 1
        self._frames: JitterBuffer[_Frame] = JitterBuffer(tune.index0, end=tune.end_index, capacity=capacity)
        self._blocks: JitterBuffer[None] | None = None
        self._check: BlockCheck | None = None
        if tune.block_key:
            self._check = BlockCheck(
                tune.block_key, tune.ssrc, tune.index0, tune.block_frames, end=tune.end_index, capacity=capacity
            )
            self._blocks = JitterBuffer(0, end=self._block_end(), capacity=capacity)
        self._unsigned: set[int] = set()
        self._srtp: SrtpContext | None = None
        # Made now and not when the first frame is due: then all speakers of a city are at work at once.
        self._decoder = make_decoder()
        self._budget = TokenBucket(NACKS_A_SECOND, NACKS_A_SECOND)
        self._transit_ns: int | None = None
        self._blocks_lead = False
        self._lost_samples = 0  # concealed in a row

    @property
    def keyed(self) -> bool:
        """Whether packets can be opened."""
        return self._srtp is not None

    @property
    def depth_ms(self) -> int:
        """Sound that has come and has not been played, ms."""
        return len(self._frames) * self.tune.frame_samples // 48

    def set_key(self, key: MediaKey) -> None:
        """Packets can be opened from now on."""
        self._srtp = SrtpContext(key.key, key.salt)

    def set_end(self, end_index: int | None) -> None:
        """A later order for this generation tells where it ends."""
        if end_index is not None and self._frames.end is None:
            self._frames.end = end_index
            if self._check is not None and self._blocks is not None:
                self._check.end = end_index
                self._blocks.end = self._block_end()

    @property
    def end_index(self) -> int | None:
        """The first index that is not sent; None while unknown."""
        return self._frames.end

    def receive(self, packet: bytes, origin_ns: int, now_ns: int) -> None:
        """Take an RTP packet of one of this generation's two SSRCs. `origin_ns`: origin time now, to within
        seconds. `now_ns`: local time. Never raises; what is of no use is counted."""
        counters = self.counters
        if not rtp.HEADER_BYTES < len(packet) <= MAX_PACKET_BYTES or packet[0] != _PLAIN_HEADER:
            counters.malformed += 1
            return
        if self._srtp is None:
            counters.no_key += 1
            return
        ssrc = int.from_bytes(packet[8:12], "big")
        try:
            if ssrc == self.tune.ssrc:
                self._receive_frame(self._srtp, packet, origin_ns, now_ns)
            elif ssrc == self.tune.block_ssrc and self._check is not None and self._blocks is not None:
                self._receive_block(self._srtp, self._check, self._blocks, packet, origin_ns, now_ns)
            else:
                counters.outside += 1
        except WireError:
            counters.malformed += 1
        except AuthorityError:
            counters.unauthentic += 1

    def due_by(self, origin_ns: int) -> bool:
        """Whether a frame of it is due at `origin_ns`: it has begun, and not come to its end."""
        due, end = self.grid.index_at(origin_ns), self._frames.end
        return due >= self.tune.index0 and (end is None or due < end)

    def nacks(self, origin_ns: int, now_ns: int, round_trip_ns: int) -> list[Nack]:
        """What to ask for now."""
        # Until a packet has told how long the way is, half of the round trip and as much again for its jitter.
        transit_ns = min(round_trip_ns, MAX_TRANSIT_NS) if self._transit_ns is None else self._transit_ns
        due = self.grid.index_at(origin_ns - transit_ns)
        self._frames.expect(due + 1, now_ns)
        if self._blocks is not None:
            self._blocks.expect(self._blocks_due(due), now_ns)
        if not self.keyed or self._budget.available(now_ns) < 2:
            return []
        made = split_nack(self.tune.ssrc, self._frames.to_ask(now_ns, round_trip_ns, _MOST_ASKED))
        if self._blocks is not None:
            made += split_nack(self.tune.block_ssrc, self._blocks.to_ask(now_ns, round_trip_ns, _MOST_ASKED))
        self._budget.spend(len(made))
        return made

    def decode_next(self, *, heard: bool = True, joined: bool = True) -> tuple[How, Float32]:
        """Frame `next_index` as `frame_samples` samples, and on to the next.

        A missing frame, and one that no verified block covers, is recovered from the frame after it where that
        carries it, and concealed otherwise. Not `heard`: it only leads the decoder in, and counts as concealed. Not
        `joined`: nothing has been heard yet, and what is not heard does not count.
        """
        index, samples = self.next_index, self.tune.frame_samples
        frame = self._usable(index)
        how, pcm = How.CONCEALED, None
        try:
            if frame is not None:
                pcm, how = self._decoder.decode(frame.payload), How.PLAYED
            else:
                following = self._usable(index + 1)
                if following is not None and has_fec(following.payload):
                    pcm, how = self._decoder.decode_fec(following.payload, samples), How.RECOVERED
        except MediaError:
            how, pcm = How.CONCEALED, None
        if pcm is None or len(pcm) != samples:
            how, pcm = How.CONCEALED, self._conceal(samples)
        else:
            self._lost_samples = 0
        told = how if heard else How.CONCEALED
        if joined or told is not How.CONCEALED:
            self._count(index, told, repaired=frame is not None and frame.repaired)
        self._pass_to(index + 1)
        return how, pcm

    def _conceal(self, samples: int) -> Float32:
        """What the decoder makes up, faded out when the loss is long: its noise would never end by itself."""
        at = self._lost_samples + np.arange(samples, dtype=np.float32)
        self._lost_samples = min(self._lost_samples + samples, FADED_SAMPLES)
        gain = (FADED_SAMPLES - at) / (FADED_SAMPLES - FADE_FROM_SAMPLES)
        return self._decoder.conceal(samples) * np.clip(gain, 0, 1).astype(np.float32)

    def skip_to(self, index: int, *, counted: bool) -> None:
        """Leave out the frames below `index`. `counted`: they should have been heard, and count as concealed."""
        if index <= self.next_index:
            return
        if counted:
            for each in range(self.next_index, min(index, self.next_index + self._reach)):
                self._count(each, How.CONCEALED, repaired=False)
        self._pass_to(index)
        self._decoder.reset()

    def forgo(self, origin_ns: int) -> None:
        """What was due until now was not sent here, and is not asked for, but for the block of what comes next."""
        index = self.grid.index_at(origin_ns) + 1
        self._frames.forgo(index)
        if self._check is not None and self._blocks is not None:
            self._blocks.forgo(self._check.block_of(index))

    def has(self, index: int) -> bool:
        """Whether a frame could be decoded from its packet now."""
        return self._usable(index) is not None

    def _receive_frame(self, srtp: SrtpContext, packet: bytes, origin_ns: int, now_ns: int) -> None:
        counters = self.counters
        expected = _clamped(self.grid.index_at(origin_ns))
        index = rtp.nearest_index(int.from_bytes(packet[2:4], "big"), expected)
        end = self._frames.end
        if index < self.tune.index0 or (end is not None and index >= end) or abs(index - expected) > self._reach:
            counters.outside += 1
            return
        if index < self._frames.first:
            counters.late += 1
            return
        if index in self._frames:
            counters.replayed += 1
            return
        header, payload = srtp.unprotect(packet, index)
        if header.payload_type != rtp.PT_OPUS or header.timestamp != self.grid.timestamp(index):
            raise WireError("a frame with another payload type or timestamp")
        if _packet_samples(payload) != self.tune.frame_samples:
            raise WireError("a frame of another length")
        hash_ = block_wire.frame_hash(header.pack(), payload) if self._check is not None else b""
        cover = Cover.SIGNED if self._check is None else self._check.cover(index, hash_)
        if cover is Cover.FALSE:
            counters.forged += 1
            self._unsigned.add(index)
            return
        frame = _Frame(payload, hash_, repaired=False, signed=cover is Cover.SIGNED)
        put = self._frames.put(index, frame)
        if put not in (Put.NEW, Put.REPAIRED):
            counters.outside += 1
            return
        frame.repaired = put is Put.REPAIRED
        if frame.signed:
            self.last_heard_ns = now_ns
        if self._check is None and put is Put.NEW:
            self._measure_transit(origin_ns - self.grid.due_ns(index))

    def _receive_block(
        self,
        srtp: SrtpContext,
        check: BlockCheck,
        blocks: JitterBuffer[None],
        packet: bytes,
        origin_ns: int,
        now_ns: int,
    ) -> None:
        counters = self.counters
        frame_due = _clamped(self.grid.index_at(origin_ns))
        expected = max(0, check.block_of(frame_due))
        number = rtp.nearest_index(int.from_bytes(packet[2:4], "big"), expected)
        first = self.tune.index0 + number * self.tune.block_frames
        if abs(first - frame_due) > self._reach + self.tune.block_frames or first > MAX_INDEX:
            counters.outside += 1
            return
        if number < blocks.first:
            counters.late += 1
            return
        if number in blocks:
            counters.replayed += 1
            return
        header, payload = srtp.unprotect(packet, number)
        if header.payload_type != rtp.PT_BLOCK or header.timestamp != self.grid.timestamp(first):
            raise WireError("a block with another payload type or timestamp")
        try:
            block = check.take(number, payload)
        except AuthorityError:
            counters.forged += 1
            return
        self.last_heard_ns = now_ns
        put = blocks.put(number, None)
        if put is Put.BEYOND:
            counters.outside += 1
        elif put is Put.NEW:
            # What was never asked for came by itself: it tells whether blocks lead, and how long the way is. Only
            # the origin can say so; a frame may be anybody's until a block covers it.
            last = block.first_index + len(block.hashes) - 1
            self._blocks_lead = origin_ns < self.grid.due_ns(last)
            sent_with = block.first_index if self._blocks_lead else last
            self._measure_transit(origin_ns - self.grid.due_ns(sent_with))
        for index in range(block.first_index, block.first_index + len(block.hashes)):
            self._verify(check, index, now_ns)

    def _verify(self, check: BlockCheck, index: int, now_ns: int) -> None:
        frame = self._frames.get(index)
        if frame is None or frame.signed:
            return
        cover = check.cover(index, frame.hash)
        frame.signed = cover is Cover.SIGNED
        if frame.signed:
            self.last_heard_ns = now_ns
        if cover is Cover.FALSE:
            self.counters.forged += 1
            self._unsigned.add(index)
            self._frames.reopen(index, now_ns)

    def _usable(self, index: int) -> _Frame | None:
        frame = self._frames.get(index)
        return frame if frame is not None and frame.signed else None

    def _count(self, index: int, how: How, *, repaired: bool) -> None:
        counters = self.counters
        if how is How.PLAYED:
            counters.played += 1
            counters.repaired += repaired
        elif how is How.RECOVERED:
            counters.recovered += 1
        else:
            counters.concealed += 1
            if len(self.concealed_frames) < MAX_CONCEALED:
                self.concealed_frames.append(index - self.tune.index0)
            held = self._frames.get(index)
            if index in self._unsigned or (held is not None and not held.signed):
                counters.unsigned += 1

    def _pass_to(self, index: int) -> None:
        self.next_index = index
        self._frames.pass_to(index)
        if self._unsigned:
            self._unsigned = {each for each in self._unsigned if each >= index}
        if self._check is not None and self._blocks is not None:
            self._check.pass_to(index)
            self._blocks.pass_to(self._check.block_of(index))

    def _blocks_due(self, due: int) -> int:
        """How many blocks should have come when frame `due` has: those whose last frame has gone, and where
        blocks come before their frames, those whose first has."""
        end = self._frames.end
        if end is not None and due >= end - 1:
            return self._block_end() or 0
        if self._blocks_lead and due >= self.tune.index0:
            return (due - self.tune.index0) // self.tune.block_frames + 1
        return max(0, due - self.tune.index0 + 1) // self.tune.block_frames

    def _block_end(self) -> int | None:
        end = self._frames.end
        return None if end is None else -((self.tune.index0 - end) // self.tune.block_frames)

    def _measure_transit(self, transit_ns: int) -> None:
        """Follow the usual way of a packet, not its longest: to ask in vain now and then costs a packet, and to ask
        late one of the few tries there is time for.
        """
        transit_ns = max(0, min(MAX_TRANSIT_NS, self.tune.play_delay_ms * NS_PER_MS // 4, transit_ns))
        self._transit_ns = (
            transit_ns if self._transit_ns is None else self._transit_ns + (transit_ns - self._transit_ns) // 8
        )


def _clamped(index: int) -> int:
    return max(0, min(MAX_INDEX, index))


def _packet_samples(payload: bytes) -> int:
    """Samples in an Opus packet. WireError for what is none."""
    try:
        return packet_samples(payload)
    except MediaError as error:
        raise WireError(str(error)) from error
