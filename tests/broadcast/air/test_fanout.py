"""The fan-out on real sockets, and against a kernel that misbehaves on command."""

import ctypes
import errno
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from loa.broadcast.air.address_table import HEADER_BYTES, AddressTable
from loa.broadcast.air.air_counters import new_values
from loa.broadcast.air.fanout import Fanout, Parcel
from loa.broadcast.air.media_socket import open_media_socket, plain_address
from loa.broadcast.air.transmit import FULL, MAX_CALL, Outcome
from loa.errors import ConfigError
from tests.broadcast.air.sockets import endpoint

REFUSED = ("255.255.255.255", 9)  # EACCES: the socket may not broadcast
PACKET = b"\0packet\0with\0zeros"


@pytest.fixture
def sender() -> Iterator[socket.socket]:
    with open_media_socket("::", 0, new_values()) as sock:
        yield sock


def table_of(addresses: list[tuple[str, int]]) -> AddressTable:
    return AddressTable.of(addresses)


def test_one_batch_reaches_both_families_and_no_refusal_stops_it(sender: socket.socket) -> None:
    with ExitStack() as stack:
        receivers = [endpoint(stack, host) for host in ("127.0.0.1", "::1", "127.0.0.2", "::1")]
        addresses = [plain_address(each.getsockname()) for each in receivers]
        mixed = [REFUSED, addresses[0], addresses[1], REFUSED, REFUSED, addresses[2], addresses[3], REFUSED]
        outcome = Fanout(sender).send(PACKET, table_of(mixed))
        assert (outcome.sent, outcome.refused, outcome.positions) == (4, {"forbidden": 4}, [0, 3, 4, 7])
        assert [each.recv(100) for each in receivers] == [PACKET] * 4


def test_more_receivers_than_one_call_takes(sender: socket.socket) -> None:
    with ExitStack() as stack:
        sock = endpoint(stack, "127.0.0.1")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        count = 2 * MAX_CALL + 100
        assert Fanout(sender).send(b"x", table_of([plain_address(sock.getsockname())] * count)).sent == count


def test_nobody_is_no_work(sender: socket.socket) -> None:
    assert Fanout(sender).send(b"x", AddressTable()) == Outcome()


class Kernel:
    """sendmmsg by a script of results: a count of messages taken, or a negative errno; then it takes everything."""

    def __init__(self, *script: int) -> None:
        self.script = list(script)
        self.calls: list[tuple[int, int]] = []

    def __call__(self, fd: int, headers_at: int, count: int, flags: int) -> int:
        self.calls.append((headers_at, count))
        result = self.script.pop(0) if self.script else count
        if result < 0:
            ctypes.set_errno(-result)
            return -1
        return result


def test_a_partial_send_goes_on_where_it_ended(sender: socket.socket) -> None:
    table = table_of([("127.0.0.1", 9)] * 10)
    kernel = Kernel(3, -errno.EINTR, 2, -errno.ENETUNREACH, -errno.ENETUNREACH)
    outcome = Fanout(sender, call=kernel).send(b"x", table)
    assert outcome == Outcome(sent=9, refused={"unreachable": 1}, positions=[5], partial=2)
    slots = [((at - table.headers_at) // HEADER_BYTES, count) for at, count in kernel.calls]
    assert slots == [(0, 10), (3, 7), (3, 7), (5, 5), (5, 5), (6, 4)]


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ECONNREFUSED, "port_closed"),
        (errno.ENETUNREACH, "unreachable"),
        (errno.EHOSTUNREACH, "unreachable"),
        (errno.EPERM, "forbidden"),
        (errno.EMSGSIZE, "other"),
    ],
)
def test_an_address_refused_twice_is_skipped_and_counted_by_kind(
    sender: socket.socket, number: int, kind: str
) -> None:
    outcome = Fanout(sender, call=Kernel(1, -number, -number)).send(b"x", table_of([("127.0.0.1", 9)] * 3))
    assert outcome == Outcome(sent=2, refused={kind: 1}, positions=[1], partial=1)


def test_an_error_of_an_earlier_packet_costs_no_other_address_its_own(sender: socket.socket) -> None:
    kernel = Kernel(-errno.ECONNREFUSED, 2, -errno.EHOSTUNREACH)
    outcome = Fanout(sender, call=kernel).send(b"x", table_of([("127.0.0.1", 9)] * 3))
    assert (outcome.sent, outcome.errors, outcome.pending) == (3, 0, 2)


def test_errors_that_the_socket_keeps_from_closed_ports_stop_nobody(sender: socket.socket) -> None:
    sender.setsockopt(socket.IPPROTO_IP, 11, 1)  # IP_RECVERR: what ICMP says comes back by the next call
    sender.setsockopt(socket.IPPROTO_IPV6, 25, 1)
    with ExitStack() as stack:
        closed = []
        for _ in range(3):
            gone = endpoint(stack, "127.0.0.1")
            closed.append(gone.getsockname())
            gone.close()
        alive = endpoint(stack, "127.0.0.1")
        home = alive.getsockname()
        Fanout(sender).send(PACKET, table_of([closed[0], home, closed[1], closed[2], home]))
        assert [alive.recv(100), alive.recv(100)] == [PACKET] * 2


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOBUFS])
def test_a_full_buffer_is_waited_for_but_not_for_ever(sender: socket.socket, number: int) -> None:
    table = table_of([("127.0.0.1", 9)] * 5)
    outcome = Fanout(sender, call=Kernel(2, -number)).send(b"x", table)
    assert (outcome.sent, outcome.errors, outcome.waits) == (5, 0, 1)
    stuck = Kernel(2, *[-number] * 1_000)
    outcome = Fanout(sender, call=stuck).send(b"x", table)
    assert (outcome.sent, outcome.refused, outcome.positions) == (2, {FULL: 3}, [])


def test_packets_to_one_table_leave_one_after_the_other(sender: socket.socket) -> None:
    with ExitStack() as stack:
        one, two = endpoint(stack, "127.0.0.1"), endpoint(stack, "127.0.0.1")
        a, b = table_of([one.getsockname()] * 3), table_of([two.getsockname()])
        Fanout(sender).send_all([Parcel(b"1", a), Parcel(b"x", b), Parcel(b"2", a), Parcel(b"3", a)])
        assert [one.recv(9) for _ in range(9)] == [b"1"] * 3 + [b"2"] * 3 + [b"3"] * 3
        assert two.recv(9) == b"x"


def test_a_broken_socket_is_an_error(sender: socket.socket) -> None:
    with pytest.raises(OSError, match="Bad file"):
        Fanout(sender, call=Kernel(-errno.EBADF)).send(b"x", table_of([("127.0.0.1", 9)]))


def test_the_media_socket_is_marked_and_large() -> None:
    counters = new_values()
    with open_media_socket("127.0.0.1", 0, counters) as sock:
        assert plain_address(sock.getsockname())[0] == "127.0.0.1"
        assert sock.getsockopt(socket.IPPROTO_IP, socket.IP_TOS) == 46 << 2
        assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS) == 46 << 2
        assert (counters["send_buffer_bytes"] < 4 << 20) <= counters["buffers_small"]
        assert not sock.getblocking()


def test_no_datagram_is_ever_fragmented(sender: socket.socket) -> None:
    with ExitStack() as stack:
        four, six = endpoint(stack, "127.0.0.1"), endpoint(stack, "::1")
        homes = [plain_address(each.getsockname()) for each in (four, six)]
        assert Fanout(sender).send(bytes(1_252), table_of(homes)).sent == 2
        assert [len(each.recv(2_000)) for each in (four, six)] == [1_252, 1_252]
    assert sender.getsockopt(socket.IPPROTO_IP, 10) == sender.getsockopt(socket.IPPROTO_IPV6, 23) == 3  # PROBE


@pytest.mark.parametrize("host", ["no-such-host.invalid", "300.1.1.1", "2001:db8::1"])
def test_an_address_that_cannot_be_bound_is_a_setting_that_cannot_be_used(host: str) -> None:
    with pytest.raises(ConfigError, match="cannot be bound"):
        open_media_socket(host, 0, new_values())
