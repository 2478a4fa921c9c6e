"""Names: kept as they are meant, found as they are typed."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loa.broadcast.names import clean, fold
from loa.errors import PlaceError


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("phu lien", "Phù Liễn"),
        ("PHU LIEN", "Phù  Liễn"),
        ("dac khu bach long vi", "Đặc khu Bạch Long Vĩ"),
        ("do son", "Đồ Sơn"),
        ("thuy nguyen", unicodedata.normalize("NFD", "Thuỷ Nguyên")),
        ("xa luu kiem", "Xã Lưu Kiếm"),
        ("strasse", "Straße"),
    ],
)
def test_a_name_is_found_without_its_marks(typed: str, name: str) -> None:
    assert fold(name) == fold(typed) == typed.lower()


@given(st.text(max_size=60))
def test_folding_is_done_at_once_and_does_not_care_for_form_or_case(text: str) -> None:
    folded = fold(text)
    assert fold(folded) == folded
    for form in ("NFC", "NFD"):
        assert fold(unicodedata.normalize(form, text)) == folded


def test_folding_keeps_what_tells_names_apart() -> None:
    assert fold("Thôn 1") != fold("Thôn 2")
    assert fold("Tổ dân phố số 10") == "to dan pho so 10"


def test_a_name_is_kept_in_one_form() -> None:
    assert clean(unicodedata.normalize("NFD", "  Phù\u00a0 Liễn\n"), "name") == "Phù Liễn"
    assert clean("An\u200b Biên\ufeff", "name") == "An Biên"


@pytest.mark.parametrize(
    "text", ["", "   ", "\u200b", "a\0b", "a\u202eb", "a\ud800b", "a\x1b[31m", "x" * 201, "\u200b" * 2000]
)
def test_what_is_no_name_is_told_so(text: str) -> None:
    with pytest.raises(PlaceError, match="name"):
        clean(text, "name")


@given(st.text(max_size=300))
def test_a_clean_name_stays_as_it_is(text: str) -> None:
    try:
        name = clean(text, "name")
    except PlaceError:
        return
    assert clean(name, "name") == name
    assert 1 <= len(name) <= 200
    name.encode()
