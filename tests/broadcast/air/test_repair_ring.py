"""The repair ring gives back what it got, for ten seconds."""

from hypothesis import given
from hypothesis import strategies as st

from loa.broadcast.air.repair_ring import MAX_PACKETS, SPAN_NS, RepairRing


def test_packets_are_kept_for_ten_seconds() -> None:
    ring = RepairRing()
    ring.put(70_000, b"a", 5)
    ring.put(70_001, b"b", 6)
    assert ring.get(70_000, SPAN_NS + 4) == b"a"
    assert ring.get(70_000, SPAN_NS + 5) is None
    assert ring.get(70_001, SPAN_NS + 5) == b"b"
    assert ring.get(70_001 % 65_536, SPAN_NS + 5) is None


@given(st.lists(st.integers(0, 200_000_000), max_size=200))
def test_the_ring_holds_exactly_the_young(gaps_ns: list[int]) -> None:
    ring, at_ns, put = RepairRing(), 0, []
    for index, gap_ns in enumerate(gaps_ns):
        at_ns += gap_ns
        ring.put(index, b"%d" % index, at_ns)
        put.append((index, at_ns))
    young = {index for index, was_ns in put if was_ns > at_ns - SPAN_NS}
    assert {index for index, _ in put if ring.get(index, at_ns) == b"%d" % index} == young


def test_the_ring_is_bounded_by_number_too() -> None:
    ring = RepairRing()
    for index in range(MAX_PACKETS + 10):
        ring.put(index, b"x", 0)
    assert len(ring) == MAX_PACKETS
    assert ring.get(9, 0) is None
    assert ring.get(10, 0) == b"x"
