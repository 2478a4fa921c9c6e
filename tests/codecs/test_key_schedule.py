import hmac

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loa.codecs import key_schedule
from loa.codecs.key_schedule import Agreement, LinkKeys, MediaKey
from loa.errors import AuthorityError, WireError

KEYS = LinkKeys(bytes(32), bytes(range(16)))
EPOCH, SECRET = b"epoch...", bytes(range(32))


def test_hkdf_gives_the_first_case_of_rfc_5869() -> None:
    made = key_schedule.hkdf(b"\x0b" * 22, salt=bytes(range(13)), info=bytes(range(0xF0, 0xFA)), size=42)
    assert made.hex() == ("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865")


def test_x25519_gives_the_case_of_rfc_7748() -> None:
    """§6.1, seen through the HKDF, as the shared secret itself is never handed out."""
    alice = Agreement(bytes.fromhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"))
    assert alice.public.hex() == "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"
    bob_public = bytes.fromhex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")
    shared = bytes.fromhex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742")
    keys = alice.keys(bob_public, nonce_c=b"c" * 32, nonce_s=b"s" * 32, endpoint_id=bytes(16))
    material = key_schedule.hkdf(shared, salt=b"c" * 32 + b"s" * 32, info=b"loa/1 link" + bytes(16), size=48)
    assert keys == LinkKeys(material[:32], material[32:])


@given(st.binary(max_size=80), st.binary(max_size=80))
def test_a_mac_is_the_front_of_hmac_and_holds_for_nothing_else(key: bytes, message: bytes) -> None:
    tag = key_schedule.mac(key, message)
    assert tag == hmac.digest(key, message, "sha256")[:16]
    key_schedule.check_mac(key, message, tag)
    for other_tag in (tag[:-1], tag + b"\0", b"", bytes((tag[0] ^ 1,)) + tag[1:]):
        with pytest.raises(AuthorityError):
            key_schedule.check_mac(key, message, other_tag)
    with pytest.raises(AuthorityError):
        key_schedule.check_mac(key, message + b"x", tag)


def test_media_keys_differ_in_everything_they_are_made_of() -> None:
    base = (SECRET, EPOCH, bytes(16), 1)
    variants = [
        base,
        (bytes(32), EPOCH, bytes(16), 1),
        (SECRET, b"another.", bytes(16), 1),
        (SECRET, EPOCH, b"\x01" * 16, 1),
        (SECRET, EPOCH, bytes(16), 2),
    ]
    made = {key_schedule.media_key(*variant) for variant in variants}
    assert len(made) == len(variants)
    assert {(len(key.key), len(key.salt)) for key in made} == {(16, 12)}


@settings(deadline=None)
@given(
    st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32), st.binary(min_size=16, max_size=16)
)
def test_both_ends_agree_and_every_input_matters(nonce_c: bytes, nonce_s: bytes, endpoint_id: bytes) -> None:
    client, server = Agreement(), Agreement()
    keys = client.keys(server.public, nonce_c=nonce_c, nonce_s=nonce_s, endpoint_id=endpoint_id)
    assert keys == server.keys(client.public, nonce_c=nonce_c, nonce_s=nonce_s, endpoint_id=endpoint_id)
    others = (
        Agreement().keys(server.public, nonce_c=nonce_c, nonce_s=nonce_s, endpoint_id=endpoint_id),
        client.keys(server.public, nonce_c=bytes(31) + b"x", nonce_s=nonce_s + b"x", endpoint_id=endpoint_id),
        client.keys(server.public, nonce_c=nonce_c, nonce_s=nonce_s, endpoint_id=endpoint_id[::-1] + b"x"),
    )
    assert keys not in others


@pytest.mark.parametrize("public", [b"", bytes(31), bytes(33), bytes(32), b"\x01" + bytes(31)])
def test_a_public_key_that_agrees_on_nothing_is_malformed(public: bytes) -> None:
    with pytest.raises(WireError, match="agrees on nothing"):
        Agreement(SECRET).keys(public, nonce_c=bytes(32), nonce_s=bytes(32), endpoint_id=bytes(16))


@given(st.binary(min_size=32, max_size=32), st.integers(0, 2**32 - 1))
def test_a_sealed_secret_opens_on_its_link_only(secret: bytes, serial: int) -> None:
    sealed = key_schedule.seal_secret(KEYS, epoch=EPOCH, serial=serial, epoch_secret=secret)
    assert len(sealed) == 48
    assert key_schedule.open_secret(KEYS, epoch=EPOCH, serial=serial, sealed=sealed) == secret
    other = LinkKeys(bytes(32), bytes(16))
    for keys, epoch, number in ((other, EPOCH, serial), (KEYS, b"another.", serial), (KEYS, EPOCH, serial + 1)):
        with pytest.raises(AuthorityError):
            key_schedule.open_secret(keys, epoch=epoch, serial=number, sealed=sealed)


def test_a_secret_of_another_length_is_malformed() -> None:
    sealed = key_schedule.seal_secret(KEYS, epoch=EPOCH, serial=1, epoch_secret=bytes(31))
    with pytest.raises(WireError, match="31 bytes"):
        key_schedule.open_secret(KEYS, epoch=EPOCH, serial=1, sealed=sealed)


def test_keys_do_not_show_themselves() -> None:
    for shown in (repr(LinkKeys(SECRET, SECRET[:16])), repr(MediaKey(SECRET[:16], SECRET[:12]))):
        assert "\\x01" not in shown
