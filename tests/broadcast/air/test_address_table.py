"""The address table's memory says whom it is to be sent to."""

import ctypes
import socket
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loa.broadcast.air.address_table import HEADER_BYTES, AddressTable
from loa.broadcast.air.media_port import Address
from loa.broadcast.air.sockaddr import pack_address, unpack_address

addresses = st.tuples(
    st.one_of(st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map(str)), st.integers(0, 65_535)
)


def names_in_memory(table: AddressTable) -> list[bytes]:
    """Follow the pointers as the kernel does: msg_name and msg_namelen are the first two fields."""
    found = []
    for slot in range(len(table)):
        at = table.headers_at + slot * HEADER_BYTES
        name = ctypes.c_void_p.from_address(at).value
        size = ctypes.c_uint32.from_address(at + ctypes.sizeof(ctypes.c_void_p)).value
        assert name is not None
        found.append(ctypes.string_at(name, size))
    return found


@given(st.lists(addresses, max_size=40))
def test_the_memory_names_the_receivers_in_order(these: list[Address]) -> None:
    table = AddressTable.of(these)
    assert len(table) == len(these)
    assert names_in_memory(table) == [pack_address(socket.AF_INET6, address) for address in these]


@given(st.lists(addresses, min_size=1, max_size=40), st.data())
def test_filling_takes_the_named_rows_whatever_was_there_before(known: list[Address], data: st.DataObject) -> None:
    names = np.stack([np.frombuffer(pack_address(socket.AF_INET6, each), np.uint8) for each in known])
    table = AddressTable()
    for _ in range(3):
        slots = data.draw(st.lists(st.integers(0, len(known) - 1), max_size=60))
        table.fill(names, np.array(slots, np.intp))
        assert names_in_memory(table) == [names[slot].tobytes() for slot in slots]
        assert table.slots.tolist() == slots


@given(addresses)
def test_an_address_survives_packing(address: Address) -> None:
    host, port = address
    plain = (host.removeprefix("::ffff:") if "." in host else host, port)
    mapped = unpack_address(pack_address(socket.AF_INET6, address))
    assert pack_address(socket.AF_INET6, mapped) == pack_address(socket.AF_INET6, plain)
    if ":" not in host:
        assert unpack_address(pack_address(socket.AF_INET, address)) == mapped == address


def test_an_address_is_packed_as_the_kernel_reads_it() -> None:
    mapped = pack_address(socket.AF_INET6, ("192.0.2.7", 0x1234))
    assert mapped[2:4] == b"\x12\x34"
    assert mapped[8:24] == socket.inet_pton(socket.AF_INET6, "::ffff:192.0.2.7")
    scoped = pack_address(socket.AF_INET6, ("fe80::1%3", 9))
    assert int.from_bytes(scoped[24:28], sys.byteorder) == 3
    assert len(scoped) == 28
    plain = pack_address(socket.AF_INET, ("192.0.2.7", 0x1234))
    assert plain[2:] == b"\x12\x34" + bytes((192, 0, 2, 7)) + bytes(8)


@pytest.mark.parametrize(
    "address", [("example.org", 5), ("", 5), ("10.0.0.1", 65_536), ("10.0.0.1", -1), ("::1%x", 5)]
)
def test_what_is_no_numeric_address_is_refused(address: Address) -> None:
    with pytest.raises(ValueError, match=r"address|port"):
        pack_address(socket.AF_INET6, address)
