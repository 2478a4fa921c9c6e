from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loa.codecs import canonical
from loa.codecs.canonical import Fields, Value
from loa.errors import WireError

scalars = st.integers(-(2**63), 2**64 - 1) | st.binary(max_size=300) | st.text(max_size=40)
values: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=20)
        | st.dictionaries(st.integers(0, 2**32 - 1), inner, max_size=20).map(lambda d: dict(sorted(d.items())))
    ),
    max_leaves=30,
)


def nested(depth: int) -> Value:
    value: Value = 0
    for level in range(depth):
        value = [value] if level % 2 else {1: value}
    return value


@given(values)
def test_what_is_encoded_decodes_to_itself(value: Value) -> None:
    try:
        data = canonical.encode(value)
    except ValueError:
        assert max_depth(value) > canonical.MAX_DEPTH
        return
    assert canonical.decode(data, max_bytes=len(data)) == value


def max_depth(value: Value) -> int:
    if isinstance(value, dict):
        return 1 + max(map(max_depth, value.values()), default=0)
    return 1 + max(map(max_depth, value), default=0) if isinstance(value, list) else 0


def test_the_limit_of_bytes_is_the_callers() -> None:
    data = canonical.encode(bytes(98))
    assert len(data) == 100
    assert canonical.decode(data, max_bytes=100) == bytes(98)
    with pytest.raises(WireError, match="at most 99"):
        canonical.decode(data, max_bytes=99)


def test_eight_levels_are_allowed_and_nine_are_not() -> None:
    assert canonical.decode(canonical.encode(nested(8)), max_bytes=100) == nested(8)
    with pytest.raises(ValueError, match="deeper"):
        canonical.encode(nested(9))


def test_an_array_holds_at_most_4096_values() -> None:
    full: Value = [0] * 4096
    assert canonical.decode(canonical.encode(full), max_bytes=10_000) == full
    with pytest.raises(ValueError, match="4097"):
        canonical.encode([0] * 4097)
    with pytest.raises(ValueError, match="4097"):
        canonical.encode(dict.fromkeys(range(4097), 0))


@pytest.mark.parametrize(
    "value",
    [None, True, 1.0, (1,), {"a": 1}, {2: 0, 1: 0}, {-1: 0}, {True: 0}, {2**32: 0}, 2**64, -(2**63) - 1, "\ud800"],
)
def test_what_has_no_canonical_form_is_the_callers_mistake(value: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 a lone surrogate is refused by the string's own encoder
        canonical.encode(value)


# --- Fields ------------------------------------------------------------------------------------------------------

MAP: Value = {1: 5, 2: b"abc", 3: "xin chào", 4: [b"ab", b"cd"], 5: {1: 1}, 6: -1, 7: 2**63}


def fields() -> Fields:
    return Fields(MAP, "thing")


def test_fields_give_what_is_there() -> None:
    f = fields()
    assert f.uint(1) == 5
    assert f.octets(2, size=3) == b"abc"
    assert f.text(3) == "xin chào"
    assert f.byte_strings(4, size=2, most=2) == (b"ab", b"cd")
    assert f.map(5).uint(1) == 1
    assert f.uint(6, least=-1) == -1
    assert f.uint(7, most=2**64 - 1) == 2**63
    f.done()


def test_fields_that_are_absent_take_their_default() -> None:
    f = Fields({}, "thing")
    assert (f.uint(1, default=9), f.octets(2, optional=True), f.text(3, default="x")) == (9, b"", "x")
    assert (f.array(4, most=1, optional=True), f.byte_strings(5, size=1, most=1, optional=True)) == ([], ())
    f.done()


@pytest.mark.parametrize(
    ("ask", "why"),
    [
        (lambda f: f.uint(9), "thing: field 9 is missing"),
        (lambda f: f.uint(2), "thing: field 2 is not an integer"),
        (lambda f: f.uint(1, most=4), "thing: field 1 is not in 0 to 4"),
        (lambda f: f.uint(6), "thing: field 6 is not in 0"),
        (lambda f: f.uint(7), "thing: field 7 is not in 0 to 9223372036854775807"),
        (lambda f: f.octets(3), "thing: field 3 is not a byte string"),
        (lambda f: f.octets(2, size=4), "thing: field 2 has 3 bytes"),
        (lambda f: f.octets(2, most=2), "thing: field 2 has 3 bytes"),
        (lambda f: f.text(2), "thing: field 2 is not a string"),
        (lambda f: f.text(3, most=7), "thing: field 3 is too long"),
        (lambda f: f.array(5, most=9), "thing: field 5 is not an array"),
        (lambda f: f.array(4, most=1), "thing: field 4 has 2 values"),
        (lambda f: f.byte_strings(4, size=3, most=9), "thing: field 4 holds something else"),
        (lambda f: f.map(4), "thing.4: not a map"),
        (lambda f: f.map(5).uint(2), "thing.5: field 2 is missing"),
        (lambda f: f.done(), "thing: unknown field 1"),
    ],
)
def test_fields_say_what_is_wrong_and_where(ask: Any, why: str) -> None:
    with pytest.raises(WireError) as caught:
        ask(fields())
    assert str(caught.value).startswith(why)
