"""Browser sessions: how long they last, what ends them, and what they cost."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loa.broadcast.people.rights import Grant, Role
from loa.broadcast.people.sessions import TOUCH_MS, Lifetime, csrf_token, secret_hash
from loa.broadcast.people.users import UserChange
from loa.broadcast.store import sessions as stored
from loa.errors import NotFound, StoreError
from loa.model import id_text
from tests.broadcast.conftest import NOW_MS
from tests.broadcast.people.conftest import HOUSE, ROOT, SHELL, House, by_user

LIFE = Lifetime()


async def test_a_session_that_is_used_lasts_until_its_longest_time(house: House) -> None:
    await house.user("lan", Grant(Role.OFFICER))
    signed = await house.sign_in("lan")
    check = house.people.sessions.check
    now_ms = NOW_MS
    while (now_ms := now_ms + LIFE.idle_ms) < NOW_MS + LIFE.absolute_ms:
        assert await check(signed.secret, now_ms) is not None
    assert await check(signed.secret, NOW_MS + LIFE.absolute_ms - 1) is not None
    assert await check(signed.secret, NOW_MS + LIFE.absolute_ms) is None


async def test_a_session_that_is_not_used_ends(house: House) -> None:
    user = await house.user("lan", Grant(Role.OFFICER))
    signed = await house.sign_in("lan")
    assert await house.people.sessions.check(signed.secret, NOW_MS + LIFE.idle_ms + 1) is None
    assert await house.people.sessions.of_user(user.id, NOW_MS + LIFE.idle_ms + 1) == []


async def test_use_is_written_down_at_most_once_a_minute(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    await house.user("lan", Grant(Role.OFFICER))
    signed = await house.sign_in("lan")
    written: list[int] = []
    touch = stored.touch

    async def counted(connection: Any, session_id: bytes, seen_ms: int) -> None:
        written.append(seen_ms)
        await touch(connection, session_id, seen_ms)

    monkeypatch.setattr("loa.broadcast.people.sessions.stored.touch", counted)
    for second in range(0, 181, 1):
        assert await house.people.sessions.check(signed.secret, NOW_MS + second * 1000) is not None
    assert written == [NOW_MS + TOUCH_MS, NOW_MS + 2 * TOUCH_MS, NOW_MS + 3 * TOUCH_MS]


async def test_a_store_that_takes_nothing_still_knows_who_is_who(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.user("lan", Grant(Role.OFFICER))
    signed = await house.sign_in("lan")

    async def fails(*_given: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr("loa.broadcast.people.sessions.stored.touch", fails)
    assert await house.people.sessions.check(signed.secret, NOW_MS + TOUCH_MS) is not None


@pytest.mark.parametrize("text", ["", "x", "\udcff", "a" * 10_000])
async def test_what_is_no_secret_opens_nothing(house: House, text: str) -> None:
    assert await house.people.sessions.check(text, NOW_MS) is None


async def test_one_session_ends_and_the_others_go_on(house: House) -> None:
    await house.user("lan", Grant(Role.OFFICER))
    one, two = await house.sign_in("lan"), await house.sign_in("lan")
    sessions = house.people.sessions
    who = house.as_who(two)
    await sessions.end(one.session.id, by_user(who))
    assert await sessions.check(one.secret, NOW_MS) is None
    assert await sessions.check(two.secret, NOW_MS) is not None
    with pytest.raises(NotFound):
        await sessions.end(one.session.id, by_user(who))
    with pytest.raises(NotFound):
        await sessions.get(one.session.id)
    last = (await house.journal())[-1]
    assert (last["action"], last["actor"], last["subject"]) == (
        "session.end",
        who.actor,
        f"session:{id_text(one.session.id)}",
    )


async def test_all_of_a_users_sessions_end_at_once(house: House) -> None:
    user = await house.user("lan", Grant(Role.OFFICER))
    await house.user("minh", Grant(Role.OFFICER))
    other = await house.sign_in("minh")
    mine = [await house.sign_in("lan") for _ in range(3)]
    sessions = house.people.sessions
    count = len(await sessions.of_user(user.id, NOW_MS))
    assert await sessions.end_all(user.id, SHELL) == count
    for each in mine:
        assert await sessions.check(each.secret, NOW_MS) is None
    assert await sessions.check(other.secret, NOW_MS) is not None
    entries = len(await house.journal())
    assert await sessions.end_all(user.id, SHELL) == 0
    assert len(await house.journal()) == entries
    with pytest.raises(NotFound):
        await sessions.end_all(b"n" * 16, SHELL)


async def test_a_session_shows_where_it_is_and_not_its_secret(house: House) -> None:
    user = await house.user("lan", Grant(Role.OFFICER))
    signed = await house.sign_in("lan", agent="Firefox " * 100)
    (shown,) = [s for s in await house.people.sessions.of_user(user.id, NOW_MS) if s.id == signed.session.id]
    assert (shown.address, len(shown.agent)) == (HOUSE, 200)
    assert shown.sha256 == secret_hash(signed.secret)
    assert signed.secret not in repr(shown)
    assert repr(shown.sha256) not in repr(shown)


async def test_what_is_granted_now_holds_in_the_next_request(house: House) -> None:
    user = await house.user("lan", Grant(Role.OFFICER))
    signed = await house.sign_in("lan")
    change = UserChange(grants=(Grant(Role.VIEWER, house.areas["own"]),))
    await house.people.users.change(ROOT, SHELL, user.id, None, change)
    who = await house.people.sessions.check(signed.secret, NOW_MS)
    assert who is not None
    assert who.grants == (Grant(Role.VIEWER, house.areas["own"]),)


@given(st.text(), st.text())
def test_the_second_secret_belongs_to_one_session_and_does_not_tell_the_first(one: str, two: str) -> None:
    assert (csrf_token(one) == csrf_token(two)) == (one == two)
    assert len(csrf_token(one)) == 64
