"""Names as people write them: cleaned for keeping, and folded for finding "Phù Liễn" by "phu lien"."""

from __future__ import annotations

import unicodedata

from loa.errors import PlaceError

MAX_NAME = 200
MAX_CODE = 40
MAX_LEVEL = 40
MAX_NOTE = 1000
# What word processors and web pages leave in copied text: nobody means it.
_UNSEEN = dict.fromkeys(map(ord, "\u00ad\u200b\u200c\u200d\u2060\ufeff"))
_REFUSED = ("Cc", "Cf", "Cs")
_STROKE = str.maketrans({"đ": "d", "Đ": "d"})


def clean(text: str, what: str, most: int = MAX_NAME) -> str:
    """`text` in NFC, blanks made one and trimmed; PlaceError when nothing is left, it is too long, or it holds
    control characters. `what` names it in the error."""
    cleaned = tidy(text, what, most)
    if not cleaned:
        raise PlaceError(f"{what} is empty")
    return cleaned


def tidy(text: str, what: str, most: int) -> str:
    """As `clean`, but nothing may be left."""
    if len(text) > 4 * most:
        raise PlaceError(f"{what} is longer than {most} characters")
    cleaned = " ".join(unicodedata.normalize("NFC", text.translate(_UNSEEN)).split())
    if len(cleaned) > most:
        raise PlaceError(f"{what} is longer than {most} characters")
    for character in cleaned:
        if unicodedata.category(character) in _REFUSED:
            raise PlaceError(f"{what} has the character U+{ord(character):04X}, which cannot be seen")
    return cleaned


def clean_level(text: str) -> str:
    """A level of areas, as `clean`."""
    return clean(text, "the level", MAX_LEVEL)


def clean_code(text: str | None) -> str | None:
    """An area's code, as `clean`; None for none."""
    return None if text is None else tidy(text, "the code", MAX_CODE) or None


def fold(text: str) -> str:
    """`text` without case, accents and the stroke of đ, its blanks made one: what is searched, and searched for.

    Folding what is folded changes nothing.
    """
    bare = unicodedata.normalize("NFKD", text.translate(_STROKE).casefold())
    kept = "".join(c for c in bare if not unicodedata.combining(c)).casefold().translate(_STROKE)
    return " ".join(kept.split())
