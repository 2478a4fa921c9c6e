import random
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from loa.timing.probes import ProbeSchedule

S = 1_000_000_000
MS = 1_000_000


def sent_until(end_ns: int, seed: int = 1, start_ns: int = 0) -> list[int]:
    schedule = ProbeSchedule(random.Random(seed))
    sent: list[int] = []
    now_ns = start_ns
    while now_ns < start_ns + end_ns:
        if schedule.take(now_ns):
            sent.append(now_ns - start_ns)
        now_ns = schedule.next_due_ns(now_ns)
    return sent


def test_probes_are_dense_then_brisk_then_calm() -> None:
    sent = sent_until(900 * S)
    assert sent[0] == 0
    assert 36 <= sum(t < 2 * S for t in sent) <= 44
    assert 21 <= sum(2 * S <= t < 8 * S for t in sent) <= 27
    calm = [b - a for a, b in pairwise(sent) if a >= 9 * S]
    assert min(calm) >= 2 * S
    assert all(4 * S <= interval <= 4.4 * S for interval in calm[-20:])


def test_probes_walk_over_the_packet_grid() -> None:
    phases = [t % (20 * MS) // (4 * MS) for t in sent_until(60 * S)]
    counts = [phases.count(fifth) for fifth in range(5)]
    assert min(counts) >= 8, counts


def test_the_same_seed_gives_the_same_instants() -> None:
    assert sent_until(20 * S, seed=5) == sent_until(20 * S, seed=5, start_ns=7 * S)
    assert sent_until(20 * S, seed=5) != sent_until(20 * S, seed=6)


def test_a_restart_probes_densely_again() -> None:
    schedule = ProbeSchedule(random.Random(1))
    assert schedule.take(0)
    now_ns = 100 * S
    assert schedule.take(now_ns)
    assert schedule.next_due_ns(now_ns) - now_ns >= 2 * S
    schedule.restart(now_ns)
    assert schedule.take(now_ns)
    assert schedule.next_due_ns(now_ns) - now_ns <= 65 * MS


@given(st.lists(st.integers(0, 20 * S), max_size=100), st.integers())
def test_a_late_caller_makes_up_for_no_probe(waits: list[int], now_ns: int) -> None:
    schedule = ProbeSchedule(random.Random(3))
    for wait_ns in waits:
        now_ns += wait_ns
        if schedule.take(now_ns):
            assert not schedule.take(now_ns)
        assert schedule.next_due_ns(now_ns) > now_ns
