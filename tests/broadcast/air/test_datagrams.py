"""Reading in batches with the kernel's stamps, and answering in batches."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from loa.broadcast.air.air_counters import new_values
from loa.broadcast.air.datagram_reader import READ_BYTES, ROUND, DatagramReader
from loa.broadcast.air.media_socket import open_media_socket
from loa.broadcast.air.reply_batch import MAX_REPLIES, ReplyBatch
from loa.broadcast.air.sockaddr import pack_address, unpack_address
from tests.broadcast.air.sockets import endpoint


@pytest.fixture
def media() -> Iterator[socket.socket]:
    with open_media_socket("::", 0, new_values()) as sock:
        yield sock


def test_datagrams_of_both_families_come_in_order_with_their_instants(media: socket.socket) -> None:
    reader, port = DatagramReader(media), media.getsockname()[1]
    with ExitStack() as stack:
        four, six = endpoint(stack, "127.0.0.1"), endpoint(stack, "::1")
        before_ns = time.monotonic_ns()
        four.sendto(b"one", ("127.0.0.1", port))
        six.sendto(b"", ("::1", port))
        four.sendto(bytes(READ_BYTES + 10), ("127.0.0.1", port))
        arrivals = reader.read()
        after_ns = time.monotonic_ns()
        assert [len(each.data) for each in arrivals] == [3, 0, READ_BYTES]
        assert arrivals[0].data == b"one"
        homes = [unpack_address(each.name) for each in arrivals]
        assert homes == [four.getsockname()[:2], six.getsockname()[:2], four.getsockname()[:2]]
    if not reader.unstamped:  # UTC may step under the test, but then it is told
        instants = [each.at_ns for each in arrivals]
        assert instants == sorted(instants)
        assert instants[0] < instants[2] <= after_ns  # each has its own, not that of reading
        assert before_ns - 100_000_000 < instants[0]
    assert reader.read() == []


def test_a_round_is_bounded_and_the_next_goes_on(media: socket.socket) -> None:
    reader = DatagramReader(media)
    with ExitStack() as stack:
        four = endpoint(stack, "127.0.0.1")
        for n in range(2 * ROUND + 3):
            four.sendto(b"%d" % n, ("127.0.0.1", media.getsockname()[1]))
        rounds = [reader.read() for _ in range(4)]
    assert [len(each) for each in rounds] == [ROUND, ROUND, 3, 0]
    assert [each.data for some in rounds for each in some] == [b"%d" % n for n in range(2 * ROUND + 3)]
    assert all(len(each.name) == 28 for some in rounds for each in some)


def test_what_the_full_buffer_lost_is_told(media: socket.socket) -> None:
    reader = DatagramReader(media)
    media.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    with ExitStack() as stack:
        four = endpoint(stack, "127.0.0.1")
        for n in range(200):
            four.sendto(b"%d" % n, ("127.0.0.1", media.getsockname()[1]))
        read = 0
        while some := reader.read():
            read += len(some)
        four.sendto(b"last", ("127.0.0.1", media.getsockname()[1]))  # what was lost is told with what comes next
        assert len(reader.read()) == 1
    assert 0 < read < 200
    assert reader.lost == 200 - read


def test_a_stamp_that_cannot_be_is_not_believed(media: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = DatagramReader(media)
    with ExitStack() as stack:
        four = endpoint(stack, "127.0.0.1")
        four.sendto(b"x", ("127.0.0.1", media.getsockname()[1]))
        stepped_ns = time.time_ns() + 3_600_000_000_000
        monkeypatch.setattr(time, "time_ns", lambda: stepped_ns)
        before_ns = time.monotonic_ns()
        [arrival] = reader.read()
    assert before_ns <= arrival.at_ns <= time.monotonic_ns()
    assert reader.unstamped == 1


def test_a_socket_that_is_broken_is_an_error(media: socket.socket) -> None:
    reader = DatagramReader(media)
    media.close()
    with pytest.raises(OSError, match="Bad file"):
        reader.read()


def test_each_answer_goes_to_its_own_address(media: socket.socket) -> None:
    with ExitStack() as stack:
        ends = [endpoint(stack, host) for host in ("127.0.0.1", "::1", "127.0.0.2")]
        names = [pack_address(socket.AF_INET6, end.getsockname()[:2]) for end in ends]
        answers = [(b"%d" % n * (1 + n), names[n % 3]) for n in range(60)]
        assert ReplyBatch(media).send(answers, 0).sent == 60
        for k, end in enumerate(ends):
            assert [end.recv(200) for _ in range(20)] == [packet for packet, name in answers if name == names[k]]


def test_an_answer_that_cannot_be_sent_stops_no_other(media: socket.socket) -> None:
    with ExitStack() as stack:
        end = endpoint(stack, "127.0.0.1")
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        home = pack_address(socket.AF_INET6, end.getsockname()[:2])
        nowhere = pack_address(socket.AF_INET6, ("255.255.255.255", 9))
        answers = [(b"a", nowhere), *[(b"b", home)] * MAX_REPLIES, (b"c", nowhere), (b"d", home)]
        outcome = ReplyBatch(media).send(answers, 0)
        assert (outcome.sent, outcome.refused) == (MAX_REPLIES + 1, {"forbidden": 2})
        assert end.recv(9) == b"b"
    assert ReplyBatch(media).send([], 0).sent == 0
