"""A crowd at its door: everyone gets the same bytes, and who is slow is in nobody's way."""

from __future__ import annotations

import contextlib
import socket
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loa.broadcast.listen.backlog import Backlog
from loa.broadcast.listen.batch_writer import BatchWriter, KernelWriter, PlainWriter
from loa.broadcast.listen.crowd import Crowd

KEPT = 6


class Hall:
    """A crowd, and the far ends of its sockets: what each was given and what it has taken."""

    def __init__(self, writer: BatchWriter) -> None:
        self.backlog = Backlog(KEPT)
        self.counters: Counter[str] = Counter()
        self.crowd = Crowd(self.backlog, writer, self.counters)
        self.stream = b""
        self.far: list[socket.socket] = []
        self.began: list[int] = []
        self.got: list[bytes] = []

    def join(self, back: int = 0) -> None:
        """One who has got everything but the last `back` pieces; its socket holds a few kilobytes."""
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setblocking(False)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)  # the least that the kernel grants
        place = self.backlog.place_of_last(back)
        self.crowd.admit(ours.detach(), place)
        self.far.append(theirs)
        self.began.append(place)
        self.got.append(b"")

    def page(self, size: int) -> None:
        piece = bytes([len(self.stream) % 251]) * size
        self.stream += piece
        self.backlog.append(piece)
        self.crowd.give()

    def read(self, number: int, most: int = 1 << 20) -> bytes:
        """What one takes of what has come; empty when nothing has, or all is over."""
        try:
            came = self.far[number].recv(most)
        except (BlockingIOError, OSError):
            came = b""
        self.got[number] += came
        return came

    def over(self, number: int) -> bool:
        """Whether the far end sees its end."""
        try:
            return self.far[number].recv(1) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True

    def close(self) -> None:
        self.crowd.close()
        for end in self.far:
            end.close()


@pytest.fixture(params=[KernelWriter, PlainWriter])
def hall(request: pytest.FixtureRequest) -> Iterator[Hall]:
    make: Callable[[], BatchWriter] = request.param
    writer = make()
    its = Hall(writer)
    yield its
    its.close()
    writer.close()


def test_two_who_join_at_different_times_get_the_same_bytes(hall: Hall) -> None:
    hall.join()
    hall.page(100)
    hall.page(200)
    hall.join(back=1)
    assert hall.crowd.behind == 1
    hall.page(300)
    for number in (0, 1):
        while hall.read(number):
            pass
    assert hall.got == [hall.stream, hall.stream[100:]]
    assert hall.crowd.behind == 0


def test_who_takes_nothing_holds_nobody_up_and_is_dropped(hall: Hall) -> None:
    hall.join()
    hall.join()
    for _ in range(200):
        hall.page(1000)
        while hall.read(0):
            pass
        if hall.counters["dropped_slow"]:
            break
    assert hall.got[0] == hall.stream
    assert (len(hall.crowd), hall.counters) == (1, Counter(dropped_slow=1))
    while hall.read(1):
        pass
    assert hall.over(1)
    assert hall.stream.startswith(hall.got[1])
    assert len(hall.stream) - len(hall.got[1]) > KEPT * 1000  # it was let wait for as long as was promised


def test_who_was_slow_gets_everything_when_it_is_not_any_more(hall: Hall) -> None:
    hall.join()
    while not hall.crowd.behind:
        hall.page(1000)
    hall.page(1000)
    while len(hall.got[0]) < len(hall.stream):
        assert hall.read(0)
        hall.crowd.catch_up()
    assert hall.got[0] == hall.stream
    assert hall.crowd.behind == 0
    hall.page(10)
    assert hall.read(0) == hall.stream[-10:]


def test_who_has_gone_is_closed_and_counted(hall: Hall) -> None:
    for _ in range(3):
        hall.join()
    while not hall.crowd.behind:
        hall.page(1000)
        hall.read(0)
        hall.read(1)
    hall.far[1].close()  # in step
    hall.far[2].close()  # behind
    hall.page(10)
    assert (len(hall.crowd), hall.counters) == (1, Counter(gone=2))
    while hall.read(0):
        pass
    assert hall.got[0] == hall.stream


def test_at_the_end_all_are_closed_and_what_was_written_arrives(hall: Hall) -> None:
    hall.join()
    hall.join(back=0)
    hall.page(50)
    hall.crowd.close()
    assert [hall.read(0), hall.read(1)] == [hall.stream] * 2
    assert hall.over(0)
    assert hall.over(1)
    assert hall.counters == Counter()
    hall.crowd = Crowd(hall.backlog, PlainWriter(), hall.counters)


ACT = st.one_of(
    st.tuples(st.just("join"), st.integers(0, KEPT)),
    st.tuples(st.just("page"), st.integers(1, 3000)),
    st.tuples(st.just("read"), st.tuples(st.integers(0, 9), st.integers(1, 9000))),
    st.tuples(st.just("leave"), st.integers(0, 9)),
)


@given(acts=st.lists(ACT, max_size=60))
def test_whatever_they_do_each_gets_the_stream_without_a_hole(acts: list[tuple[str, object]]) -> None:
    with contextlib.closing(Hall(PlainWriter())) as hall:
        _whatever(hall, acts)


def _whatever(hall: Hall, acts: list[tuple[str, object]]) -> None:
    left: set[int] = set()
    for kind, what in acts:
        match kind, what:
            case "join", int(back):
                hall.join(back)
            case "page", int(size):
                hall.page(size)
            case "read", (int(number), int(most)) if hall.far:
                hall.read(number % len(hall.far), most)
            case "leave", int(number) if hall.far:
                left.add(number % len(hall.far))
                hall.far[number % len(hall.far)].close()
            case _:
                continue
    staying = set(range(len(hall.far))) - left
    hall.crowd.catch_up()
    for number in staying:
        while hall.read(number):
            hall.crowd.catch_up()
        assert hall.stream[hall.began[number] :].startswith(hall.got[number])
        whole = hall.began[number] + len(hall.got[number]) == len(hall.stream)
        assert whole or hall.over(number)
    hall.page(1)
    assert len(hall.crowd) + sum(hall.counters.values()) == len(hall.far)
    assert hall.counters["gone"] + hall.counters["dropped_slow"] >= len(left)
