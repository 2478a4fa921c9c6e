"""Text that people type: it holds its bytes, however it was typed, and nothing else passes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loa.codecs import human_text
from loa.codecs.human_text import ALPHABET
from loa.errors import WireError


@given(st.binary(max_size=100))
def test_bytes_come_back_from_their_text(data: bytes) -> None:
    text = human_text.encode(data)
    assert set(text) <= set(ALPHABET)
    assert human_text.decode(human_text.bare(human_text.grouped(text).lower()), len(data)) == data


@given(st.binary(min_size=1, max_size=40), st.data())
def test_one_other_character_is_other_bytes_or_none(data: bytes, draw: st.DataObject) -> None:
    text = human_text.encode(data)
    at = draw.draw(st.integers(0, len(text) - 1))
    other = draw.draw(st.sampled_from([c for c in ALPHABET if c != text[at]]))
    try:
        assert human_text.decode(text[:at] + other + text[at + 1 :], len(data)) != data
    except WireError:
        assert at == len(text) - 1, "only the last character has bits to spare"


def test_known_text() -> None:
    # Crockford's own order of digits: 0 is 0, 31 is Z.
    data = bytes([0b00000_000, 0b01_00010_0, 0b0011_0010, 0b0_00101_11, 0b111_11111])
    assert human_text.encode(data) == "012345ZZ"


@pytest.mark.parametrize("text", ["", "0", "000", "0Z"])
def test_text_of_another_length_or_with_spare_bits_is_refused(text: str) -> None:
    with pytest.raises(WireError):
        human_text.decode(text, 1)


@pytest.mark.parametrize("typed", ["ABCU", "AB!C", "Đ", "ß", "０"])
def test_what_nobody_can_mean_is_refused(typed: str) -> None:
    with pytest.raises(WireError):
        human_text.bare(typed)


def test_a_fingerprint_is_compared_as_people_type_it() -> None:
    shown = human_text.fingerprint(b"a key")
    assert [len(group) for group in shown.split("-")] == [5, 5, 5, 5]
    assert human_text.same_fingerprint(shown.lower().replace("-", " ").replace("0", "o").replace("1", "l"), shown)
    assert not human_text.same_fingerprint(human_text.fingerprint(b"another"), shown)
    assert not human_text.same_fingerprint("", shown)
    assert not human_text.same_fingerprint("chắc là đúng", shown)
