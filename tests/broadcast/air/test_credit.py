"""What may be spent in any second is bounded, and what was not spent is saved up to the bound."""

from hypothesis import given
from hypothesis import strategies as st

from loa.broadcast.air.credit import Credit

S = 1_000_000_000


def test_it_begins_full_and_earns_by_the_second() -> None:
    credit = Credit(100, 20)
    assert credit.has(0, 20)
    assert not credit.has(0, 21)
    credit.spend(20)
    assert credit.wait_ns(0) == S // 100
    assert not credit.has(S // 100 - 1)
    assert credit.has(S // 100)
    assert not credit.has(10 * S, 21)


def test_a_debt_is_earned_first() -> None:
    credit = Credit(S, 10)
    credit.spend(1_010)
    assert credit.wait_ns(0) == 1_001
    assert credit.has(1_001)


def test_a_clock_that_goes_back_earns_nothing() -> None:
    credit = Credit(1, 1)
    assert credit.has(5 * S)
    credit.spend()
    assert not credit.has(4 * S)
    assert not credit.has(6 * S - 1)
    assert credit.has(6 * S)


@given(st.lists(st.integers(0, S // 10), max_size=200))
def test_no_span_has_more_than_was_saved_and_earned(pauses: list[int]) -> None:
    credit, now_ns, spent = Credit(50, 10), 0, list[int]()
    for pause_ns in pauses:
        now_ns += pause_ns
        if credit.has(now_ns):
            credit.spend()
            spent.append(now_ns)
    for n, first_ns in enumerate(spent):
        for m in range(n, len(spent)):
            assert m - n + 1 <= 10 + (spent[m] - first_ns) * 50 / S + 1e-6
