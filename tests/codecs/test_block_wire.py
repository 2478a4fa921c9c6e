import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loa.codecs import block_wire
from loa.codecs.block_wire import MAX_FRAMES, Block, frame_hash, open_block, seal_block
from loa.codecs.signed import SigningKey
from loa.errors import AuthorityError, WireError

KEY = SigningKey(bytes(32))
u32 = st.integers(0, 2**32 - 1)
hash_lists = st.lists(st.binary(min_size=16, max_size=16), min_size=1, max_size=MAX_FRAMES)


@settings(deadline=None)
@given(u32, st.integers(0, 2**48 - 1), hash_lists)
def test_a_block_opens_to_what_was_sealed(ssrc: int, first: int, hashes: list[bytes]) -> None:
    payload = seal_block(KEY, ssrc, first, hashes)
    assert len(payload) == 71 + 16 * len(hashes)
    assert open_block(KEY.public_key, ssrc, payload) == Block(first, tuple(hashes))


@settings(deadline=None)
@given(hash_lists, st.data())
def test_any_flipped_bit_is_noticed(hashes: list[bytes], data: st.DataObject) -> None:
    payload = bytearray(seal_block(KEY, 1, 2, hashes))
    bit = data.draw(st.integers(0, 8 * len(payload) - 1))
    payload[bit // 8] ^= 1 << bit % 8
    with pytest.raises((WireError, AuthorityError)):
        open_block(KEY.public_key, 1, bytes(payload))


def test_a_block_holds_for_its_sound_and_its_key_only() -> None:
    payload = seal_block(KEY, 1, 2, [bytes(16)])
    for key, ssrc in ((KEY.public_key, 2), (SigningKey(b"x" * 32).public_key, 1), (b"", 1)):
        with pytest.raises(AuthorityError):
            open_block(key, ssrc, payload)


@pytest.mark.parametrize("hashes", [[], [bytes(16)] * 33, [bytes(15)], [bytes(16), bytes(17)]])
def test_a_block_that_nobody_could_open_is_not_sealed(hashes: list[bytes]) -> None:
    with pytest.raises(ValueError, match=r"block|hash"):
        seal_block(KEY, 1, 2, hashes)


@pytest.mark.parametrize("change", [lambda p: p[:-1], lambda p: p + b"\0", lambda p: p[:70], lambda p: b""])
def test_length_and_count_must_agree(change: object) -> None:
    payload = seal_block(KEY, 1, 2, [bytes(16)] * 3)
    assert callable(change)
    with pytest.raises(WireError):
        open_block(KEY.public_key, 1, change(payload))


def test_the_hash_of_a_frame_covers_header_and_payload() -> None:
    header, payload = bytes(12), b"opus"
    assert len(frame_hash(header, payload)) == block_wire.HASH_BYTES
    assert frame_hash(header, payload) != frame_hash(header, b"opuS")
    assert frame_hash(header, payload) != frame_hash(b"\x80" + bytes(11), payload)
