"""Sound before its order: so much and so old at most, each packet once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from loa.edge.speaker.early_sound import KEPT_NS, MAX_BYTES, MOST, Early, EarlySound

PUTS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, KEPT_NS // 10)), max_size=3 * MOST)


@given(PUTS, st.sets(st.integers(0, 3)))
def test_the_last_and_young_ones_of_an_order_are_taken_once_and_the_others_stay(
    puts: list[tuple[int, int]], wanted: set[int]
) -> None:
    early, kept, now_ns = EarlySound(), [], 0
    for number, (ssrc, later_ns) in enumerate(puts):
        now_ns += later_ns
        each = Early(ssrc, b"%d" % number, now_ns + 5, now_ns, False)
        early.put(each)
        kept.append(each)
    young = [each for each in kept[-MOST:] if each.now_ns >= now_ns - KEPT_NS]
    assert early.take(wanted, now_ns) == [each for each in young if each.ssrc in wanted]
    assert early.take(wanted, now_ns) == []
    assert early.take(range(4), now_ns) == [each for each in young if each.ssrc not in wanted]


def test_what_is_longer_than_any_sound_is_not_kept() -> None:
    early = EarlySound()
    for size in (MAX_BYTES, MAX_BYTES + 1):
        early.put(Early(1, bytes(size), 0, 0, False))
    assert [len(each.packet) for each in early.take([1], 0)] == [MAX_BYTES]
