"""The pages of a broadcast: made once, the same for whoever opens them, and a stream that players take."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loa.broadcast.listen.pages import LivePages
from loa.codecs.ogg_opus import read_ogg_opus
from loa.codecs.ogg_page import FLAG_EOS
from loa.timing.line import FrameGrid, samples_to_ns
from tests.broadcast.orders.standing import a_tune
from tests.sounds import pages_of

SECOND_NS = 1_000_000_000
TUNE = replace(a_tune(bytes(16)), start_ns=7 * SECOND_NS, index0=91, timestamp0=5, frame_samples=960)
PACKETS = [b"\xf8" + n.to_bytes(2, "big") for n in range(100)]  # two seconds


def opened(at_s: float, page_ms: int = 200) -> LivePages:
    return LivePages(TUNE, PACKETS, page_ms, TUNE.start_ns + round(at_s * SECOND_NS))


def at(seconds: float) -> int:
    return TUNE.start_ns + round(seconds * SECOND_NS)


def test_from_the_beginning_it_is_the_whole_file() -> None:
    pages = opened(-1.0)
    heard = pages.headers + b"".join(pages.due(at(99.0)))
    assert pages.over
    assert read_ogg_opus(heard).packets == PACKETS


@given(
    page_ms=st.integers(20, 2_000),
    first_s=st.floats(-1, 4),
    second_s=st.floats(-1, 4),
    steps_s=st.lists(st.floats(0, 4), max_size=8),
)
def test_two_who_open_them_at_different_times_get_the_same_pages(
    page_ms: int, first_s: float, second_s: float, steps_s: list[float]
) -> None:
    first, second = opened(first_s, page_ms), opened(second_s, page_ms)
    one = b"".join(page for step in [*sorted(steps_s), 9.0] for page in first.due(at(step)))
    other = b"".join(second.due(at(9.0)))
    assert first.headers == second.headers
    assert one.endswith(other) or other.endswith(one)
    last = pages_of(other)[-1]
    assert last.flags == FLAG_EOS
    assert last.granule == len(PACKETS) * TUNE.frame_samples


@given(page_ms=st.integers(20, 2_000), from_s=st.floats(0, 1.99))
def test_who_joins_begins_with_the_page_of_that_moment_and_its_true_place(page_ms: int, from_s: float) -> None:
    pages = opened(from_s, page_ms)
    first, *more = pages_of(b"".join(pages.due(at(9.0))))
    began = first.granule // TUNE.frame_samples - len(first.pieces)
    grid = FrameGrid(TUNE.start_ns, 0, 0, TUNE.frame_samples)
    assert began <= grid.index_at(at(from_s)) < began + max(1, page_ms // 20)
    assert first.pieces[0] == PACKETS[began]
    sequence = [page.sequence for page in (first, *more)]
    assert sequence == list(range(sequence[0], sequence[0] + len(sequence)))


@given(now_s=st.floats(-1, 3))
def test_no_page_is_given_before_its_sound_is_due(now_s: float) -> None:
    pages = opened(-1.0)
    given_ = pages_of(b"".join(pages.due(at(now_s))))
    heard = given_[-1].granule if given_ else 0
    assert TUNE.start_ns + samples_to_ns(heard) <= max(at(now_s), TUNE.start_ns)
    assert pages.over or pages.next_due_ns() > at(now_s)


@pytest.mark.parametrize("ends_s", [-0.5, 0.3, 1.9])
def test_what_is_stopped_ends_with_a_page_that_says_so(ends_s: float) -> None:
    pages = opened(-1.0)
    heard = pages.headers + b"".join(pages.due(at(ends_s))) + pages.end()
    assert pages.over
    assert pages.end() == b""
    assert pages.due(at(9.0)) == []
    assert pages_of(heard)[-1].flags == FLAG_EOS
    file = read_ogg_opus(heard)
    assert file.packets == PACKETS[: len(file.packets)]
    assert len(file.packets) == max(0, int(ends_s * 5)) * 10


def test_who_comes_after_the_last_frame_gets_the_last_page() -> None:
    [page] = pages_of(b"".join(opened(2.3).due(at(2.3))))
    assert (page.flags, page.pieces) == (FLAG_EOS, PACKETS[90:])
