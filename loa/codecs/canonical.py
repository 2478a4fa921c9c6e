"""Canonical msgpack: one value, one byte string (docs/protocol.md, *Canonical msgpack*).

What is signed must have one form only. Maps have unsigned integer keys in ascending order; integers and
lengths take their shortest form; there are no floats, no extension types, no nil and no booleans.
"""

from __future__ import annotations

from typing import Any, NoReturn

import msgpack

from loa.errors import WireError

MAX_DEPTH = 8
"""Nesting of maps and arrays, the outermost counted."""
MAX_VALUES = 4096
"""In one array or map. Also what keeps nested arrays that announce much and hold nothing from taking memory."""

Value = int | bytes | str | list["Value"] | dict[int, "Value"]


def encode(value: Value) -> bytes:
    """The canonical bytes of `value`. ValueError for a value that has none: that is a mistake of the caller."""
    try:
        _check(value, MAX_DEPTH)
    except WireError as error:
        raise ValueError(str(error)) from error
    packed: bytes = msgpack.packb(value)
    return packed


def decode(data: bytes, *, max_bytes: int) -> Value:
    """The value that `data` is the canonical form of; WireError for anything else."""
    if len(data) > max_bytes:
        raise WireError(f"{len(data)} bytes where at most {max_bytes} are allowed")
    try:
        value = msgpack.unpackb(
            data,
            strict_map_key=False,
            raw=False,
            max_ext_len=0,
            max_array_len=MAX_VALUES,
            max_map_len=MAX_VALUES,
        )
    except (ValueError, msgpack.UnpackException, RecursionError, TypeError) as error:
        raise WireError(f"not msgpack: {type(error).__name__}") from error
    _check(value, MAX_DEPTH)
    if msgpack.packb(value) != data:
        raise WireError("not in canonical form")
    checked: Value = value
    return checked


def _check(value: Any, depth: int) -> None:
    kind = type(value)
    if kind is int:
        if not -(1 << 63) <= value < 1 << 64:
            raise WireError("an integer beyond 64 bits")
    elif kind is dict:
        if depth == 0:
            raise WireError(f"nested deeper than {MAX_DEPTH}")
        if len(value) > MAX_VALUES:
            raise WireError(f"a map of {len(value)} fields")
        previous = -1
        for key, item in value.items():
            if type(key) is not int or not 0 <= key < 1 << 32:
                raise WireError("a map key that is not an unsigned integer")
            if key <= previous:
                raise WireError("map keys out of order")
            previous = key
            _check(item, depth - 1)
    elif kind is list:
        if depth == 0:
            raise WireError(f"nested deeper than {MAX_DEPTH}")
        if len(value) > MAX_VALUES:
            raise WireError(f"an array of {len(value)} values")
        for item in value:
            _check(item, depth - 1)
    elif kind is not bytes and kind is not str:
        raise WireError(f"a {kind.__name__} is no protocol value")


class Fields:
    """Checked access to the fields of one decoded map, for the message named `what`.

    Every getter raises WireError naming the message and field when the field is absent (and has no default),
    of another type, or out of bounds. `done()` raises for fields nobody asked for, so that a message has no
    room for what its reader does not know.
    """

    def __init__(self, value: Value, what: str) -> None:
        if not isinstance(value, dict):
            raise WireError(f"{what}: not a map")
        self._map = value
        self._what = what
        self._asked: set[int] = set()

    def _fail(self, key: int, why: str) -> NoReturn:
        raise WireError(f"{self._what}: field {key} {why}")

    def has(self, key: int) -> bool:
        """Whether the field is there."""
        return key in self._map

    def raw(self, key: int) -> Value:
        """The field as it is."""
        self._asked.add(key)
        if key not in self._map:
            self._fail(key, "is missing")
        return self._map[key]

    def uint(self, key: int, *, most: int = (1 << 63) - 1, least: int = 0, default: int | None = None) -> int:
        """An integer in [least, most]; the default bound is what a signed 64-bit integer holds."""
        if default is not None and key not in self._map:
            self._asked.add(key)
            return default
        value = self.raw(key)
        if not isinstance(value, int):
            self._fail(key, "is not an integer")
        if not least <= value <= most:
            self._fail(key, f"is not in {least} to {most}")
        return value

    def octets(self, key: int, *, size: int | None = None, most: int = 65_536, optional: bool = False) -> bytes:
        """A byte string of exactly `size` bytes, or at most `most`; absent and optional gives b""."""
        if optional and key not in self._map:
            self._asked.add(key)
            return b""
        value = self.raw(key)
        if not isinstance(value, bytes):
            self._fail(key, "is not a byte string")
        if (size is not None and len(value) != size) or len(value) > most:
            self._fail(key, f"has {len(value)} bytes")
        return value

    def text(self, key: int, *, most: int = 256, default: str | None = None) -> str:
        """A string of at most `most` characters."""
        if default is not None and key not in self._map:
            self._asked.add(key)
            return default
        value = self.raw(key)
        if not isinstance(value, str):
            self._fail(key, "is not a string")
        if len(value) > most:
            self._fail(key, "is too long")
        return value

    def array(self, key: int, *, most: int, optional: bool = False) -> list[Value]:
        """An array of at most `most` values; absent and optional gives []."""
        if optional and key not in self._map:
            self._asked.add(key)
            return []
        value = self.raw(key)
        if not isinstance(value, list):
            self._fail(key, "is not an array")
        if len(value) > most:
            self._fail(key, f"has {len(value)} values where at most {most} are allowed")
        return value

    def byte_strings(self, key: int, *, size: int, most: int, optional: bool = False) -> tuple[bytes, ...]:
        """An array of byte strings of `size` bytes each."""
        values = self.array(key, most=most, optional=optional)
        for value in values:
            if not isinstance(value, bytes) or len(value) != size:
                self._fail(key, f"holds something else than byte strings of {size} bytes")
        return tuple(value for value in values if isinstance(value, bytes))

    def map(self, key: int) -> Fields:
        """A map inside this one."""
        return Fields(self.raw(key), f"{self._what}.{key}")

    def done(self) -> None:
        """Raise when a field was there that nobody asked for."""
        if unknown := self._map.keys() - self._asked:
            raise WireError(f"{self._what}: unknown field {min(unknown)}")
