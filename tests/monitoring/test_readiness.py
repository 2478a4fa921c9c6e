"""What a core lacks, in words."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loa.codecs.authority import ALL_RIGHTS, KeyEntry, KeyList
from loa.codecs.signed import SigningKey
from loa.monitoring.readiness import Condition, keys_left_s, missing

GOOD = Condition(
    going_down=False,
    media_up=True,
    media_silent_s=1.0,
    store_answers=True,
    disk_free_bytes=300 << 20,
    disk_least_bytes=256 << 20,
    keys_left_s=86_400,
)


def test_when_nothing_is_missing_nothing_is_said() -> None:
    assert missing(GOOD) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"going_down": True}, "the core is going down"),
        ({"media_up": False, "media_silent_s": 99.0}, "the media process is not up"),
        ({"media_silent_s": 15.0}, "the media process has said nothing for 15 s"),
        ({"store_answers": False}, "the store does not answer"),
        ({"disk_free_bytes": None}, "the disk of the data folder does not answer"),
        (
            {"disk_free_bytes": (256 << 20) - 1},
            "the disk of the data folder has 255 MiB left, and min_free_bytes asks for 256 MiB",
        ),
        (
            {"keys_left_s": 86_399.0},
            "the keys are good for 24 h only: renew the key list (loa keys renew)",
        ),
        (
            {"keys_left_s": 0.0},
            "the order key is no longer good: renew the key list (loa keys renew)",
        ),
    ],
)
def test_each_lack_is_named(change: dict[str, object], words: str) -> None:
    assert missing(replace(GOOD, **change)) == [words]  # type: ignore[arg-type]


def test_all_that_is_missing_is_named() -> None:
    assert len(missing(replace(GOOD, media_up=False, store_answers=False, disk_free_bytes=0, keys_left_s=5.0))) == 4


ORDER, OTHER, ROOT = (SigningKey(bytes([n]) * 32) for n in (1, 2, 3))


@given(
    expires_s=st.integers(0, 2_000),
    not_after_s=st.integers(0, 2_000),
    listed=st.booleans(),
    revoked=st.booleans(),
    now_s=st.floats(0, 3_000),
)
def test_keys_are_good_until_the_first_of_their_ends(
    expires_s: int, not_after_s: int, listed: bool, revoked: bool, now_s: float
) -> None:
    entries = [KeyEntry(OTHER.public_key, ALL_RIGHTS, 9_999)]
    if listed:
        entries.append(KeyEntry(ORDER.public_key, ALL_RIGHTS, not_after_s))
    key_list = KeyList(1, 0, expires_s, tuple(entries), (ORDER.key_id,) if revoked else ())
    left_s = keys_left_s(key_list, ORDER.public_key, now_s)
    if revoked or not listed:
        assert left_s == 0
    else:
        assert left_s == max(0.0, min(expires_s, not_after_s) - now_s)
