"""What a load generator counts: plain numbers in the process, JSON on the way, added up by who started it. Pure."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Mapping
from typing import Any

from loa.app.load.frame_times import FrameTimes
from loa.app.load.histogram import Histogram

MAX_ORDERS = 1_024
DOORS = ("datagram", "link")


class OrderTimes:
    """How one order came, in µs after it was issued, to endpoints that were there when it was."""

    def __init__(self, action: str, broadcast_id: str, issued_ms: int) -> None:
        self.action = action
        self.broadcast_id = broadcast_id
        self.issued_ms = issued_ms
        self.by_door = {door: Histogram() for door in DOORS}
        self.first = Histogram()
        self.acknowledged = Histogram()

    def merge(self, other: OrderTimes) -> None:
        """Add another process's."""
        for door in DOORS:
            self.by_door[door].merge(other.by_door[door])
        self.first.merge(other.first)
        self.acknowledged.merge(other.acknowledged)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "action": self.action,
            "broadcast_id": self.broadcast_id,
            "issued_ms": self.issued_ms,
            "doors": {door: times.to_json() for door, times in self.by_door.items()},
            "first": self.first.to_json(),
            "acknowledged": self.acknowledged.to_json(),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> OrderTimes:
        """What `to_json` gave."""
        made = cls(value["action"], value["broadcast_id"], value["issued_ms"])
        made.by_door = {door: Histogram.from_json(value["doors"][door]) for door in DOORS}
        made.first = Histogram.from_json(value["first"])
        made.acknowledged = Histogram.from_json(value["acknowledged"])
        return made


class Tally:
    """Everything that one process counts, or several together.

    counts: plain counters. gauges: how things stand. join_us: from the start of a connection to its bound address.
    jitter_us: how far the gap between two packets of a stream differs from the time between their frames.
    clock_error_us: bounds that the sample's clocks put on their error. frames: arrivals of the sample's sound.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.gauges: Counter[str] = Counter()
        self.join_us = Histogram()
        self.jitter_us = Histogram()
        self.clock_error_us = Histogram()
        self.frames = FrameTimes()
        self.orders: OrderedDict[str, OrderTimes] = OrderedDict()

    def order(self, order_id: str, action: str, broadcast_id: str, issued_ms: int) -> OrderTimes:
        """An order's times; those of the oldest are forgotten above MAX_ORDERS."""
        times = self.orders.get(order_id)
        if times is None:
            times = self.orders[order_id] = OrderTimes(action, broadcast_id, issued_ms)
            if len(self.orders) > MAX_ORDERS:
                self.orders.popitem(last=False)
                self.counts["orders_forgotten"] += 1
        return times

    def merge(self, other: Tally) -> None:
        """Add another process's."""
        self.counts.update(other.counts)
        self.gauges.update(other.gauges)
        for mine, theirs in (
            (self.join_us, other.join_us),
            (self.jitter_us, other.jitter_us),
            (self.clock_error_us, other.clock_error_us),
        ):
            mine.merge(theirs)
        self.frames.merge(other.frames.rows())
        self.frames.beyond += other.frames.beyond
        for order_id, times in other.orders.items():
            self.order(order_id, times.action, times.broadcast_id, times.issued_ms).merge(times)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values, for `from_json`."""
        return {
            "counts": dict(self.counts),
            "gauges": dict(self.gauges),
            "join_us": self.join_us.to_json(),
            "jitter_us": self.jitter_us.to_json(),
            "clock_error_us": self.clock_error_us.to_json(),
            "frames": self.frames.rows(),
            "frames_beyond": self.frames.beyond,
            "orders": {order_id: times.to_json() for order_id, times in self.orders.items()},
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Tally:
        """What `to_json` gave."""
        made = cls()
        made.counts = Counter(value["counts"])
        made.gauges = Counter(value["gauges"])
        made.join_us = Histogram.from_json(value["join_us"])
        made.jitter_us = Histogram.from_json(value["jitter_us"])
        made.clock_error_us = Histogram.from_json(value["clock_error_us"])
        made.frames.merge(value["frames"])
        made.frames.beyond = value["frames_beyond"]
        made.orders = OrderedDict(
            (order_id, OrderTimes.from_json(times)) for order_id, times in value["orders"].items()
        )
        return made
