"""Several sender threads, tables that change between sendings: who is in gets each packet, in order and once."""

import ctypes
import socket
import threading
from collections import defaultdict
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loa.broadcast.air import fanout as fanout_module
from loa.broadcast.air.address_book import AddressBook
from loa.broadcast.air.address_table import HEADER_BYTES
from loa.broadcast.air.air_counters import new_values
from loa.broadcast.air.fanout import Fanout, Parcel
from loa.broadcast.air.listeners import Listeners
from loa.broadcast.air.media_socket import open_media_socket
from loa.broadcast.air.sockaddr import pack_address, unpack_address

CHANNELS = [n.to_bytes(8, "big") for n in range(40)]


class Recorder:
    """A kernel that follows the pointers as the real one does, takes what it likes, and notes who was sent what."""

    def __init__(self) -> None:
        self.got: dict[tuple[str, int], list[bytes]] = defaultdict(list)
        self.threads: set[int] = set()
        self.turn = 0
        self.lock = threading.Lock()

    def __call__(self, fd: int, headers_at: int, count: int, flags: int) -> int:
        with self.lock:
            self.turn += 1
            self.threads.add(threading.get_ident())
            taken = 1 + self.turn % count
            for n in range(taken):
                at = headers_at + n * HEADER_BYTES
                word = ctypes.sizeof(ctypes.c_void_p)
                name, iov = (ctypes.c_void_p.from_address(at + offset).value for offset in (0, 2 * word))
                size = ctypes.c_uint32.from_address(at + word).value
                assert name is not None
                assert iov is not None
                base, length = (ctypes.c_void_p.from_address(iov + offset).value for offset in (0, word))
                assert base is not None
                assert length is not None
                home = unpack_address(ctypes.string_at(name, size))
                self.got[home].append(ctypes.string_at(base, length))
            return taken


@pytest.fixture(scope="module")
def sender() -> Iterator[socket.socket]:
    with open_media_socket("::", 0, new_values()) as sock:
        yield sock


@pytest.fixture(autouse=True)
def shares_small_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fanout_module, "SHARE_FROM", 2)
    monkeypatch.setattr(fanout_module, "MIN_CHUNK", 1)


change = st.tuples(
    st.sampled_from(["join", "leave", "move", "lose", "drop"]),
    st.integers(0, 1),
    st.sets(st.sampled_from(CHANNELS)),
)
steps = st.lists(st.one_of(change, st.integers(0, 3)), min_size=1, max_size=25)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps, threads=st.integers(1, 4))
def test_each_packet_reaches_the_members_at_its_boundary_in_order_and_once(
    sender: socket.socket, steps: list[tuple[str, int, set[bytes]] | int], threads: int
) -> None:
    book, kernel = AddressBook(len(CHANNELS)), Recorder()
    audiences = [Listeners([], book), Listeners([], book)]
    homes: dict[bytes, tuple[str, int]] = {}
    members: list[set[bytes]] = [set(), set()]
    expected: dict[tuple[str, int], list[bytes]] = defaultdict(list)
    number = moves = 0
    with Fanout(sender, threads, kernel) as fanout:
        for step in steps:
            if not isinstance(step, int):
                what, n, these = step
                for channel in these:
                    slot = book.add(channel) if book.slot(channel) is None else book.slot(channel)
                    assert slot is not None
                    if what == "move":
                        moves += 1
                        homes[channel] = (f"10.0.{channel[-1]}.{moves % 250}", 1 + moves % 60_000)
                        book.bind(slot, pack_address(socket.AF_INET6, homes[channel]))
                    elif what == "lose":
                        homes.pop(channel, None)
                        book.unbind(slot)
                    elif what == "drop":
                        homes.pop(channel, None)
                        book.drop(channel)
                        members = [each - {channel} for each in members]
                if what == "join":
                    audiences[n].join(these)
                    members[n] |= these
                elif what == "leave":
                    audiences[n].leave(these)
                    members[n] -= these
                continue
            changed = book.take_changed(0)
            parcels = []
            for n, audience in enumerate(audiences):
                audience.touch(changed)
                table = audience.settle(0)
                for _ in range(step):
                    number += 1
                    parcels.append(Parcel(b"%d of %d" % (number, n), table))
                    for channel in members[n]:
                        if channel in homes:
                            expected[homes[channel]].append(parcels[-1].packet)
            outcomes = fanout.send_all(parcels)
            assert [outcome.sent for outcome in outcomes] == [len(parcel.table) for parcel in parcels]
    for n in range(2):  # two broadcasts to one endpoint keep no order between them
        suffix = b" of %d" % n
        got = {home: [p for p in packets if p.endswith(suffix)] for home, packets in kernel.got.items()}
        wanted = {home: [p for p in packets if p.endswith(suffix)] for home, packets in expected.items()}
        assert {k: v for k, v in got.items() if v} == {k: v for k, v in wanted.items() if v}


def table_of(count: int) -> Listeners:
    book = AddressBook(count)
    channels = [n.to_bytes(8, "big") for n in range(count)]
    for n, channel in enumerate(channels):
        slot = book.add(channel)
        assert slot is not None
        book.bind(slot, pack_address(socket.AF_INET6, (f"127.0.{n // 250}.{n % 250}", 9)))
    return Listeners(channels, book)


def test_a_thread_that_is_held_up_is_helped_by_the_others(sender: socket.socket) -> None:
    held, others_done = threading.Event(), threading.Event()
    done: list[int] = []

    def kernel(fd: int, headers_at: int, count: int, flags: int) -> int:
        if threading.get_ident() == caller and not held.is_set():
            held.set()
            assert others_done.wait(20)  # the caller's first chunk takes until all others are done
        else:
            done.append(count)
            if sum(done) + first == 400:
                others_done.set()
        return count

    caller = threading.get_ident()
    table = table_of(400).settle(0)
    first = -(-400 // (fanout_module.CHUNKS_A_THREAD * 2))
    with Fanout(sender, 2, kernel) as fanout:
        assert fanout.send(b"x", table).sent == 400
        assert fanout.helped == len(done) > 1
        assert fanout.slow <= 1


def test_a_small_table_wakes_nobody(sender: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fanout_module, "SHARE_FROM", 401)
    kernel = Recorder()
    with Fanout(sender, 4, kernel) as fanout:
        fanout.send(b"x", table_of(400).settle(0))
    assert kernel.threads == {threading.get_ident()}


def test_a_broken_socket_is_the_callers_error_whoever_met_it(sender: socket.socket) -> None:
    def kernel(fd: int, headers_at: int, count: int, flags: int) -> int:
        ctypes.set_errno(9)
        return -1

    with Fanout(sender, 3, kernel) as fanout, pytest.raises(OSError, match="Bad file"):
        fanout.send(b"x", table_of(400).settle(0))
