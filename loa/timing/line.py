"""Sample <-> RTP timestamp <-> origin time, in integers and rationals only.

A sample lasts 62500/3 ns, so most are due between two whole nanoseconds. One rule keeps both directions true: *a
sample is due at its exact instant rounded down, and the sample at an instant is the last one that is due*. Every
value is computed from the start of the grid, never from its predecessor: nothing accumulates.
"""

from dataclasses import dataclass
from fractions import Fraction

SAMPLE_RATE_HZ = 48_000
NS_PER_S = 1_000_000_000
RTP_TIMESTAMP_MODULUS = 1 << 32

_RATIO = Fraction(NS_PER_S, SAMPLE_RATE_HZ)
_NS, _SAMPLES = _RATIO.numerator, _RATIO.denominator  # that many nanoseconds are that many samples


def samples_to_ns(samples: int) -> int:
    """Duration of `samples` (any sign) at 48 kHz in nanoseconds, rounded down."""
    return samples * _NS // _SAMPLES


def ns_to_samples_floor(ns: int) -> int:
    """The most samples (any sign) whose duration by `samples_to_ns` is not above `ns`; undoes it exactly."""
    return ((ns + 1) * _SAMPLES - 1) // _NS


@dataclass(frozen=True, slots=True)
class FrameGrid:
    """Where the frames of one generation of a broadcast lie.

    `start_ns`        origin time at which the first sample of frame `index0` is due
    `index0`          extended packet index of that frame
    `timestamp0`      its RTP timestamp (mod 2^32)
    `frame_samples`   samples per frame at 48 kHz (960 for 20 ms)
    """

    start_ns: int
    index0: int
    timestamp0: int
    frame_samples: int

    def __post_init__(self) -> None:
        if self.frame_samples <= 0:
            raise ValueError(f"a frame of {self.frame_samples} samples")

    def due_ns(self, index: int) -> int:
        """Origin time of the first sample of frame `index`."""
        return self.start_ns + samples_to_ns((index - self.index0) * self.frame_samples)

    def index_at(self, origin_ns: int) -> int:
        """The last frame that is due at `origin_ns`: `index_at(due_ns(i)) == i`."""
        return self.index0 + ns_to_samples_floor(origin_ns - self.start_ns) // self.frame_samples

    def timestamp(self, index: int) -> int:
        """RTP timestamp of frame `index`, 0..2^32-1."""
        return (self.timestamp0 + (index - self.index0) * self.frame_samples) % RTP_TIMESTAMP_MODULUS

    def index_of_timestamp(self, timestamp: int, near_index: int) -> int:
        """The frame holding the sample with this RTP timestamp, of the many that wrap to it the nearest.

        Distances up to 2^31 samples (12.4 hours) either way are resolved. A timestamp inside a frame gives that
        frame: compare with `timestamp(result)` where only a frame's first sample will do.
        """
        half = RTP_TIMESTAMP_MODULUS // 2
        ahead = (timestamp - self.timestamp(near_index) + half) % RTP_TIMESTAMP_MODULUS - half
        return near_index + ahead // self.frame_samples

    def sample_at(self, origin_ns: int) -> Fraction:
        """Exact position in samples at `origin_ns`, counted from the first sample of frame `index0`."""
        return Fraction((origin_ns - self.start_ns) * _SAMPLES, _NS)

    def ns_of_sample(self, sample: int) -> int:
        """Origin time at which sample `sample`, counted from the first of frame `index0`, is due."""
        return self.start_ns + samples_to_ns(sample)
