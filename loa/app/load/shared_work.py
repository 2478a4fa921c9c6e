"""What the sampled endpoints of a process do once for all: open a packet, check a signature, decode a frame.

They get the same ciphertext under the same key, and a generator must not eat the processor of what it measures.
Each endpoint has its own clock, gate, jitter buffer, block check and playout, and shares what comes out the same.
"""

from __future__ import annotations

from collections import OrderedDict

import numpy as np

from loa.codecs import block_wire
from loa.codecs.block_wire import Block
from loa.codecs.key_schedule import MediaKey
from loa.codecs.opus_decode import OpusDecoder
from loa.codecs.order_wire import Tune
from loa.codecs.rtp import RtpHeader
from loa.codecs.srtp import SrtpContext
from loa.edge.speaker.broadcast_receiver import BroadcastReceiver, Float32
from loa.edge.speaker.interpolate import SincTable, Span
from loa.edge.speaker.voice import Voice

MAX_STREAMS = 32
MAX_PACKETS = 1_024
"""Of a stream: 20 s of it, longer than any packet is of use."""


class _OpenedOnce(SrtpContext):
    """An SRTP context that remembers what it has opened."""

    def __init__(self, key: MediaKey) -> None:
        super().__init__(key.key, key.salt)
        self._opened: OrderedDict[tuple[bytes, int], tuple[RtpHeader, bytes]] = OrderedDict()

    def unprotect(self, packet: bytes, index: int) -> tuple[RtpHeader, bytes]:
        """See SrtpContext. What does not open is tried anew each time."""
        opened = self._opened.get((packet, index))
        if opened is None:
            opened = self._opened[packet, index] = super().unprotect(packet, index)
            if len(self._opened) > MAX_PACKETS:
                self._opened.popitem(last=False)
        return opened


class _DecodedOnce:
    """A decoder of one stream for many. What was lost at one endpoint only is made up by one decoder for all."""

    def __init__(self) -> None:
        self._decoder = OpusDecoder()
        self._maker_up = OpusDecoder()
        self._decoded: OrderedDict[bytes, Float32] = OrderedDict()

    def decode(self, packet: bytes) -> Float32:
        """The frame, decoded when the first endpoint comes to it."""
        pcm = self._decoded.get(packet)
        if pcm is None:
            pcm = self._decoded[packet] = self._decoder.decode(packet)
            if len(self._decoded) > MAX_PACKETS:
                self._decoded.popitem(last=False)
        return pcm

    def decode_fec(self, next_packet: bytes, samples: int) -> Float32:
        """See OpusDecoder."""
        return self._maker_up.decode_fec(next_packet, samples)

    def conceal(self, samples: int) -> Float32:
        """See OpusDecoder."""
        return self._maker_up.conceal(samples)

    def reset(self) -> None:
        """Another endpoint may be in the middle of the stream: nothing is forgotten."""


class _Receiver(BroadcastReceiver):
    """A receiver with shared work."""

    def __init__(self, tune: Tune, shared: SharedWork) -> None:
        super().__init__(tune, lambda: shared.decoder(tune.ssrc))
        self._shared = shared
        if self._check is not None:
            self._check.open = shared.open_block

    def set_key(self, key: MediaKey) -> None:
        """See BroadcastReceiver."""
        self._srtp = self._shared.context(key)


class Unheard(Voice):
    """A voice whose frames are decoded in their time, and whose sound nobody hears: it is not resampled."""

    def _heard(self, pcm: Float32, span: Span, table: SincTable) -> Float32:
        return np.zeros(span.length, dtype=np.float32)


class SharedWork:
    """Makes receivers that share their work."""

    def __init__(self) -> None:
        self._contexts: OrderedDict[bytes, _OpenedOnce] = OrderedDict()
        self._decoders: OrderedDict[int, _DecodedOnce] = OrderedDict()
        self._blocks: OrderedDict[tuple[bytes, int, bytes], Block] = OrderedDict()

    def receiver(self, tune: Tune) -> BroadcastReceiver:
        """A receiver of a generation."""
        return _Receiver(tune, self)

    def context(self, key: MediaKey) -> SrtpContext:
        """The context of a generation's key."""
        made = self._contexts.get(key.key + key.salt)
        if made is None:
            made = self._contexts[key.key + key.salt] = _OpenedOnce(key)
            if len(self._contexts) > MAX_STREAMS:
                self._contexts.popitem(last=False)
        return made

    def open_block(self, block_key: bytes, ssrc: int, payload: bytes) -> Block:
        """See codecs.block_wire.open_block; a signature that held is not checked again."""
        key = block_key, ssrc, payload
        block = self._blocks.get(key)
        if block is None:
            block = self._blocks[key] = block_wire.open_block(block_key, ssrc, payload)
            if len(self._blocks) > MAX_PACKETS:
                self._blocks.popitem(last=False)
        return block

    def decoder(self, ssrc: int) -> _DecodedOnce:
        """The decoder of a generation."""
        made = self._decoders.get(ssrc)
        if made is None:
            made = self._decoders[ssrc] = _DecodedOnce()
            if len(self._decoders) > MAX_STREAMS:
                self._decoders.popitem(last=False)
        return made
