import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loa.codecs import signed
from loa.codecs.signed import HEADER_BYTES, MAX_BODY_BYTES, Kind, SigningKey
from loa.errors import AuthorityError, WireError

KEY, OTHER = SigningKey(bytes(32)), SigningKey(b"\x01" * 32)
kinds = st.sampled_from(Kind)


@given(kinds, st.binary(min_size=1, max_size=200))
def test_a_sealed_body_comes_back_whole(kind: Kind, body: bytes) -> None:
    data = signed.seal(kind, KEY, body)
    envelope = signed.parse(data, kind)
    envelope.check(KEY.public_key)
    assert (envelope.kind, envelope.signer, envelope.body) == (kind, KEY.key_id, body)
    assert envelope.encode() == data


@settings(deadline=None)
@given(kinds, st.binary(min_size=1, max_size=40), st.data())
def test_any_flipped_bit_is_noticed(kind: Kind, body: bytes, data: st.DataObject) -> None:
    sealed = bytearray(signed.seal(kind, KEY, body))
    bit = data.draw(st.integers(0, 8 * len(sealed) - 1))
    sealed[bit // 8] ^= 1 << bit % 8
    with pytest.raises((WireError, AuthorityError)):
        signed.parse(bytes(sealed), kind).check(KEY.public_key)


def test_a_signature_for_one_kind_does_not_hold_for_another() -> None:
    data = signed.seal(Kind.ORDER, KEY, b"body")
    turned = data[:1] + bytes((Kind.PLACEMENT,)) + data[2:]
    with pytest.raises(AuthorityError, match="does not hold"):
        signed.parse(turned, Kind.PLACEMENT).check(KEY.public_key)


def test_another_key_is_named_as_the_reason() -> None:
    with pytest.raises(AuthorityError, match="another key"):
        signed.parse(signed.seal(Kind.ORDER, KEY, b"body"), Kind.ORDER).check(OTHER.public_key)


def test_the_signers_name_cannot_be_changed() -> None:
    data = signed.seal(Kind.ORDER, KEY, b"body")
    with pytest.raises(AuthorityError, match="does not hold"):
        signed.parse(data[:2] + OTHER.key_id + data[10:], Kind.ORDER).check(OTHER.public_key)


def test_bodies_have_1_to_16384_bytes() -> None:
    largest = signed.seal(Kind.ORDER, KEY, bytes(MAX_BODY_BYTES))
    assert signed.parse(largest, Kind.ORDER).body == bytes(MAX_BODY_BYTES)
    for size in (0, MAX_BODY_BYTES + 1):
        with pytest.raises(ValueError, match="body"):
            signed.seal(Kind.ORDER, KEY, bytes(size))
    for data in (largest[:HEADER_BYTES], largest + b"\0"):
        with pytest.raises(WireError, match="bytes"):
            signed.parse(data, Kind.ORDER)


@pytest.mark.parametrize("public_key", [b"", bytes(31), b"\xff" * 32])
def test_what_is_no_key_has_signed_nothing(public_key: bytes) -> None:
    with pytest.raises(AuthorityError):
        signed.check_signature(public_key, bytes(64), b"message")


def test_keys_come_back_from_their_seed_and_do_not_show_it() -> None:
    made = SigningKey.generate()
    assert SigningKey(made.seed).public_key == made.public_key
    assert made.key_id == hashlib.sha256(made.public_key).digest()[:8]
    assert made.seed.hex() not in repr(made)
    assert made.seed != SigningKey.generate().seed
