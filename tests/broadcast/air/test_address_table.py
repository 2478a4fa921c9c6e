"""The address table behaves like a dict, and its memory says what the dict says."""

import ctypes
import socket
import sys

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from loa.broadcast.air.address_table import HEADER_BYTES, AddressTable, pack_address
from loa.broadcast.air.media_port import Address

keys = st.integers(0, 60).map(lambda n: n.to_bytes(8, "big"))
addresses = st.tuples(
    st.one_of(st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map(str)), st.integers(0, 65_535)
)


class LikeADict(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.table = AddressTable()
        self.model: dict[bytes, Address] = {}

    @rule(key=keys, address=addresses)
    def put(self, key: bytes, address: Address) -> None:
        self.table.put(key, address)
        self.model[key] = address

    @rule(key=keys)
    def discard(self, key: bytes) -> None:
        self.table.discard(key)
        self.model.pop(key, None)

    @invariant()
    def the_same_receivers(self) -> None:
        assert dict(self.table.receivers()) == self.model
        assert len(self.table) == len(self.model)
        assert all(key in self.table for key in self.model)

    @invariant()
    def the_memory_says_so(self) -> None:
        expected = [pack_address(socket.AF_INET6, address) for _, address in self.table.receivers()]
        assert names_in_memory(self.table) == expected


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


TestLikeADict = LikeADict.TestCase
TestLikeADict.settings = settings(max_examples=40, stateful_step_count=60, deadline=None)


def test_growing_keeps_every_address() -> None:
    table = AddressTable()
    for n in range(5_000):
        table.put(n.to_bytes(8, "big"), (f"10.0.{n >> 8}.{n & 255}", 1_000 + n))
    assert 5_000 <= table.capacity < 10_000
    assert names_in_memory(table) == [pack_address(socket.AF_INET6, a) for _, a in table.receivers()]


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
