"""The second factor: the codes that every authenticator app makes, each good once."""

from __future__ import annotations

import pyotp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loa.broadcast.people.totp import (
    PERIOD_S,
    RECOVERY_CODES,
    matching_counter,
    new_recovery_codes,
    new_secret,
    provisioning_uri,
    recovery_hash,
)

# RFC 6238, appendix B: the ASCII secret 12345678901234567890 and SHA-1. Its codes have eight digits; the last six
# are ours.
RFC_SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
RFC_CODES = [
    (59, "94287082"),
    (1111111109, "07081804"),
    (1111111111, "14050471"),
    (1234567890, "89005924"),
    (2000000000, "69279037"),
    (20000000000, "65353130"),
]
NOW_MS = 1_790_000_000_000
NOW = NOW_MS // 1000 // PERIOD_S


@pytest.mark.parametrize(("at_s", "code"), RFC_CODES)
def test_codes_are_those_of_the_standard(at_s: int, code: str) -> None:
    assert matching_counter(RFC_SECRET, code[2:], at_s * 1000, None) == at_s // PERIOD_S


@given(st.integers(-4, 4), st.integers(-3, 3) | st.none())
def test_a_code_is_good_near_its_time_and_after_the_last_one_only(offset: int, last: int | None) -> None:
    code = pyotp.HOTP(RFC_SECRET).at(NOW + offset)
    last_counter = None if last is None else NOW + last
    good = abs(offset) <= 1 and (last is None or offset > last)
    assert matching_counter(RFC_SECRET, code, NOW_MS, last_counter) == (NOW + offset if good else None)


def test_a_code_is_good_once() -> None:
    secret = new_secret()
    code = pyotp.TOTP(secret).at(NOW_MS // 1000)
    used = matching_counter(secret, code, NOW_MS, None)
    assert used == NOW
    assert matching_counter(secret, code, NOW_MS + 1000, used) is None


def test_a_code_is_read_with_the_space_that_apps_show() -> None:
    code = pyotp.HOTP(RFC_SECRET).at(NOW)
    assert matching_counter(RFC_SECRET, f"{code[:3]} {code[3:]}", NOW_MS, None) == NOW


@given(st.text(max_size=12).filter(lambda text: not text.replace(" ", "").isascii()))
def test_what_is_no_code_is_no_good(code: str) -> None:
    assert matching_counter(RFC_SECRET, code, NOW_MS, None) is None


@pytest.mark.parametrize("code", ["", "12345", "1234567", "٠١٢٣٤٥", "-12345", "1e5"])
def test_what_looks_like_a_code_and_is_none_is_no_good(code: str) -> None:
    assert matching_counter(RFC_SECRET, code, NOW_MS, None) is None


def test_the_address_for_the_app_names_who_and_where() -> None:
    secret = new_secret()
    read = pyotp.parse_uri(provisioning_uri(secret, "lan.nguyễn"))
    assert (read.secret, read.name, read.issuer) == (secret, "lan.nguyễn", "Loa")


def test_recovery_codes_differ_and_are_read_as_people_type_them() -> None:
    codes = new_recovery_codes()
    assert len(set(codes)) == RECOVERY_CODES
    kept = recovery_hash(b"u" * 16, codes[0])
    assert recovery_hash(b"u" * 16, f" {codes[0].upper().replace('-', ' ')}") == kept
    assert recovery_hash(b"v" * 16, codes[0]) != kept
    assert recovery_hash(b"u" * 16, codes[1]) != kept
