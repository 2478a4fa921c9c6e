"""Opus packets to samples (RFC 6716), and what a packet tells without being decoded."""

import ctypes
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from loa.codecs import libopus
from loa.errors import MediaError

# A packet holds at most 120 ms (RFC 6716 §3.2.5, requirement R5): 5,760 samples at 48 kHz.
MAX_PACKET_MS = 120
MAX_PACKET_SAMPLES = 5760
MAX_FRAME_BYTES = 1275

_DECODER_RATES_HZ = (8_000, 12_000, 16_000, 24_000, 48_000)

# Samples of one frame at 48 kHz by the two low bits of the configuration (RFC 6716 §3.1, table 2).
_SILK_FRAME_SAMPLES = (480, 960, 1920, 2880)
_HYBRID_FRAME_SAMPLES = (480, 960)
_CELT_FRAME_SAMPLES = (120, 240, 480, 960)


class OpusDecoder:
    """One stream's decoder. Not for two threads at once.

    Samples are float32, nominally within ±1 (a decoder may overshoot a little; nothing is clipped), of shape
    (n,) for one channel and (n, 2) for two. All that libopus refuses is a MediaError.
    """

    def __init__(
        self, channels: int = 1, sample_rate_hz: int = 48_000, library: libopus.LibOpus | None = None
    ) -> None:
        """`channels` 1 or 2; `sample_rate_hz` 8000, 12000, 16000, 24000 or 48000; `library` for tests."""
        self._handle: int | None = None  # set before anything can fail: __del__ reads it
        if channels not in (1, 2):
            raise ValueError(f"an Opus decoder has 1 or 2 channels, not {channels}")
        if sample_rate_hz not in _DECODER_RATES_HZ:
            raise ValueError(f"an Opus decoder does not run at {sample_rate_hz} Hz")
        self.channels = channels
        self.sample_rate_hz = sample_rate_hz
        self._library = library or libopus.load()
        self._max_samples = sample_rate_hz * MAX_PACKET_MS // 1000
        # libopus writes here; each call hands out a copy, so no caller's array changes under it.
        self._pcm: NDArray[np.float32] = np.zeros(self._max_samples * channels, dtype=np.float32)
        self._pcm_pointer = self._pcm.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        status = ctypes.c_int(libopus.OPUS_OK)
        handle = self._library.symbols.opus_decoder_create(sample_rate_hz, channels, ctypes.byref(status))
        if not handle or status.value != libopus.OPUS_OK:
            raise MediaError(f"no Opus decoder: {self._library.error_text(status.value)}")
        self._handle = handle

    def decode(self, packet: bytes) -> NDArray[np.float32]:
        """The samples of one packet. An empty or malformed one is a MediaError and leaves no samples."""
        if not packet:
            raise MediaError("an empty Opus packet")
        return self._decode(packet, self._max_samples, fec=False)

    def decode_fec(self, next_packet: bytes, samples: int) -> NDArray[np.float32]:
        """The lost packet of `samples` samples, from the redundancy in the packet that followed it.

        Where `next_packet` carries none (see `has_fec`) this is concealment. Decode `next_packet` itself
        next. `samples` is a multiple of 2.5 ms, at most 120 ms.
        """
        if not next_packet:
            raise MediaError("an empty Opus packet")
        return self._decode(next_packet, self._checked(samples), fec=True)

    def conceal(self, samples: int) -> NDArray[np.float32]:
        """`samples` samples in place of what was lost; a multiple of 2.5 ms, at most 120 ms.

        The sound falls within about 200 ms to a noise 20 to 30 dB below it, which never ends: whoever conceals for
        longer fades it out himself.
        """
        return self._decode(None, self._checked(samples), fec=False)

    def reset(self) -> None:
        """Forget all that was decoded: the next packet starts a stream."""
        code = self._library.symbols.opus_decoder_ctl(self._open_handle(), libopus.OPUS_RESET_STATE)
        if code != libopus.OPUS_OK:
            raise MediaError(f"Opus reset: {self._library.error_text(code)}")

    def close(self) -> None:
        """Give the decoder's memory back. Any further call but this one is a MediaError."""
        handle, self._handle = self._handle, None
        if handle is not None:
            self._library.symbols.opus_decoder_destroy(handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def _open_handle(self) -> int:
        if self._handle is None:
            raise MediaError("the Opus decoder is closed")
        return self._handle

    def _checked(self, samples: int) -> int:
        step = self.sample_rate_hz // 400
        if not 0 < samples <= self._max_samples or samples % step:
            raise MediaError(f"{samples} samples are no multiple of 2.5 ms up to {MAX_PACKET_MS} ms")
        return samples

    def _decode(self, packet: bytes | None, samples: int, *, fec: bool) -> NDArray[np.float32]:
        size_bytes = 0 if packet is None else len(packet)
        count: int = self._library.symbols.opus_decode_float(
            self._open_handle(), packet, size_bytes, self._pcm_pointer, samples, int(fec)
        )
        if count < 0:
            raise MediaError(f"Opus decode: {self._library.error_text(count)}")
        pcm = self._pcm[: count * self.channels].copy()
        return pcm if self.channels == 1 else pcm.reshape(count, self.channels)


def packet_samples(packet: bytes) -> int:
    """A packet's length in samples at 48 kHz, 120 to 5760. MediaError if it is malformed (RFC 6716 §3)."""
    return _frame_samples(packet) * len(packet_frames(packet))


def has_fec(packet: bytes) -> bool:
    """Whether the packet carries a copy of the frame before it (LBRR). False for a malformed packet.

    Only SILK and hybrid frames can. Their first byte opens with one voice-activity bit for each 20 ms (or one
    for 10 ms) and then the LBRR flag, once for each channel (RFC 6716 §4.2.3, §4.2.4).
    """
    try:
        first, last = packet_frames(packet)[0]
    except MediaError:
        return False
    configuration = packet[0] >> 3
    if configuration >= 16 or first == last:
        return False
    silk_frames = max(1, _frame_samples(packet) // 960)
    flags = packet[first]
    mid = flags >> (7 - silk_frames) & 1
    # The side channel's flags follow the mid channel's.
    side = flags >> (6 - 2 * silk_frames) & 1 if packet[0] & 0x04 else 0
    return bool(mid | side)


def packet_frames(packet: bytes) -> list[tuple[int, int]]:
    """Where each frame's bytes start and end in the packet; a frame may be empty. 1 to 48 frames.

    MediaError unless the packet meets requirements R1 to R7 of RFC 6716 §3.4.
    """
    if not packet:
        raise MediaError("an empty Opus packet")
    code = packet[0] & 0x03
    end = len(packet)
    position = 1
    if code == 0:
        sizes = [end - position]
    elif code == 1:
        sizes = _equal_sizes(2, end - position)
    elif code == 2:
        size, position = _frame_size(packet, position, end)
        sizes = [size, end - position - size]
    else:
        sizes, position = _many_sizes(packet)
    if any(not 0 <= size <= MAX_FRAME_BYTES for size in sizes):
        raise MediaError("an Opus frame's length does not fit its packet")
    frames = []
    for size in sizes:
        frames.append((position, position + size))
        position += size
    return frames


def _many_sizes(packet: bytes) -> tuple[list[int], int]:
    """Frame sizes and the first frame's position of a code 3 packet (RFC 6716 §3.2.5)."""
    end = len(packet)
    if end < 2:
        raise MediaError("an Opus packet without its frame count")
    variable, padded, count = packet[1] & 0x80, packet[1] & 0x40, packet[1] & 0x3F
    if not count or count * _frame_samples(packet) > MAX_PACKET_SAMPLES:
        raise MediaError(f"an Opus packet of {count} frames")
    position = 2
    while padded:
        if position >= end:
            raise MediaError("an Opus packet's padding does not end")
        step = packet[position]
        position += 1
        # 255 stands for 254 bytes and one more length byte.
        end -= min(step, 254)
        padded = step == 255
    if position > end:
        raise MediaError("an Opus packet's padding is longer than the packet")
    if not variable:
        return _equal_sizes(count, end - position), position
    sizes = []
    for _ in range(count - 1):
        size, position = _frame_size(packet, position, end)
        sizes.append(size)
    return [*sizes, end - position - sum(sizes)], position


def _equal_sizes(count: int, size_bytes: int) -> list[int]:
    if size_bytes % count:
        raise MediaError("an Opus packet's frames are not of one length")
    return [size_bytes // count] * count


def _frame_size(packet: bytes, position: int, end: int) -> tuple[int, int]:
    """A frame length of one or two bytes (RFC 6716 §3.2.1), and the position after it."""
    if position >= end:
        raise MediaError("an Opus packet ends before a frame's length")
    first = packet[position]
    if first < 252:
        return first, position + 1
    if position + 1 >= end:
        raise MediaError("an Opus packet ends inside a frame's length")
    return first + 4 * packet[position + 1], position + 2


def _frame_samples(packet: bytes) -> int:
    """Samples of one frame at 48 kHz, from the configuration number of a packet that is not empty."""
    if not packet:
        raise MediaError("an empty Opus packet")
    configuration = packet[0] >> 3
    if configuration < 12:
        return _SILK_FRAME_SAMPLES[configuration & 3]
    if configuration < 16:
        return _HYBRID_FRAME_SAMPLES[configuration & 1]
    return _CELT_FRAME_SAMPLES[configuration & 3]
