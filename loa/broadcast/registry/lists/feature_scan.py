"""The features of a GeoJSON FeatureCollection, one after the other: a large list is never in memory as a whole.
Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from loa.errors import PlaceError

_BLANK = re.compile(r"[ \t\n\r]*")
_DIGITS = re.compile("-?[0-9]{1,32}")
_NO_COLLECTION = "the list is not a GeoJSON FeatureCollection"


def features(text: str) -> Iterator[object]:
    """The members of the list `features` of a FeatureCollection; PlaceError, at the latest at the end of the
    text."""
    try:
        yield from _Scan(text).features()
    except (ValueError, RecursionError) as error:
        raise PlaceError(f"the list is not JSON: {str(error)[:200]}") from error


class _Scan:
    """Where in the text it is. ValueError for what is no JSON."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        # Numbers are read by functions of ours, between which other threads get their turn.
        self._decoder = json.JSONDecoder(parse_float=_float, parse_int=_int, parse_constant=_constant)

    def features(self) -> Iterator[object]:
        if not self._next("{"):
            self._value()
            raise PlaceError(_NO_COLLECTION)
        kind: object = None
        seen: set[str] = set()
        while not self._next("}"):
            if seen:
                self._need(",")
            name = self._value()
            if not isinstance(name, str) or name in seen:
                raise ValueError("an object has names, each once")
            seen.add(name)
            self._need(":")
            if name == "features":
                yield from self._members()
            elif name == "type":
                kind = self._value()
            else:
                self._value()
        if self._blank() < len(self._text):
            raise ValueError("something stands behind its end")
        if kind != "FeatureCollection" or "features" not in seen:
            raise PlaceError(_NO_COLLECTION)

    def _members(self) -> Iterator[object]:
        if not self._next("["):
            raise PlaceError("the features of a FeatureCollection are a list")
        first = True
        while not self._next("]"):
            if not first:
                self._need(",")
            first = False
            yield self._value()

    def _blank(self) -> int:
        found = _BLANK.match(self._text, self._at)
        assert found is not None
        self._at = found.end()
        return self._at

    def _next(self, character: str) -> bool:
        """Whether this comes next; then it is behind us."""
        if not self._text.startswith(character, self._blank()):
            return False
        self._at += 1
        return True

    def _need(self, character: str) -> None:
        if not self._next(character):
            raise ValueError(f"{character} is missing at character {self._at}")

    def _value(self) -> object:
        value, self._at = self._decoder.raw_decode(self._text, self._blank())
        return value


def _float(text: str) -> float:
    return float(text)


def _int(text: str) -> int:
    if _DIGITS.fullmatch(text) is None:
        raise ValueError("a number has too many digits")
    return int(text)


def _constant(text: str) -> object:
    raise ValueError(f"{text} is no number")
