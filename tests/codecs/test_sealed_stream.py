"""Sealed streams: whole or refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loa.codecs.sealed_stream import (
    CHUNK_BYTES,
    HEAD_BYTES,
    TAG_BYTES,
    Opener,
    Sealer,
    derive_key,
    head,
    salt_of,
)
from loa.errors import AuthorityError, WireError

KEY = bytes(range(32))
HEAD = head(b"saltsaltsaltsalt")
_SEALED = CHUNK_BYTES + TAG_BYTES
SCRYPT = "2e4e97b37ae2f03cabb4e6dbba2d0c43e8e01935d1b80ab285d0cd92cb1ccb60"
"""By the standard library's own scrypt."""


def seal(data: bytes, step: int | None = None, key: bytes = KEY) -> bytes:
    sealer = Sealer(key, HEAD)
    step = step or max(1, len(data))
    return b"".join([sealer.update(data[at : at + step]) for at in range(0, len(data), step)]) + sealer.finish()


def unseal(data: bytes, step: int | None = None, key: bytes = KEY) -> bytes:
    opener = Opener(key, HEAD)
    step = step or max(1, len(data))
    return b"".join([opener.update(data[at : at + step]) for at in range(0, len(data), step)]) + opener.finish()


_lengths = st.sampled_from([0, 1, 1000, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES, 200_000])
_steps = st.sampled_from([997, CHUNK_BYTES, CHUNK_BYTES + 16, 500_000])


@given(_lengths, _steps, _steps)
def test_it_comes_out_as_it_went_in_however_it_is_cut(length: int, in_steps: int, out_steps: int) -> None:
    data = bytes(at * 7 & 0xFF for at in range(length))
    sealed = seal(data, in_steps)
    assert sealed == seal(data)
    assert len(sealed) == length + TAG_BYTES * max(1, -(-length // CHUNK_BYTES))
    assert unseal(sealed, out_steps) == data


DATA = bytes(3 * CHUNK_BYTES + 100)


@given(st.integers(0, len(seal(DATA)) - 1))
def test_cut_off_anywhere_it_is_refused(at: int) -> None:
    with pytest.raises(AuthorityError):
        unseal(seal(DATA)[:at])


@pytest.mark.parametrize("at", range(1, 4))
def test_cut_off_between_two_chunks_it_is_refused(at: int) -> None:
    with pytest.raises(AuthorityError, match="cut off"):
        unseal(seal(DATA)[: at * _SEALED])


@given(st.integers(0, len(seal(DATA)) - 1), st.integers(1, 255))
def test_one_changed_byte_is_refused(at: int, change: int) -> None:
    sealed = bytearray(seal(DATA))
    sealed[at] ^= change
    with pytest.raises(AuthorityError):
        unseal(bytes(sealed))


@pytest.mark.parametrize("order", [[1, 0, 2, 3], [0, 2, 1, 3], [0, 0, 1, 3], [0, 2, 3], [0, 1, 2, 3, 3], [3]])
def test_chunks_in_another_order_are_refused(order: list[int]) -> None:
    sealed = seal(DATA)
    chunks = [sealed[at : at + _SEALED] for at in range(0, len(sealed), _SEALED)]
    assert len(chunks) == 4
    with pytest.raises(AuthorityError):
        unseal(b"".join(chunks[at] for at in order))


def test_another_key_or_another_head_opens_nothing() -> None:
    with pytest.raises(AuthorityError, match="passphrase"):
        unseal(seal(b"x"), key=bytes(32))
    with pytest.raises(AuthorityError):
        Opener(KEY, head(bytes(16))).update(seal(DATA))


def test_the_key_is_scrypt_s() -> None:
    assert derive_key(b"correct horse battery", b"saltsaltsaltsalt").hex() == SCRYPT


@pytest.mark.parametrize("data", [b"", HEAD[:-1], HEAD + b"x", b"LOASEAL2" + bytes(16)])
def test_another_head_is_refused(data: bytes) -> None:
    with pytest.raises(WireError):
        salt_of(data)
    assert salt_of(HEAD) == b"saltsaltsaltsalt"
    assert len(HEAD) == HEAD_BYTES
