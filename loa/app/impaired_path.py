"""One direction of a bad network path, pure: delay, jitter, loss, bursts, duplicates and reordering.

`ImpairedPath` takes datagrams and *now* (nanoseconds of any monotonic clock) and gives back those that are
due. `loa.app.impair` puts sockets around it.
"""

import dataclasses
import heapq
import random
from dataclasses import dataclass

from loa.errors import ConfigError

_MS_NS = 1_000_000
_LONGEST_MS = 60_000.0


@dataclass(frozen=True, slots=True)
class Burst:
    """Gilbert-Elliott loss: a path is good or bad, and changes by chance before each datagram.

    All three are probabilities, 0..1. While the path is good, `Impairment.loss` holds; while it is bad,
    `loss` of this class. The mean length of a bad time is 1 / `to_good` datagrams.
    """

    to_bad: float
    to_good: float
    loss: float = 1.0


@dataclass(frozen=True, slots=True)
class Impairment:
    """What one direction of a path does to datagrams. Raises ConfigError for values out of range.

    delay_ms, jitter_ms, reorder_ms are 0..60,000. Jitter is an added delay, exponentially distributed with
    mean `jitter_ms` and cut at ten times that mean. Delay and jitter alone keep the order, as the queue of a
    real router does: a datagram held back also holds those behind it. `reorder` is the share of datagrams
    that step out of the queue and come `reorder_ms` later, so that what follows overtakes them.
    loss, duplicate, reorder are probabilities, 0..1. A duplicate comes right behind its original.
    `limit_packets` and `limit_bytes` bound what waits; when full, the datagram due first is dropped.
    """

    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    reorder_ms: float = 30.0
    burst: Burst | None = None
    seed: int | str = 0
    limit_packets: int = 4096
    limit_bytes: int = 4 << 20

    def __post_init__(self) -> None:
        for name in ("delay_ms", "jitter_ms", "reorder_ms"):
            if not 0.0 <= getattr(self, name) <= _LONGEST_MS:
                raise ConfigError(f"{name} must be 0 to {_LONGEST_MS:.0f} ms, not {getattr(self, name)}")
        chances = {name: getattr(self, name) for name in ("loss", "duplicate", "reorder")}
        if self.burst is not None:
            chances |= {f"burst {name}": value for name, value in dataclasses.asdict(self.burst).items()}
        for name, value in chances.items():
            if not 0.0 <= value <= 1.0:
                raise ConfigError(f"{name} must be 0 to 1, not {value}")
        if self.limit_packets < 1 or self.limit_bytes < 1:
            raise ConfigError("a path must be allowed to hold at least one datagram")

    def with_seed(self, seed: int | str) -> "Impairment":
        """The same impairment with other dice."""
        return dataclasses.replace(self, seed=seed)


@dataclass(slots=True)
class PathStatistics:
    """Counts of datagrams: received + duplicated = delivered + lost + dropped + queued, always."""

    received: int = 0
    duplicated: int = 0
    delivered: int = 0
    lost: int = 0
    dropped: int = 0
    reordered: int = 0
    queued: int = 0

    def add(self, other: "PathStatistics") -> None:
        """Add the counts of another path to these."""
        for item in dataclasses.fields(self):
            setattr(self, item.name, getattr(self, item.name) + getattr(other, item.name))


class ImpairedPath:
    """One direction of a bad path. Deterministic: the same seed and pushes give the same fates."""

    def __init__(self, impairment: Impairment) -> None:
        self.impairment = impairment
        self._dice = random.Random(impairment.seed)
        self._bad = False
        # (due, order of arrival, datagram): what has the same due time leaves as it came.
        self._queue: list[tuple[int, int, bytes]] = []
        self._queued_bytes = 0
        self._arrivals = 0
        self._last_in_order_due_ns: int | None = None
        self._counts = PathStatistics()

    def push(self, data: bytes, now_ns: int) -> None:
        """A datagram enters the path at `now_ns`."""
        setting, dice = self.impairment, self._dice
        self._counts.received += 1
        # Every datagram draws the same number of dice, so that its fate does not depend on the options
        # that did not concern the datagrams before it.
        turn, loss, twice, step_out = dice.random(), dice.random(), dice.random(), dice.random()
        jitter_ms = min(dice.expovariate(1.0), 10.0) * setting.jitter_ms

        loss_now = setting.loss
        if setting.burst is not None:
            if turn < (setting.burst.to_good if self._bad else setting.burst.to_bad):
                self._bad = not self._bad
            if self._bad:
                loss_now = setting.burst.loss
        if loss < loss_now:
            self._counts.lost += 1
            return

        due_ns = now_ns + round((setting.delay_ms + jitter_ms) * _MS_NS)
        if self._last_in_order_due_ns is not None:
            due_ns = max(due_ns, self._last_in_order_due_ns)
        if step_out < setting.reorder:
            self._counts.reordered += 1
            due_ns += round(setting.reorder_ms * _MS_NS)
        else:
            self._last_in_order_due_ns = due_ns
        self._enqueue(due_ns, data)
        if twice < setting.duplicate:
            self._counts.duplicated += 1
            self._enqueue(due_ns, data)

    def pop_due(self, now_ns: int) -> list[bytes]:
        """The datagrams that leave the path up to and at `now_ns`, in the order they leave."""
        due: list[bytes] = []
        while self._queue and self._queue[0][0] <= now_ns:
            due.append(self._pop())
        self._counts.delivered += len(due)
        return due

    def next_due_ns(self) -> int | None:
        """When the next datagram leaves; None while nothing waits."""
        return self._queue[0][0] if self._queue else None

    def statistics(self) -> PathStatistics:
        """A copy of the counts."""
        return dataclasses.replace(self._counts, queued=len(self._queue))

    def _enqueue(self, due_ns: int, data: bytes) -> None:
        heapq.heappush(self._queue, (due_ns, self._arrivals, data))
        self._arrivals += 1
        self._queued_bytes += len(data)
        setting = self.impairment
        while len(self._queue) > setting.limit_packets or self._queued_bytes > setting.limit_bytes:
            self._pop()
            self._counts.dropped += 1

    def _pop(self) -> bytes:
        data = heapq.heappop(self._queue)[2]
        self._queued_bytes -= len(data)
        return data
