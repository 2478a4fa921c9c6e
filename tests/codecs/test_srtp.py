"""SRTP against published vectors, and every way a packet can be wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loa.codecs.rtp import RtpHeader
from loa.codecs.srtp import SrtpContext, derive_key_material, derive_session
from loa.errors import AuthorityError, WireError

MASTER_KEY = bytes(range(16))
MASTER_SALT = bytes(range(0xA0, 0xAC))
CONTEXT = SrtpContext(MASTER_KEY, MASTER_SALT)

# RFC 7714 §16: session key, session salt, one packet; ROC 0.
RFC_CONTEXT = SrtpContext.from_session(bytes(range(16)), b"Quid pro quo")
RFC_HEADER = bytes.fromhex("8040f17b8041f8d35501a0b2")
RFC_PAYLOAD = b"Gallia est omnis divisa in partes tres"
RFC_INDEX = 0xF17B
RFC_PROTECTED = bytes.fromhex(
    "8040f17b8041f8d35501a0b2"
    "f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833"
    "899d7f27beb16a9152cf765ee4390cce"
)


def header(index: int, ssrc: int = 0xCAFEBABE) -> bytes:
    return RtpHeader(payload_type=111, sequence=index & 0xFFFF, timestamp=960, ssrc=ssrc).pack()


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        (0, "c61e7a93744f39ee10734afe3ff7a087"),
        (1, "cebe321f6ff7716b6fd4ab49af256a156d38baa4"),
        (2, "30cbbc08863d8c85d49db34a9ae1"),
    ],
)
def test_rfc_3711_b3_key_derivation(label: int, expected: str) -> None:
    key = bytes.fromhex("e1f97a0d3e018be0d64fa32c06de4139")
    salt = bytes.fromhex("0ec675ad498afeebb6960b3aabe6")
    assert derive_key_material(key, salt, label, len(expected) // 2).hex() == expected


def test_rfc_7714_16_1_1_encryption() -> None:
    assert RFC_CONTEXT.protect(RFC_HEADER, RFC_PAYLOAD, RFC_INDEX) == RFC_PROTECTED


def test_rfc_7714_16_1_2_decryption() -> None:
    parsed, payload = RFC_CONTEXT.unprotect(RFC_PROTECTED, RFC_INDEX)
    assert payload == RFC_PAYLOAD
    assert parsed.pack() == RFC_HEADER


def test_a_known_packet_under_a_master_key_of_twelve_salt_bytes() -> None:
    """The vector other SRTP libraries test with: derivation with the short salt and encryption in one."""
    plain_header = bytes.fromhex("800f1234decafbadcafebabe")
    protected = plain_header + bytes.fromhex("c5002ede04cfdd2eb91159e0880aa06ed2976826f796b201df3131a127e8a392")
    assert CONTEXT.protect(plain_header, b"\xab" * 16, 0x1234) == protected


def test_a_context_of_session_keys_is_the_one_of_their_master() -> None:
    same = SrtpContext.from_session(*derive_session(MASTER_KEY, MASTER_SALT))
    assert same.protect(header(7), b"frame", 7) == CONTEXT.protect(header(7), b"frame", 7)


@given(st.integers(0, (1 << 48) - 1), st.integers(0, 0xFFFFFFFF), st.binary(max_size=200))
def test_what_is_protected_is_opened_at_the_same_index(index: int, ssrc: int, payload: bytes) -> None:
    packet = CONTEXT.protect(header(index, ssrc), payload, index)
    assert len(packet) == 12 + len(payload) + 16
    parsed, opened = CONTEXT.unprotect(packet, index)
    assert opened == payload
    assert (parsed.ssrc, parsed.sequence) == (ssrc, index & 0xFFFF)


def test_another_roll_over_is_another_ciphertext_and_does_not_open() -> None:
    packet = CONTEXT.protect(header(9), b"frame", 9)
    assert CONTEXT.protect(header(9), b"frame", 9 + 0x10000) != packet
    with pytest.raises(AuthorityError):
        CONTEXT.unprotect(packet, 9 + 0x10000)


def test_another_key_does_not_open() -> None:
    packet = CONTEXT.protect(header(9), b"frame", 9)
    with pytest.raises(AuthorityError):
        SrtpContext(bytes(16), MASTER_SALT).unprotect(packet, 9)
    with pytest.raises(AuthorityError):
        SrtpContext(MASTER_KEY, bytes(12)).unprotect(packet, 9)


@given(st.integers(0, 8 * (12 + 20 + 16) - 1))
def test_every_flipped_bit_is_found(bit: int) -> None:
    packet = bytearray(CONTEXT.protect(header(300), bytes(20), 300))
    packet[bit // 8] ^= 1 << bit % 8
    with pytest.raises((AuthorityError, WireError)):
        CONTEXT.unprotect(bytes(packet), 300)


@given(st.binary(max_size=80), st.integers(0, (1 << 48) - 1))
def test_arbitrary_bytes_never_open(packet: bytes, index: int) -> None:
    with pytest.raises((AuthorityError, WireError)):
        CONTEXT.unprotect(packet, index)


def test_the_index_must_end_in_the_sequence_number() -> None:
    with pytest.raises(ValueError, match="sequence number"):
        CONTEXT.protect(header(9), b"frame", 10)
    with pytest.raises(WireError, match="sequence number"):
        CONTEXT.unprotect(CONTEXT.protect(header(9), b"frame", 9), 10)


@pytest.mark.parametrize("index", [-1, 1 << 48])
def test_an_index_has_48_bits(index: int) -> None:
    with pytest.raises(ValueError, match="packet index"):
        CONTEXT.protect(header(index), b"frame", index)
    with pytest.raises(ValueError, match="packet index"):
        CONTEXT.unprotect(header(index) + bytes(16), index)


def test_a_packet_without_room_for_its_tag_is_malformed() -> None:
    with pytest.raises(WireError, match="no room"):
        CONTEXT.unprotect(header(9) + bytes(15), 9)


def test_only_a_whole_header_is_protected() -> None:
    for wrong in (header(9)[:-1], header(9) + b"\x00"):
        with pytest.raises(WireError):
            CONTEXT.protect(wrong, b"frame", 9)


def test_a_longer_header_is_authenticated_and_skipped() -> None:
    extended = bytes([0x91]) + header(9)[1:] + bytes(4) + b"\xbe\xde\x00\x01" + bytes(4)
    parsed, payload = CONTEXT.unprotect(CONTEXT.protect(extended, b"frame", 9), 9)
    assert payload == b"frame"
    assert parsed.pack() == header(9)


def test_padding_is_taken_off_after_decryption() -> None:
    padded = bytes([0xA0]) + header(9)[1:]
    _, payload = CONTEXT.unprotect(CONTEXT.protect(padded, b"frame\x00\x02", 9), 9)
    assert payload == b"frame"
    with pytest.raises(WireError, match="padding"):
        CONTEXT.unprotect(CONTEXT.protect(padded, b"frame\x09", 9), 9)


@pytest.mark.parametrize(("key_bytes", "salt_bytes"), [(15, 12), (32, 12), (16, 14), (16, 0)])
def test_keys_of_another_length_are_refused(key_bytes: int, salt_bytes: int) -> None:
    with pytest.raises(ValueError, match="salt"):
        SrtpContext(bytes(key_bytes), bytes(salt_bytes))
    with pytest.raises(ValueError, match="salt"):
        SrtpContext.from_session(bytes(key_bytes), bytes(salt_bytes))
