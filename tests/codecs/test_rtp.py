"""RTP headers in both directions, and the packet index nearest to the expected one."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from loa.codecs.rtp import RtpHeader, nearest_index, parse_header, parse_packet, without_padding
from loa.errors import WireError

TOP = (1 << 48) - 1

HEADERS = st.builds(
    RtpHeader,
    payload_type=st.integers(0, 127),
    sequence=st.integers(0, 0xFFFF),
    timestamp=st.integers(0, 0xFFFFFFFF),
    ssrc=st.integers(0, 0xFFFFFFFF),
    marker=st.booleans(),
)


def test_a_header_stands_on_the_wire_as_rfc_3550_draws_it() -> None:
    header = RtpHeader(payload_type=111, sequence=0x1234, timestamp=0xDECAFBAD, ssrc=0xCAFEBABE, marker=True)
    assert header.pack().hex() == "80ef1234decafbadcafebabe"


@given(HEADERS, st.binary(max_size=40))
def test_what_is_packed_is_parsed(header: RtpHeader, payload: bytes) -> None:
    packet = header.pack() + payload
    assert parse_header(packet) == (header, 12, False)
    assert parse_packet(packet) == (header, payload)


@given(HEADERS, st.lists(st.integers(0, 0xFFFFFFFF), max_size=15), st.binary(max_size=30), st.integers(1, 255))
def test_sources_extension_and_padding_are_skipped(
    header: RtpHeader, sources: list[int], payload: bytes, padding: int
) -> None:
    packed = header.pack()
    extension = b"\xbe\xde\x00\x02" + bytes(8)
    packet = b"".join(
        (
            bytes([0xB0 | len(sources)]),
            packed[1:],
            *(source.to_bytes(4, "big") for source in sources),
            extension,
            payload,
            bytes(padding - 1) + bytes([padding]),
        )
    )
    assert parse_packet(packet) == (header, payload)
    assert parse_header(packet).size_bytes == 12 + 4 * len(sources) + 12


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        bytes([0x80]) + bytes(10),
        bytes([0x40]) + bytes(11),  # version 1
        bytes([0x81]) + bytes(11),  # a source that is not there
        bytes([0x90]) + bytes(13),  # half an extension header
        bytes([0x90]) + bytes(11) + b"\xbe\xde\x00\x01" + bytes(3),  # an extension cut off
        bytes([0xA0]) + bytes(11),  # padding and no payload
        bytes([0xA0]) + bytes(11) + b"\x01\x00",  # padding of 0 bytes
        bytes([0xA0]) + bytes(11) + b"\x01\x03",  # padding longer than the payload
    ],
)
def test_malformed_packets_are_refused(packet: bytes) -> None:
    with pytest.raises(WireError):
        parse_packet(packet)


@given(st.binary(max_size=100))
@example(b"\x80" + bytes(11))
def test_arbitrary_bytes_are_parsed_or_refused(packet: bytes) -> None:
    try:
        _, payload = parse_packet(packet)
    except WireError:
        return
    assert packet[0] >> 6 == 2
    assert payload in packet[12:]


@given(st.binary(min_size=1, max_size=300))
def test_padding_is_counted_by_its_last_byte(payload: bytes) -> None:
    if 0 < payload[-1] <= len(payload):
        assert without_padding(payload) == payload[: len(payload) - payload[-1]]
    else:
        with pytest.raises(WireError):
            without_padding(payload)


@pytest.mark.parametrize(
    "field", [{"payload_type": 128}, {"sequence": 65_536}, {"timestamp": 1 << 32}, {"ssrc": -1}]
)
def test_fields_out_of_range_are_refused(field: dict[str, int]) -> None:
    fields = {"payload_type": 111, "sequence": 0, "timestamp": 0, "ssrc": 0} | field
    with pytest.raises(ValueError, match="out of range"):
        RtpHeader(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("sequence", "expected", "index"),
    [
        (5, 5, 5),
        (0xFFFF, 0x10000, 0xFFFF),  # late, from before the roll-over
        (0, 0xFFFF, 0x10000),  # the roll-over itself
        (0xFFFF, 0, 0xFFFF),  # nothing below 0
        (0, TOP, TOP - 0xFFFF),  # nothing above 48 bits
        (0, 0x18000, 0x10000),  # as far below as above: the lower
    ],
)
def test_the_nearest_index(sequence: int, expected: int, index: int) -> None:
    assert nearest_index(sequence, expected) == index


@given(st.integers(0, 0xFFFF), st.integers(0, TOP))
@example(0, TOP)
@example(0xFFFF, 0)
def test_no_index_with_that_sequence_lies_nearer(sequence: int, expected: int) -> None:
    index = nearest_index(sequence, expected)
    assert 0 <= index <= TOP
    assert index & 0xFFFF == sequence
    for other in (index - 0x10000, index + 0x10000):
        if 0 <= other <= TOP:
            assert abs(other - expected) >= abs(index - expected)


@pytest.mark.parametrize(("sequence", "expected"), [(-1, 0), (65_536, 0), (0, -1), (0, 1 << 48)])
def test_numbers_that_are_no_sequence_or_index_are_refused(sequence: int, expected: int) -> None:
    with pytest.raises(ValueError, match=r"sequence number|packet index"):
        nearest_index(sequence, expected)
