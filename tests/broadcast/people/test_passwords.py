"""Passwords: which may be chosen, and that they are hashed where nobody waits for them who need not."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import unicodedata
from collections.abc import AsyncIterator
from typing import Literal

import pytest
from argon2 import PasswordHasher
from hypothesis import given
from hypothesis import strategies as st

from loa.broadcast.people import passwords as module
from loa.broadcast.people.password_policy import MAX_CHARACTERS, MIN_CHARACTERS, check, new_one_time_password
from loa.broadcast.people.passwords import WAITING, Passwords, Queue
from loa.errors import Busy, Unsuitable

GOOD = "con mèo trèo cây cau"


@pytest.fixture
async def passwords() -> AsyncIterator[Passwords]:
    """Hashes that cost little."""
    made = Passwords(time_cost=1, memory_kib=8)
    yield made
    made.close()


@pytest.mark.parametrize(
    "password",
    [
        "ngắn quá",
        "a" * (MAX_CHARACTERS + 1),
        "Password2024!",
        "P@ssw0rd!!!!",
        "Mật khẩu 123456",
        "matkhau@2025",
        "Anh yêu em 1990",
        "VIETNAM vô địch!",
        "hai phong 2025!!",
        "qwertyuiopas",
        "mnbvcxzlkjhg",
        "123456789012",
        "210987654321",
        "aaaaaaaaaaaaaaa",
        "abcabcabcabcab",
        "quan.tri.vien.99",
        "nguyenthilan",
        "Nguyễn Thị Lan 1",
        "nalihtneyugn",
        "\ud800" * 12,
    ],
)
def test_what_is_tried_first_or_is_short_or_is_the_login_is_not_taken(password: str) -> None:
    with pytest.raises(Unsuitable):
        check(password, "nguyenthilan")


@pytest.mark.parametrize(
    "password", [GOOD, "trời hôm nay đẹp quá", "x9$kQ!2vLm7p", "084 216 7739 150", "é" * 6 + GOOD]
)
def test_what_is_long_and_nobodys_first_guess_is_taken(password: str) -> None:
    check(password, "nguyenthilan")
    check(password, "0912345678")


@given(st.text(max_size=200), st.text(max_size=64))
def test_every_text_is_taken_or_refused_in_words(password: str, login: str) -> None:
    length = len(unicodedata.normalize("NFKC", password))
    if not MIN_CHARACTERS <= length <= MAX_CHARACTERS:
        with pytest.raises(Unsuitable, match="characters"):
            check(password, login)
        return
    with contextlib.suppress(Unsuitable):
        check(password, login)


def test_one_time_passwords_are_good_ones_and_never_the_same() -> None:
    made = {new_one_time_password() for _ in range(100)}
    assert len(made) == 100
    for password in made:
        check(password, "admin")


async def test_a_password_is_known_again_however_its_letters_are_typed(passwords: Passwords) -> None:
    kept = await passwords.hash(unicodedata.normalize("NFC", GOOD))
    assert kept.startswith("$argon2id$")
    assert GOOD not in kept
    assert await passwords.verify(kept, unicodedata.normalize("NFD", GOOD))
    assert not await passwords.verify(kept, GOOD + "!")
    assert await passwords.hash(GOOD) != kept


class _Noting(PasswordHasher):
    """Says what it was asked for, in order."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.asked: list[str] = []

    def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
        self.asked.append("hash")
        assert threading.current_thread() is not threading.main_thread()
        return super().hash(password, salt=salt)

    def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:  # noqa: A002 - argon2's name
        self.asked.append("verify")
        return super().verify(hash, password)


@pytest.mark.parametrize("first_is_known", [True, False])
async def test_nobodys_password_opens_nothing_and_costs_the_same_work(
    passwords: Passwords, monkeypatch: pytest.MonkeyPatch, first_is_known: bool
) -> None:
    known = await passwords.hash(GOOD)
    hasher = _Noting()
    monkeypatch.setattr(passwords, "_hasher", hasher)
    assert not await passwords.verify(known if first_is_known else None, "another one's words")
    assert hasher.asked == ["hash", "verify"]
    for kept in (None, known, None):
        assert not await passwords.verify(kept, "another one's words")
    assert hasher.asked == ["hash", *["verify"] * 4]


@pytest.mark.parametrize("typed", ["ÿ", "\udcff", ""])
async def test_nothing_that_is_typed_is_nobodys_password(passwords: Passwords, typed: str) -> None:
    assert not await passwords.verify(None, typed)


async def test_what_is_no_hash_opens_nothing(passwords: Passwords) -> None:
    assert not await passwords.verify("not a hash", GOOD)
    assert not await passwords.verify(await passwords.hash(GOOD), "\ud800")


async def test_a_hash_of_other_parameters_is_to_be_made_anew(passwords: Passwords) -> None:
    dearer = Passwords(time_cost=2, memory_kib=8)
    kept = await passwords.hash(GOOD)
    assert dearer.needs_rehash(kept)
    assert not passwords.needs_rehash(kept)
    assert await dearer.verify(kept, GOOD)
    dearer.close()


async def test_the_parameters_of_the_house_hold_what_they_promise() -> None:
    real = Passwords()
    kept = await real.hash(GOOD)
    assert f"m={module.MEMORY_KIB},t={module.TIME_COST},p={module.LANES}" in kept
    assert await real.verify(kept, GOOD)
    real.close()


async def test_strangers_fill_their_queue_and_those_who_are_known_still_get_in(
    passwords: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_now = threading.Event()
    loop_thread = threading.get_ident()
    threads: set[int] = set()

    def slow(kept: str, password: str) -> bool:
        threads.add(threading.get_ident())
        return password == "known" or open_now.wait(30)

    monkeypatch.setattr(passwords, "_matches", slow)
    waiting = [asyncio.create_task(passwords.verify("x", "stranger")) for _ in range(WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(Busy):
        await passwords.verify("x", "stranger")
    assert await passwords.verify("x", "known", Queue.KNOWN)
    open_now.set()
    assert await asyncio.gather(*waiting) == [True] * WAITING
    assert await passwords.verify("x", "stranger")
    assert loop_thread not in threads


async def test_who_goes_away_gives_the_place_back(passwords: Passwords, monkeypatch: pytest.MonkeyPatch) -> None:
    open_now = threading.Event()
    worked: list[str] = []

    def slow(_kept: str, password: str) -> bool:
        worked.append(password)
        return open_now.wait(30)

    monkeypatch.setattr(passwords, "_matches", slow)
    waiting = [asyncio.create_task(passwords.verify("x", f"{n}")) for n in range(WAITING)]
    await asyncio.sleep(0)
    for task in waiting[1:]:
        task.cancel()
    await asyncio.gather(*waiting[1:], return_exceptions=True)
    after = asyncio.create_task(passwords.verify("x", "after"))
    await asyncio.sleep(0)
    open_now.set()
    assert await after
    assert await waiting[0]
    assert worked == ["0", "after"]
