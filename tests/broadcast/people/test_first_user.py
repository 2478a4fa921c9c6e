"""The first start: an administrator whose password somebody has seen, made once."""

from __future__ import annotations

import pytest

from loa.broadcast.journal.act import system
from loa.broadcast.people.first_user import ensure_first_user
from loa.broadcast.people.rights import EVERYWHERE
from loa.errors import SignInRefused, StoreError
from tests.broadcast.conftest import NOW_MS
from tests.broadcast.people.conftest import ROOT, SHELL, House


async def test_the_first_start_shows_a_password_and_the_second_nothing(house: House) -> None:
    shown: list[tuple[str, str]] = []

    def show(login: str, password: str) -> None:
        shown.append((login, password))

    assert await ensure_first_user(house.people.users, system(NOW_MS), show)
    assert not await ensure_first_user(house.people.users, system(NOW_MS), show)
    ((login, password),) = shown
    signed = await house.sign_in(login, password)
    assert (signed.user.grants, signed.user.must_change_password) == ((EVERYWHERE,), True)
    assert house.as_who(signed).grants == ()


async def test_a_start_that_ends_in_the_middle_is_made_good_by_the_next(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []

    async def fails(*_given: object, **_more: object) -> None:
        assert shown
        raise StoreError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr("loa.broadcast.people.users.journal.record", fails)
        with pytest.raises(StoreError):
            await ensure_first_user(house.people.users, system(NOW_MS), lambda _login, text: shown.append(text))
    assert await ensure_first_user(house.people.users, system(NOW_MS), lambda _login, text: shown.append(text))
    with pytest.raises(SignInRefused):
        await house.sign_in("admin", shown[0])
    await house.sign_in("admin", shown[1])


async def test_where_there_were_ever_people_no_start_makes_one(house: House) -> None:
    await house.user("admin", EVERYWHERE)
    other = await house.user("khac", EVERYWHERE)
    await house.people.users.delete(ROOT, SHELL, other.id, None)
    assert not await ensure_first_user(house.people.users, system(NOW_MS), lambda *_shown: pytest.fail("shown"))
