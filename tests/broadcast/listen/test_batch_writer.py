"""One page to many sockets: each way of writing does the same."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loa.broadcast.listen import batch_writer
from loa.broadcast.listen.batch_writer import BatchWriter, KernelWriter, PlainWriter, make_batch_writer
from loa.broadcast.listen.socket_table import SocketTable

PAGE = b"OggS" + bytes(range(256)) * 6


@pytest.fixture(params=[KernelWriter, PlainWriter])
def writer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[BatchWriter]:
    monkeypatch.setattr(batch_writer, "AT_ONCE", 3)
    made: Callable[[], BatchWriter] = request.param
    its = made()
    yield its
    its.close()


@pytest.fixture
def pairs() -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    with ExitStack() as stack:
        made = []
        for _ in range(8):
            ours, theirs = socket.socketpair()
            for end in (ours, theirs):
                stack.enter_context(end).setblocking(False)
            made.append((ours, theirs))
        yield made


def table_of(pairs: list[tuple[socket.socket, socket.socket]]) -> SocketTable:
    table = SocketTable()
    for ours, _ in pairs:
        table.add(ours.fileno())
    return table


def test_everyone_gets_the_page(writer: BatchWriter, pairs: list[tuple[socket.socket, socket.socket]]) -> None:
    table = table_of(pairs)
    for page in (PAGE, PAGE[::-1], b"x"):
        assert writer.write(table, page) == {}
        assert [theirs.recv(1 << 16) for _, theirs in pairs] == [page] * len(pairs)
    assert writer.write(SocketTable(), PAGE) == {}


def test_those_who_do_not_take_it_are_told_by_row_and_hold_up_nobody(
    writer: BatchWriter, pairs: list[tuple[socket.socket, socket.socket]]
) -> None:
    table = table_of(pairs)
    pairs[1][1].close()  # has gone
    full, partly = pairs[4][0], pairs[6][0]
    with contextlib.suppress(BlockingIOError):
        while True:
            full.send(bytes(4096))
    partly.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    page = PAGE * 40
    short = writer.write(table, page)
    assert set(short) == {1, 4, 6}
    gone, no_room, some = short[1], short[4], short[6]
    assert gone == -errno.EPIPE
    assert batch_writer.is_full(no_room)
    assert 0 < some < len(page)
    assert pairs[6][1].recv(1 << 20) == page[:some]
    for row in (0, 2, 3, 5, 7):
        assert pairs[row][1].recv(1 << 20) == page


def test_a_descriptor_that_is_none_is_told_and_the_rest_go_on(
    writer: BatchWriter, pairs: list[tuple[socket.socket, socket.socket]]
) -> None:
    table = table_of(pairs[:2])
    closed = os.dup(pairs[2][0].fileno())
    os.close(closed)
    table.add(closed)
    for ours, _ in pairs[3:]:
        table.add(ours.fileno())
    assert writer.write(table, PAGE) == {2: -errno.EBADF}
    assert all(theirs.recv(1 << 16) == PAGE for _, theirs in (*pairs[:2], *pairs[3:]))


def test_where_the_kernel_refuses_they_are_written_to_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> int:
        ctypes.set_errno(errno.EPERM)
        return -1

    monkeypatch.setattr(batch_writer, "_syscall", refused)
    with pytest.raises(PermissionError, match="io_setup"):
        KernelWriter()
    assert isinstance(make_batch_writer(), PlainWriter)


def test_a_machine_that_is_not_known_is_written_to_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_writer, "_NUMBERS", {})
    assert isinstance(make_batch_writer(), PlainWriter)


@given(acts=st.lists(st.one_of(st.none(), st.integers(0, 200)), max_size=300))
def test_a_table_has_no_holes(acts: list[int | None]) -> None:
    table, model, next_fd = SocketTable(), list[int](), 10
    for row in acts:
        if row is None:
            table.add(next_fd)
            model.append(next_fd)
            next_fd += 1
        elif model:
            row %= len(model)
            model[row], removed = model[-1], model[row]
            model.pop()
            assert table.remove(row) == removed
    assert table.fds == model
    table.aim(0x1234, 99)
    for row, fd in enumerate(model):
        pointer = ctypes.c_uint64.from_address(table.pointers_at(row)).value
        words = (ctypes.c_uint64 * 8).from_address(pointer)
        assert (words[0], words[2] & 0xFFFF, words[2] >> 32, words[3], words[4]) == (row, 1, fd, 0x1234, 99)
