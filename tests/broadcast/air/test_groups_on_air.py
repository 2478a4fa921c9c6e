"""Multicast groups in the media process: beats, sound at a frame's boundary, repair, and real sockets."""

from __future__ import annotations

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loa.broadcast.air.air_counters import new_values
from loa.broadcast.air.group_book import MAX_GROUPS, GroupBook, ways_to
from loa.broadcast.air.group_sockets import GroupSockets
from loa.broadcast.air.media_port import Audience, GroupRoute, Groups, StopAir, UseGroups
from loa.codecs.channel_wire import Nack, Type
from loa.codecs.group_wire import encode_beat, parse_beat
from tests.broadcast.air.test_media_core import MS, ONE, START, TWO, Bench, S, due, frames, on_air

IP_RECVTTL, IP_RECVTOS = 12, 13  # linux/in.h
HALL = GroupRoute("232.1.0.1", 5004, 8, "", False, "")
YARD = GroupRoute("ff35::4000:1", 5004, 8, "", False, "")


@pytest.fixture
def bench() -> Bench:
    return Bench()


def sound(bench: Bench, group: GroupRoute) -> list[tuple[int, bytes]]:
    return [(at_ns, data) for at_ns, data in bench.heard.get(group.address, []) if parse_beat(data) is None]


def beats(bench: Bench, group: GroupRoute) -> list[int]:
    return [at_ns for at_ns, data in bench.heard.get(group.address, []) if data == encode_beat(bytes(8))]


def test_every_group_has_a_beat_every_two_seconds_for_as_long_as_it_is_in_use(bench: Bench) -> None:
    bench.do(UseGroups((HALL, YARD)))
    bench.to(5 * S)
    assert beats(bench, HALL) == beats(bench, YARD) == [0, 2 * S, 4 * S]
    bench.do(UseGroups((YARD,)))
    bench.to(7 * S)
    assert beats(bench, HALL) == [0, 2 * S, 4 * S]
    assert beats(bench, YARD) == [0, 2 * S, 4 * S, 5 * S, 7 * S]
    bench.do(UseGroups(()))
    assert bench.core.next_due_ns() is None


def test_a_group_gets_what_an_endpoint_gets_once_each_and_nothing_more(bench: Bench) -> None:
    bench.bind(ONE)
    bench.do(UseGroups((HALL, YARD)), *on_air(START, ONE), Groups(START.broadcast_id, (HALL.address,)))
    bench.do(frames(0, 10))
    bench.to(11 * S)
    assert sound(bench, HALL) == bench.heard[("192.0.2.1", 1)]
    assert [at_ns for at_ns, _ in sound(bench, HALL)] == due(*range(10))
    assert sound(bench, YARD) == []


def test_a_broadcast_that_only_groups_hear_is_sent(bench: Bench) -> None:
    bench.do(UseGroups((HALL,)), START, Groups(START.broadcast_id, (HALL.address,)), frames(0, 3))
    bench.to(11 * S)
    assert [at_ns for at_ns, _ in sound(bench, HALL)] == due(0, 1, 2)


def test_who_goes_over_to_a_group_and_back_misses_no_frame(bench: Bench) -> None:
    bench.bind(ONE)
    bench.do(UseGroups((HALL,)), *on_air(START, ONE), frames(0, 30))
    bench.to(START.start_ns + 205 * MS)
    bench.do(Groups(START.broadcast_id, (HALL.address,)), Audience(START.broadcast_id, (), (ONE,)))
    bench.to(START.start_ns + 405 * MS)
    bench.do(Audience(START.broadcast_id, (ONE,)), Groups(START.broadcast_id, ()))
    bench.to(START.start_ns + S)
    assert bench.times(ONE) == due(*range(11), *range(21, 30))
    assert [at_ns for at_ns, _ in sound(bench, HALL)] == due(*range(11, 21))


def test_a_group_that_is_not_in_use_gets_nothing_until_it_is(bench: Bench) -> None:
    bench.do(UseGroups((YARD,)), START, Groups(START.broadcast_id, (HALL.address, YARD.address)), frames(0, 30))
    bench.to(START.start_ns + 105 * MS)
    bench.do(UseGroups((HALL,)))
    bench.to(START.start_ns + S)
    assert [at_ns for at_ns, _ in sound(bench, YARD)] == due(*range(6))
    assert [at_ns for at_ns, _ in sound(bench, HALL)] == due(*range(6, 30))


def test_what_is_not_on_air_has_no_groups_and_a_stopped_one_is_silent(bench: Bench) -> None:
    bench.do(UseGroups((HALL,)), Groups(b"unknown" * 2, (HALL.address,)), START, frames(0, 30))
    bench.do(Groups(START.broadcast_id, (HALL.address,)))
    bench.to(START.start_ns + 105 * MS)
    bench.do(StopAir(START.broadcast_id))
    bench.to(START.start_ns + 2 * S)
    assert len(sound(bench, HALL)) == 6


def test_who_hears_by_a_group_is_repaired_by_its_own_channel(bench: Bench) -> None:
    bench.bind(ONE, TWO)
    bench.do(UseGroups((HALL,)), START, frames(0, 10))
    bench.to(START.start_ns + 150 * MS)
    assert bench.say(ONE, Type.NACK, Nack(START.ssrc, (3,)).encode()) == []
    bench.do(Groups(START.broadcast_id, (HALL.address,)))
    bench.to(11 * S)
    packets = [data for _, data in sound(bench, HALL)]
    assert bench.say(ONE, Type.NACK, Nack(START.ssrc, (9,)).encode()) == [packets[-1]]


@pytest.mark.parametrize(
    "route",
    [
        HALL._replace(host="192.0.2.1"),
        HALL._replace(host="224.0.0.1"),
        HALL._replace(port=0),
        HALL._replace(port=65_536),
        HALL._replace(ttl=0),
        HALL._replace(ttl=256),
        HALL._replace(source="239.0.0.1"),
        HALL._replace(source="2001:db8::1"),
        YARD._replace(source="192.0.2.1"),
    ],
)
def test_what_is_no_group_is_refused_and_counted(bench: Bench, route: GroupRoute) -> None:
    bench.do(UseGroups((route, YARD)))
    assert bench.core.counters["commands_refused"] == 1
    assert bench.core.counters["groups"] == 1
    assert beats(bench, YARD) == [0]


def test_groups_are_bounded_and_each_is_in_use_once() -> None:
    book = GroupBook(bytes(8))
    many = [HALL._replace(port=port) for port in range(1, MAX_GROUPS + 11)]
    assert book.use([HALL, HALL], 0) == 1
    assert book.use(many, 0) == 10
    assert len(book) == MAX_GROUPS


@given(st.lists(st.integers(0, 20 * S), max_size=20).map(sorted))
def test_beats_keep_their_own_time_however_late_they_are_asked_for(instants: list[int]) -> None:
    book = GroupBook(bytes(8))
    book.use([HALL], 0)
    told = []
    for now_ns in instants:
        expected = book.next_due_ns()
        beat = book.due(now_ns)
        assert (beat is not None) == (expected is not None and expected <= now_ns)
        if beat is not None:
            told.append(now_ns)
            assert beat[2] % (2 * S) == 0
    assert len({now_ns // (2 * S) for now_ns in told}) == len(told)


def a_member(group: str, interface_host: str = "127.0.0.1") -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((group, 0))
    joined = socket.inet_aton(group) + socket.inet_aton(interface_host)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, joined)
    sock.setsockopt(socket.IPPROTO_IP, IP_RECVTTL, 1)
    sock.setsockopt(socket.IPPROTO_IP, IP_RECVTOS, 1)
    sock.settimeout(5)
    return sock


def test_a_packet_leaves_once_to_each_group_with_its_time_to_live_and_marked_expedited() -> None:
    counters = new_values()
    sockets = GroupSockets(counters)
    with a_member("239.77.0.1") as near, a_member("239.77.0.2") as far:
        routes = [
            GroupRoute("239.77.0.1", near.getsockname()[1], 1, "lo", True, "127.0.0.1"),
            GroupRoute("239.77.0.2", far.getsockname()[1], 9, "", True, "127.0.0.1"),
        ]
        sockets.send(b"sound", ways_to(routes))
        for sock, ttl in ((near, 1), (far, 9)):
            data, ancillary, _, sender = sock.recvmsg(100, 200)
            values = {kind: value for _, kind, value in ancillary}
            assert data == b"sound"
            assert sender[0] == "127.0.0.1"
            assert struct.unpack("=i", values[socket.IP_TTL])[0] == ttl
            assert values[socket.IP_TOS][0] == 46 << 2
            sock.setblocking(False)
            with pytest.raises(BlockingIOError):
                sock.recv(100)
    sockets.close()
    assert (counters["group_packets_sent"], counters["group_send_refused"]) == (2, 0)


def test_an_interface_that_is_not_there_is_counted_and_the_other_groups_get_theirs() -> None:
    counters = new_values()
    sockets = GroupSockets(counters)
    with a_member("239.77.0.3") as sock:
        here = GroupRoute("239.77.0.3", sock.getsockname()[1], 1, "lo", True, "")
        ways = ways_to([here._replace(interface="nowhere0"), here])
        sockets.send(b"one", ways)
        sockets.send(b"two", ways)
        assert [sock.recv(100), sock.recv(100)] == [b"one", b"two"]
    sockets.close()
    assert counters["group_packets_sent"] == counters["group_send_refused"] == 2
    assert counters["group_sockets_refused"] == 1
