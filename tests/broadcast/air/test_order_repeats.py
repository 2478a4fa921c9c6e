"""Order datagrams to thousands: at once the first time, to some at a time when repeated."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loa.broadcast.air import order_repeats
from loa.broadcast.air.address_book import AddressBook
from loa.broadcast.air.media_port import SendOrder
from loa.broadcast.air.order_repeats import LONGEST_NS, PAUSE_NS, REPEATED_AT_ONCE, REPEATS_NS, OrderRepeats
from loa.broadcast.air.sockaddr import pack_address

MS = 1_000_000


class Post:
    """The orders of so many bound channels, and what went out: when, and to which slots."""

    def __init__(self, count: int) -> None:
        self.book = AddressBook(count)
        self.channels = [number.to_bytes(8, "big") for number in range(count)]
        for number, channel in enumerate(self.channels):
            slot = self.book.add(channel)
            assert slot is not None
            self.book.bind(slot, pack_address(socket.AF_INET6, (f"10.0.{number // 250}.{number % 250}", 9)))
        self.orders = OrderRepeats(self.book)
        self.sent: list[tuple[int, list[int]]] = []
        self.orders.add(SendOrder(b"order", b"datagram", tuple(self.channels)), 0)

    def to(self, until_ns: int) -> None:
        while (due_ns := self.orders.next_due_ns()) is not None and due_ns <= until_ns:
            for datagram, table, at_ns in self.orders.due(due_ns):
                assert (datagram, at_ns) == (b"datagram", due_ns)
                self.sent.append((due_ns, table.slots.tolist()))


def test_the_first_time_all_get_it_together_and_then_some_at_a_time_until_all_have() -> None:
    count = 2 * REPEATED_AT_ONCE + 10
    post = Post(count)
    post.to(0)
    assert post.sent == [(0, list(range(count)))]
    post.to(50 * MS + 2 * PAUSE_NS)
    parts = post.sent[1:]
    assert [at_ns for at_ns, _ in parts] == [50 * MS + n * PAUSE_NS for n in range(3)]
    assert [len(slots) for _, slots in parts] == [REPEATED_AT_ONCE, REPEATED_AT_ONCE, 10]
    assert [slot for _, slots in parts for slot in slots] == list(range(count))


def test_who_answers_before_his_turn_is_spared() -> None:
    post = Post(3 * REPEATED_AT_ONCE)
    post.to(50 * MS)
    post.orders.settle(b"order", post.channels[REPEATED_AT_ONCE + 3 :])
    post.to(140 * MS)
    assert post.sent[-1] == (50 * MS + PAUSE_NS, [REPEATED_AT_ONCE, REPEATED_AT_ONCE + 1, REPEATED_AT_ONCE + 2])


def test_what_comes_due_while_a_repeat_goes_on_falls_away_and_the_last_one_ends_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(order_repeats, "REPEATED_AT_ONCE", 5)
    post = Post(60)  # twelve turns: 240 ms
    post.to(10**12)
    began = [at_ns for at_ns, slots in post.sent if 0 in slots]
    assert began == [ms * MS for ms in (0, 50, 400, 1_000)]
    assert post.sent[-1][0] <= LONGEST_NS
    assert post.orders.next_due_ns() is None


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_whoever_answers_when_nobody_is_missed_and_nobody_gets_more_than_all_repeats(data: st.DataObject) -> None:
    count = data.draw(st.sampled_from([1, REPEATED_AT_ONCE, REPEATED_AT_ONCE + 1, 3 * REPEATED_AT_ONCE]))
    post = Post(count)
    answered: dict[int, int] = {}
    for at_ms in sorted(data.draw(st.lists(st.integers(0, 1_500), max_size=4))):
        post.to(at_ms * MS)
        some = data.draw(st.integers(0, count - 1)), data.draw(st.integers(0, count))
        post.orders.settle(b"order", post.channels[slice(*some)])
        answered = dict.fromkeys(range(count)[slice(*some)], at_ms * MS) | answered
    post.to(10**12)
    for slot in (0, count // 2, count - 1):
        times = [at_ns for at_ns, slots in post.sent if slot in slots]
        assert times[0] == 0
        assert len(times) <= len(REPEATS_NS)
        assert max(times) <= answered.get(slot, LONGEST_NS)
        if slot not in answered:
            assert max(times) >= REPEATS_NS[-1]
