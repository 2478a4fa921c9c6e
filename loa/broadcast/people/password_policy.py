"""Which passwords may be chosen: long enough, and not among those that are tried first.

Length is what makes a password hard to guess. What is refused beside short ones is a few words that everybody
thinks of, with whatever digits and signs stand around them, a short piece said again and again, rows of the
keyboard, and the login name.
"""

from __future__ import annotations

import re
import unicodedata

from loa.broadcast.people.readable_secret import readable_secret
from loa.errors import Unsuitable

MIN_CHARACTERS = 12
MAX_CHARACTERS = 128

_LOOKS_LIKE = str.maketrans("@4031!5$7đ", "aaoeiisstd")
_ROWS = (
    "01234567890123456789",
    "abcdefghijklmnopqrstuvwxyz",
    "qwertyuiopasdfghjklzxcvbnm",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik",
    "1q2w3e4r5t6y7u8i9o0p",
)
_LONGEST_PIECE = 6
_COMMON = frozenset(
    """
    password passwords passwordpassword welcome welcometo letmein changeme changeit secret default
    administrator admin adminadmin root rootroot guest operator user iloveyou iloveyouso sunshine princess
    football baseball superman dragon monkey master shadow qwerty qwertyuiop asdfghjkl zxcvbnm
    matkhau matkhaucuatoi matkhaumoi khongbiet khongnho khongco quantri quantrivien nguoidung xinchao
    anhyeuem emyeuanh yeuem yeuanh anhnhoem nhoem tinhyeu conyeume yeume yeumenhieu bome giadinh hanhphuc
    vietnam vietnamvodich toiyeuvietnam hanoi haiphong danang saigon cantho hue thanhpho hochiminh
    loa loaphuong loatruyenthanh truyenthanh phatthanh daitruyenthanh thongbao
    """.split()  # noqa: SIM905
)


def normal(password: str) -> str:
    """One form for one password: a Vietnamese letter may be typed as one character or as three."""
    return unicodedata.normalize("NFKC", password)


def check(password: str, login: str) -> None:
    """Unsuitable when the user `login` must not choose this password."""
    text = normal(password)
    if not MIN_CHARACTERS <= len(text) <= MAX_CHARACTERS:
        raise Unsuitable("password", f"a password has {MIN_CHARACTERS} to {MAX_CHARACTERS} characters")
    if any(0xD800 <= ord(character) < 0xE000 for character in text):
        raise Unsuitable("password", "this password is not text")
    folded = _folded(text)
    word = _word(folded)
    if word in _COMMON or _is_row(folded) or _is_piece(folded):
        raise Unsuitable("password", "this password is one of those that are tried first")
    name = _folded(login)
    if folded in (name, name[::-1]) or (word and word in (_word(name), _word(name[::-1]))):
        raise Unsuitable("password", "this password is the login name")


def new_one_time_password() -> str:
    """A password that is told once and changed at the first sign-in: 99 bits, easy to read out."""
    return readable_secret(4, 5)


def _folded(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text.casefold())
    return "".join(character for character in plain if not unicodedata.combining(character) and character != " ")


def _word(folded: str) -> str:
    """What is left without the digits and signs around it, and with letters for the digits inside."""
    inside = re.sub(r"^[\W\d_]+|[\W\d_]+$", "", folded)
    return re.sub(r"[\W\d_]", "", inside.translate(_LOOKS_LIKE))


def _is_row(folded: str) -> bool:
    return any(folded in row or folded[::-1] in row for row in _ROWS)


def _is_piece(folded: str) -> bool:
    """Whether it is a short piece, said until it is long enough."""
    for size in range(1, _LONGEST_PIECE + 1):
        piece = folded[:size]
        if folded == (piece * len(folded))[: len(folded)]:
            return True
    return False
