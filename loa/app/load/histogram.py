"""Counts of whole numbers by size, small enough to send and exact enough to judge by. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

_EXACT_BITS = 7  # values below 128 have a bucket each; above, a bucket is 1/64 of its value wide


class Histogram:
    """How often which value came: of whole numbers from 0 up, to within 1/64 of each.

    Two of them added are the histogram of all their values. `most` is exact.
    """

    def __init__(self, values: Iterable[int] = ()) -> None:
        self._counts: dict[int, int] = {}
        self.count = 0
        self.most = 0
        for value in values:
            self.add(value)

    def add(self, value: int) -> None:
        """Count one value; one below 0 counts as 0."""
        value = max(0, value)
        bucket = _bucket(value)
        self._counts[bucket] = self._counts.get(bucket, 0) + 1
        self.count += 1
        self.most = max(self.most, value)

    def merge(self, other: Histogram) -> None:
        """Count all that the other has counted."""
        for bucket, count in other._counts.items():
            self._counts[bucket] = self._counts.get(bucket, 0) + count
        self.count += other.count
        self.most = max(self.most, other.most)

    def quantile(self, share: float) -> int | None:
        """The least value that `share` (0 to 1) of all do not exceed, at most 1/64 too high; None: no values."""
        if not self.count:
            return None
        wanted = max(1, -(-int(self.count * share * 1_000_000) // 1_000_000))
        seen = 0
        for bucket in sorted(self._counts):
            seen += self._counts[bucket]
            if seen >= wanted:
                return min(_highest(bucket), self.most)
        return self.most

    def to_json(self) -> dict[str, object]:
        """As plain JSON values, for `from_json`."""
        return {"most": self.most, "counts": [[bucket, count] for bucket, count in sorted(self._counts.items())]}

    @classmethod
    def from_json(cls, value: Mapping[str, object]) -> Histogram:
        """What `to_json` gave."""
        made = cls()
        counts = value["counts"]
        assert isinstance(counts, list)
        made._counts = {int(bucket): int(count) for bucket, count in counts}
        made.count = sum(made._counts.values())
        made.most = int(str(value["most"]))
        return made


def _bucket(value: int) -> int:
    shift = max(0, value.bit_length() - _EXACT_BITS)
    return (shift << (_EXACT_BITS - 1)) + (value >> shift)


def _highest(bucket: int) -> int:
    """The highest value that falls into a bucket."""
    if bucket < 1 << _EXACT_BITS:
        return bucket
    shift = (bucket >> (_EXACT_BITS - 1)) - 1
    return ((bucket - (shift << (_EXACT_BITS - 1)) + 1) << shift) - 1
