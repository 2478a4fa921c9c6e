"""The fan-out on real sockets, and against a kernel that misbehaves on command."""

import ctypes
import errno
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from loa.broadcast.air.address_table import HEADER_BYTES, AddressTable
from loa.broadcast.air.air_counters import new_values
from loa.broadcast.air.fanout import CHUNK, Fanout, SendResult
from loa.broadcast.air.media_socket import open_media_socket, plain_address, socket_address
from loa.errors import ConfigError

REFUSED = ("255.255.255.255", 9)  # EACCES: the socket may not broadcast
PACKET = b"\0packet\0with\0zeros"


@pytest.fixture
def sender() -> Iterator[socket.socket]:
    with open_media_socket("::", 0, new_values()) as sock:
        yield sock


def receiver(stack: ExitStack, host: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
    sock.bind((host, 0))
    sock.settimeout(10)
    return sock


def table_of(addresses: list[tuple[str, int]]) -> AddressTable:
    table = AddressTable()
    for n, address in enumerate(addresses):
        table.put(n.to_bytes(8, "big"), address)
    return table


def test_one_batch_reaches_both_families_and_no_refusal_stops_it(sender: socket.socket) -> None:
    with ExitStack() as stack:
        receivers = [receiver(stack, host) for host in ("127.0.0.1", "::1", "127.0.0.2", "::1")]
        addresses = [plain_address(each.getsockname()) for each in receivers]
        mixed = [REFUSED, addresses[0], addresses[1], REFUSED, REFUSED, addresses[2], addresses[3], REFUSED]
        assert Fanout(sender).send(PACKET, table_of(mixed)) == SendResult(sent=4, errors=4)
        assert [each.recv(100) for each in receivers] == [PACKET] * 4


def test_replacing_and_removing_change_who_is_sent_to(sender: socket.socket) -> None:
    with ExitStack() as stack:
        one, two, three = (receiver(stack, "127.0.0.1") for _ in range(3))
        table = table_of([plain_address(one.getsockname()), plain_address(two.getsockname())])
        table.put(bytes(8), plain_address(three.getsockname()))
        fanout = Fanout(sender)
        assert fanout.send(b"first", table) == SendResult(2, 0)
        table.discard(bytes(8))
        assert fanout.send(b"second", table) == SendResult(1, 0)
        assert (three.recv(100), two.recv(100), two.recv(100)) == (b"first", b"first", b"second")
        one.setblocking(False)
        with pytest.raises(BlockingIOError):
            one.recv(100)


def test_more_receivers_than_one_call_takes(sender: socket.socket) -> None:
    with ExitStack() as stack:
        sock = receiver(stack, "127.0.0.1")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        count = 2 * CHUNK + 100
        assert Fanout(sender).send(b"x", table_of([plain_address(sock.getsockname())] * count)).sent == count


def test_nobody_is_no_work(sender: socket.socket) -> None:
    assert Fanout(sender).send(b"x", AddressTable()) == SendResult(0, 0)


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
    kernel = Kernel(3, -errno.EINTR, 2, -errno.ENETUNREACH)
    assert Fanout(sender, kernel).send(b"x", table) == SendResult(9, 1)
    slots = [((at - table.headers_at) // HEADER_BYTES, count) for at, count in kernel.calls]
    assert slots == [(0, 10), (3, 7), (3, 7), (5, 5), (6, 4)]


@pytest.mark.parametrize("number", [errno.ECONNREFUSED, errno.ENETUNREACH, errno.EPERM, errno.EHOSTUNREACH])
def test_one_refused_address_is_skipped(sender: socket.socket, number: int) -> None:
    assert Fanout(sender, Kernel(-number)).send(b"x", table_of([("127.0.0.1", 9)] * 3)) == SendResult(2, 1)


def test_a_full_buffer_is_waited_for_but_not_for_ever(sender: socket.socket) -> None:
    table = table_of([("127.0.0.1", 9)] * 5)
    assert Fanout(sender, Kernel(2, -errno.EAGAIN)).send(b"x", table) == SendResult(5, 0)
    stuck = Kernel(2, *[-errno.EAGAIN] * 1_000)
    assert Fanout(sender, stuck).send(b"x", table) == SendResult(2, 3)


def test_a_broken_socket_is_an_error(sender: socket.socket) -> None:
    with pytest.raises(OSError, match="Bad file"):
        Fanout(sender, Kernel(-errno.EBADF)).send(b"x", table_of([("127.0.0.1", 9)]))


def test_the_media_socket_is_marked_and_large() -> None:
    counters = new_values()
    with open_media_socket("127.0.0.1", 0, counters) as sock:
        assert plain_address(sock.getsockname())[0] == "127.0.0.1"
        assert sock.getsockopt(socket.IPPROTO_IP, socket.IP_TOS) == 46 << 2
        assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS) == 46 << 2
        assert (counters["send_buffer_bytes"] < 4 << 20) <= counters["buffers_small"]
        assert not sock.getblocking()


def test_an_address_survives_the_way_to_the_socket_and_back(sender: socket.socket) -> None:
    for address in (("192.0.2.1", 5), ("2001:db8::1", 6), ("fe80::1%7", 8)):
        assert plain_address(socket_address(sender, address)) == address


@pytest.mark.parametrize("host", ["no-such-host.invalid", "300.1.1.1", "2001:db8::1"])
def test_an_address_that_cannot_be_bound_is_a_setting_that_cannot_be_used(host: str) -> None:
    with pytest.raises(ConfigError, match="cannot be bound"):
        open_media_socket(host, 0, new_values())
