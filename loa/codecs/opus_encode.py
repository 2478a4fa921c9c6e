"""Samples to Opus packets, by the libopus encoder inside PyAV. The only codec that needs PyAV."""

from fractions import Fraction
from typing import Literal

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from numpy.typing import NDArray

from loa.codecs.opus_decode import packet_samples
from loa.errors import MediaError

SAMPLE_RATE_HZ = 48_000
FRAME_LENGTHS_MS = (5, 10, 20, 40, 60)
MIN_BITRATE_BPS = 6_000
MAX_BITRATE_BPS = 510_000

# Pulse-code samples as callers hold them: float32 nominally within ±1, or int16.
Pcm = NDArray[np.float32] | NDArray[np.int16]


class OpusEncoder:
    """48 kHz samples in, packets of exactly `frame_ms` out.

    Mono samples have the shape (n,), stereo ones (n, 2). The first `pre_skip_samples` decoded samples are the
    encoder's look-ahead: a player drops them.
    """

    def __init__(
        self,
        bitrate_bps: int = 64_000,
        channels: int = 1,
        frame_ms: int = 20,
        application: Literal["audio", "voip"] = "audio",
        fec: bool = False,
        packet_loss_percent: int = 0,
    ) -> None:
        """`fec` lets speech packets carry a copy of the one before; it takes effect from a loss above 0 %."""
        if not MIN_BITRATE_BPS <= bitrate_bps <= MAX_BITRATE_BPS:
            raise ValueError(f"Opus does not encode at {bitrate_bps} bit/s")
        if channels not in (1, 2):
            raise ValueError(f"an Opus encoder has 1 or 2 channels, not {channels}")
        if frame_ms not in FRAME_LENGTHS_MS:
            raise ValueError(f"an Opus frame of {frame_ms} ms")
        if application not in ("audio", "voip"):
            raise ValueError(f"an Opus application {application!r}")
        if not 0 <= packet_loss_percent <= 100:
            raise ValueError(f"a packet loss of {packet_loss_percent} %")
        self.channels = channels
        self.frame_samples = SAMPLE_RATE_HZ * frame_ms // 1000
        self.samples_in = 0
        self._layout = "mono" if channels == 1 else "stereo"
        self._held: NDArray[np.float32] = np.zeros(0, dtype=np.float32)  # interleaved, less than a frame
        self._fed = 0  # samples handed to the encoder: the next frame's time stamp
        self._flushed = False
        try:
            codec = av.CodecContext.create("libopus", "w")
            assert isinstance(codec, AudioCodecContext)
            codec.sample_rate = SAMPLE_RATE_HZ
            codec.layout = self._layout
            codec.format = "flt"
            codec.bit_rate = bitrate_bps
            codec.time_base = Fraction(1, SAMPLE_RATE_HZ)
            codec.options = {
                "application": application,
                "frame_duration": str(frame_ms),
                "fec": "1" if fec else "0",
                "packet_loss": str(packet_loss_percent),
            }
            codec.open()
        except (av.FFmpegError, ValueError) as error:
            raise MediaError(f"no Opus encoder: {error}") from error
        self._codec = codec
        # The encoder writes the identification header of RFC 7845 §5.1 as its extra data; pre-skip is its
        # field.
        header = codec.extradata
        if header is None or len(header) < 19 or header[:8] != b"OpusHead":
            raise MediaError("the Opus encoder tells no pre-skip")
        self.pre_skip_samples = int.from_bytes(header[10:12], "little")

    def encode(self, samples: Pcm) -> list[bytes]:
        """Take any number of samples; give the packets that are complete. What is left waits for more."""
        if self._flushed:
            raise MediaError("the Opus encoder is flushed")
        fresh = self._interleaved(samples)
        self.samples_in += len(fresh) // self.channels
        pcm = np.concatenate((self._held, fresh))
        step = self.frame_samples * self.channels
        whole = len(pcm) - len(pcm) % step
        packets: list[bytes] = []
        for start in range(0, whole, step):
            packets += self._encode(pcm[start : start + step])
        self._held = pcm[whole:].copy()
        return packets

    def flush(self) -> list[bytes]:
        """The last packets, the last frame filled with silence: all that came in is then in the packets.

        Together the packets last `pre_skip_samples + samples_in` samples or up to a frame more. The encoder
        takes nothing after this.
        """
        if self._flushed:
            raise MediaError("the Opus encoder is flushed")
        packets: list[bytes] = []
        # As many frames of silence as bring the last sample out of the look-ahead.
        total = self.samples_in + self.pre_skip_samples if self.samples_in else 0
        missing = total - self._fed
        frames = -(-missing // self.frame_samples)
        if frames > 0:
            silence = frames * self.frame_samples * self.channels - len(self._held)
            pcm = np.concatenate((self._held, np.zeros(silence, dtype=np.float32)))
            for frame in np.split(pcm, frames):
                packets += self._encode(frame)
        self._flushed = True
        self._held = self._held[:0]
        return packets

    def _interleaved(self, samples: Pcm) -> NDArray[np.float32]:
        expected_dimensions = 1 if self.channels == 1 else 2
        if samples.ndim != expected_dimensions or (self.channels == 2 and samples.shape[1] != 2):
            raise ValueError(f"samples of shape {samples.shape} for {self.channels} channel(s)")
        if samples.dtype == np.int16:
            return (samples.astype(np.float32) / np.float32(32768)).reshape(-1)
        if samples.dtype == np.float32:
            # A single NaN would stay in the encoder's filters for the rest of the stream.
            if not np.isfinite(samples).all():
                raise MediaError("samples that are not finite")
            return samples.astype(np.float32, copy=False).reshape(-1)
        raise ValueError(f"samples of type {samples.dtype}; float32 and int16 are taken")

    def _encode(self, pcm: NDArray[np.float32]) -> list[bytes]:
        frame = av.AudioFrame.from_ndarray(pcm.reshape(1, -1), format="flt", layout=self._layout)
        frame.sample_rate = SAMPLE_RATE_HZ
        frame.pts = self._fed
        frame.time_base = Fraction(1, SAMPLE_RATE_HZ)
        try:
            packets = [bytes(packet) for packet in self._codec.encode(frame)]
        except av.FFmpegError as error:
            raise MediaError(f"Opus encode: {error}") from error
        self._fed += self.frame_samples
        if any(packet_samples(packet) != self.frame_samples for packet in packets):
            raise MediaError("the Opus encoder gave a packet of another length than was asked")
        return packets
