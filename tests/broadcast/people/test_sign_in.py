"""Signing in: what opens a session and what does not, in whatever order and however often it is tried."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pyotp
import pytest

from loa.broadcast.people.failure_tally import BURST, EACH_MS
from loa.broadcast.people.lockout import RULES, Lane
from loa.broadcast.people.passwords import Passwords
from loa.broadcast.people.people import People
from loa.broadcast.people.proof import UNKNOWN
from loa.broadcast.people.rights import EVERYWHERE, Grant, Role
from loa.broadcast.people.sessions import MAX_SESSIONS, Lifetime
from loa.broadcast.people.sign_in import ADDRESS_KNOWN_MS, DEVICE_KNOWN_MS, MAX_DEVICES
from loa.broadcast.people.totp import PERIOD_S
from loa.broadcast.people.users import ONE_TIME_PASSWORD_MS, UserChange
from loa.broadcast.store import sessions as stored_sessions
from loa.broadcast.store import users as stored_users
from loa.errors import Busy, SignInRefused, StoreError
from loa.model import id_text
from tests.broadcast.conftest import NOW_MS
from tests.broadcast.people.conftest import HOUSE, OUTSIDE, PASSWORD, ROOT, SHELL, House, stranger

WRONG = "con mèo trèo cây dừa"
DAY_MS = 86_400_000
NEXT_CODE_MS = NOW_MS + 2 * PERIOD_S * 1000


async def refused(house: House, login: str, password: str = WRONG, code: str | None = None, **more: Any) -> str:
    """The slug with which the sign-in is refused."""
    with pytest.raises(SignInRefused) as caught:
        await house.sign_in(login, password, code, **more)
    assert (caught.value.wait_ms > 0) == (caught.value.slug == "locked")
    return caught.value.slug


async def test_who_proves_who_they_are_gets_a_session(house: House) -> None:
    user = await house.user("lan", Grant(Role.OFFICER, house.areas["own"]))
    signed = await house.sign_in(" LAN ")
    who = await house.people.sessions.check(signed.secret, NOW_MS + 1)
    assert who is not None
    assert (who.actor, who.name, who.user_id) == (f"user:{id_text(user.id)}", "lan", user.id)
    assert (who.grants, who.withheld, who.authenticated_ms) == (user.grants, None, NOW_MS)
    assert (await house.people.users.get(user.id)).signed_in_ms == NOW_MS
    assert signed.secret not in repr(signed)
    assert signed.device not in repr(signed)


async def test_wrong_unknown_and_disabled_are_told_the_same(house: House) -> None:
    user = await house.user("lan", Grant(Role.OFFICER))
    words = set()
    for login in ("lan", "khong.co", "", "x" * 10_000, "\ud800", "l\0n"):
        with pytest.raises(SignInRefused) as caught:
            await house.sign_in(login, WRONG)
        words.add((caught.value.slug, caught.value.detail))
    await house.people.users.change(ROOT, SHELL, user.id, None, UserChange(disabled=True))
    with pytest.raises(SignInRefused) as caught:
        await house.sign_in("lan")
    words.add((caught.value.slug, caught.value.detail))
    assert len(words) == 1


async def test_a_one_time_password_is_good_for_a_week(house: House) -> None:
    user, _ = await house.people.users.reset_password(
        ROOT, SHELL, (await house.user("lan", Grant(Role.OFFICER))).id
    )
    _, one_time = await house.people.users.reset_password(ROOT, SHELL, user.id)
    assert (await house.sign_in("lan", one_time, now_ms=NOW_MS + ONE_TIME_PASSWORD_MS)).user.id == user.id
    assert await refused(house, "lan", WRONG, now_ms=NOW_MS + ONE_TIME_PASSWORD_MS + 1) == "wrong"
    assert await refused(house, "lan", one_time, now_ms=NOW_MS + ONE_TIME_PASSWORD_MS + 2) == "expired"


async def test_an_app_that_is_enrolled_is_asked_for_its_code(house: House) -> None:
    await house.user("lan", Grant(Role.EMERGENCY))
    who = await house.principal("lan")
    assert who.user_id is not None
    app = house.apps[who.user_id]
    now_ms = NEXT_CODE_MS
    assert await refused(house, "lan", PASSWORD, now_ms=now_ms) == "second-factor"
    assert await refused(house, "lan", PASSWORD, "", now_ms=now_ms) == "second-factor"
    assert await refused(house, "lan", PASSWORD, "000000", now_ms=now_ms) == "code"
    assert await refused(house, "lan", WRONG, app.at(now_ms // 1000), now_ms=now_ms) == "wrong"
    signed = await house.sign_in("lan", code=app.at(now_ms // 1000), now_ms=now_ms)
    assert house.as_who(signed).grants == (Grant(Role.EMERGENCY),)


async def test_a_code_is_good_once_and_so_are_those_before_it(house: House) -> None:
    await house.user("lan", Grant(Role.EMERGENCY))
    who = await house.principal("lan")
    assert who.user_id is not None
    app = house.apps[who.user_id]
    # The code that enrolled the app was used by that.
    assert await refused(house, "lan", PASSWORD, app.at(NOW_MS // 1000)) == "code"
    now_ms = NEXT_CODE_MS
    code, before = app.at(now_ms // 1000), app.at(now_ms // 1000 - PERIOD_S)
    await house.sign_in("lan", code=code, now_ms=now_ms)
    assert await refused(house, "lan", PASSWORD, code, now_ms=now_ms + 1) == "code"
    assert await refused(house, "lan", PASSWORD, before, now_ms=now_ms + 2) == "code"
    later_ms = now_ms + PERIOD_S * 1000
    await house.sign_in("lan", code=app.at(later_ms // 1000), now_ms=later_ms)


async def test_one_code_sent_twice_at_once_opens_one_session(house: House) -> None:
    await house.user("lan", Grant(Role.EMERGENCY))
    who = await house.principal("lan")
    assert who.user_id is not None
    code = house.apps[who.user_id].at(NEXT_CODE_MS // 1000)
    done = await asyncio.gather(
        *(house.sign_in("lan", code=code, now_ms=NEXT_CODE_MS) for _ in range(4)), return_exceptions=True
    )
    assert sum(isinstance(each, SignInRefused) for each in done) == 3


async def test_a_recovery_code_is_good_once(house: House) -> None:
    await house.user("lan", Grant(Role.VIEWER))
    who = house.as_who(await house.sign_in("lan"))
    begun = await house.people.own.begin_second_factor(who, stranger(), PASSWORD)
    renewed, codes = await house.people.own.confirm_second_factor(
        who, stranger(), pyotp.TOTP(begun.secret).at(NOW_MS // 1000)
    )
    signed = await house.sign_in("lan", code=codes[3].upper().replace("-", " "))
    assert house.as_who(signed).withheld is None
    assert signed.session.second_factor
    assert await refused(house, "lan", PASSWORD, codes[3]) == "code"
    assert await house.people.own.recovery_codes(signed.user.id) == len(codes) - 1
    assert renewed.user.second_factor


async def test_without_an_app_those_who_can_alarm_the_city_look_on(house: House) -> None:
    await house.user("lan", Grant(Role.EMERGENCY, house.areas["own"]))
    who = await house.people.sessions.check((await house.sign_in("lan")).secret, NOW_MS)
    assert who is not None
    assert who.grants == (Grant(Role.VIEWER, house.areas["own"]),)
    assert who.withheld == "second-factor"


async def test_guessing_from_elsewhere_does_not_lock_the_owner_out(house: House) -> None:
    await house.user("lan", Grant(Role.OFFICER))
    for number in range(200):
        with pytest.raises(SignInRefused):
            await house.sign_in("lan", WRONG, now_ms=NOW_MS + number, origin=OUTSIDE)
    assert await refused(house, "lan", now_ms=NOW_MS + 300, origin=OUTSIDE) == "locked"
    await house.sign_in("lan", now_ms=NOW_MS + 301)


async def test_guessing_from_the_same_address_does_not_lock_a_known_browser_out(house: House) -> None:
    await house.user("lan", Grant(Role.EMERGENCY))
    known = await house.sign_in("lan")
    for number in range(50):
        with pytest.raises(SignInRefused):
            await house.sign_in("lan", WRONG, now_ms=NOW_MS + number)
    assert await refused(house, "lan", PASSWORD, now_ms=NOW_MS + 60) == "locked"
    await house.sign_in("lan", now_ms=NOW_MS + 61, device=known.device)


async def test_a_spray_over_all_accounts_is_slowed_at_its_address(house: House) -> None:
    for number in range(3):
        await house.user(f"user{number}", Grant(Role.OFFICER))
    slugs = [await refused(house, f"user{number}", now_ms=NOW_MS + number, origin=OUTSIDE) for number in range(60)]
    assert slugs.count("wrong") == RULES[Lane.ADDRESS].free
    assert await refused(house, "user0", PASSWORD, now_ms=NOW_MS + 100, origin=OUTSIDE) == "locked"
    # Where the account is known to be used from, the address's other failures do not count.
    await house.sign_in("user0", now_ms=NOW_MS + 100)


async def test_guessing_codes_needs_the_password_and_is_slowed_for_strangers(house: House) -> None:
    await house.user("lan", Grant(Role.EMERGENCY))
    who = await house.principal("lan")
    assert who.user_id is not None
    slugs = [
        await refused(house, "lan", PASSWORD, "000000", now_ms=NEXT_CODE_MS, origin=f"203.0.113.{number}")
        for number in range(20)
    ]
    assert slugs.count("code") == RULES[Lane.CODE].free
    assert slugs[-1] == "locked"
    # From where the account is used, the owner gets in all the same.
    await house.sign_in("lan", code=house.apps[who.user_id].at(NEXT_CODE_MS // 1000), now_ms=NEXT_CODE_MS)


async def test_an_administrator_ends_a_lock_out(house: House) -> None:
    user = await house.user("lan", Grant(Role.OFFICER))
    for number in range(10):
        with pytest.raises(SignInRefused):
            await house.sign_in("lan", WRONG, now_ms=NOW_MS + 1 + number, origin=OUTSIDE)
    assert await refused(house, "lan", PASSWORD, now_ms=NOW_MS + 20, origin=OUTSIDE) == "locked"
    await house.people.users.unlock(ROOT, replace(SHELL, now_ms=NOW_MS + 20), user.id)
    await house.sign_in("lan", now_ms=NOW_MS + 20, origin=OUTSIDE)


async def test_failures_are_in_the_audit_log_and_cannot_fill_it(house: House) -> None:
    user = await house.user("lan", Grant(Role.OFFICER))
    before = len(await house.journal())
    for number in range(300):
        login = "lan" if number % 3 else f"mật khẩu gõ nhầm {number}"
        with pytest.raises(SignInRefused):
            await house.sign_in(login, WRONG, now_ms=NOW_MS + number, origin=f"203.0.113.{number % 250}")
    told = (await house.journal())[before:]
    assert 0 < len(told) <= BURST
    assert {entry["subject"] for entry in told} == {f"user:{id_text(user.id)}", UNKNOWN}
    assert {entry["action"] for entry in told} == {"session.refuse"}
    assert "gõ nhầm" not in str(told)
    assert told[0]["origin"].startswith("203.0.113.")
    await house.people.tidy(NOW_MS + EACH_MS + 300)
    told = (await house.journal())[before:]
    counted = sum(entry["after"]["failures"] for entry in told)
    # Those of the account are stopped at some time: what is not looked at is no failure.
    assert 200 <= counted <= 300


async def test_a_success_tells_of_the_failures_before_it(house: House) -> None:
    await house.user("lan", Grant(Role.OFFICER))
    for _ in range(3):
        await refused(house, "lan")
    await house.sign_in("lan")
    last = (await house.journal())[-1]
    assert last["action"] == "session.create"
    assert last["after"] == {"second_factor": None, "failures_before": 2, "replaces": None}
    assert last["actor"].startswith("user:")
    assert last["origin"] == HOUSE


async def test_a_failure_that_cannot_be_written_down_is_a_failure_all_the_same(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_given: object, **_more: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr("loa.broadcast.people.proof.journal.record", fails)
    assert await refused(house, "khong.co") == "wrong"


async def test_who_is_told_to_come_again_has_lost_no_attempt(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    await house.user("lan", Grant(Role.OFFICER))

    async def busy(*_given: object) -> bool:
        raise Busy("too many")

    with monkeypatch.context() as patch:
        patch.setattr(Passwords, "verify", busy)
        for _ in range(50):
            with pytest.raises(Busy):
                await house.sign_in("lan", origin=OUTSIDE)
    await house.sign_in("lan", origin=OUTSIDE)


async def test_a_store_that_fails_costs_no_attempt_and_opens_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.user("lan", Grant(Role.OFFICER))

    async def fails(*_given: object, **_more: object) -> None:
        raise StoreError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr("loa.broadcast.people.sign_in.journal.record", fails)
        for _ in range(50):
            with pytest.raises(StoreError):
                await house.sign_in("lan", origin=OUTSIDE)
    user = await house.people.users.by_login("lan")
    assert user is not None
    # One session is of the fixture, from the change of the first password.
    assert len(await house.people.sessions.of_user(user.id, NOW_MS)) == 1
    await house.sign_in("lan", origin=OUTSIDE)


@pytest.mark.parametrize("what", ["password", "disabled", "deleted"])
async def test_what_changes_while_the_password_is_looked_at_counts(
    house: House, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    user = await house.user("lan", Grant(Role.OFFICER))
    users = house.people.users
    verify = Passwords.verify

    async def meanwhile(self: Passwords, *given: Any) -> bool:
        right = await verify(self, *given)
        if what == "password":
            await users.reset_password(ROOT, SHELL, user.id)
        elif what == "disabled":
            await users.change(ROOT, SHELL, user.id, None, UserChange(disabled=True))
        else:
            await users.delete(ROOT, SHELL, user.id, None)
        return right

    monkeypatch.setattr(Passwords, "verify", meanwhile)
    assert await refused(house, "lan", PASSWORD) == "wrong"


async def test_the_browsers_session_until_now_ends(house: House) -> None:
    await house.user("lan", Grant(Role.OFFICER))
    await house.user("minh", Grant(Role.OFFICER))
    first = await house.sign_in("lan")
    second = await house.sign_in("minh", replaces=first.secret)
    assert second.secret != first.secret
    assert await house.people.sessions.check(first.secret, NOW_MS) is None
    assert (await house.journal())[-1]["after"]["replaces"] == id_text(first.session.id)
    with pytest.raises(SignInRefused):
        await house.sign_in("lan", WRONG, replaces=second.secret)
    assert await house.people.sessions.check(second.secret, NOW_MS) is not None


async def test_a_browsers_secret_is_of_one_account_and_wears_out(house: House) -> None:
    await house.user("lan", Grant(Role.OFFICER))
    await house.user("minh", Grant(Role.OFFICER))
    first = await house.sign_in("lan")
    assert (await house.sign_in("lan", device=first.device)).device == first.device
    assert (await house.sign_in("minh", device=first.device)).device != first.device
    assert (await house.sign_in("lan", device="made up")).device not in (first.device, "made up")
    late_ms = NOW_MS + DEVICE_KNOWN_MS + 1
    assert (await house.sign_in("lan", device=first.device, now_ms=late_ms)).device != first.device


async def test_an_address_wears_out_too(house: House) -> None:
    await house.user("lan", Grant(Role.OFFICER))
    late_ms = NOW_MS + ADDRESS_KNOWN_MS + 1
    for number in range(30):
        with pytest.raises(SignInRefused):
            await house.sign_in(f"ai{number}", WRONG, now_ms=late_ms)
    assert await refused(house, "lan", PASSWORD, now_ms=late_ms) == "locked"


async def test_sessions_and_known_browsers_of_one_user_are_bounded(house: House) -> None:
    user = await house.user("lan", Grant(Role.OFFICER))
    opened = [await house.sign_in("lan", now_ms=NOW_MS + 1 + number) for number in range(MAX_SESSIONS + 3)]
    sessions = await house.people.sessions.of_user(user.id, NOW_MS + 100)
    assert [session.id for session in sessions] == [each.session.id for each in opened[3:]]
    async with house.db.read() as connection:
        devices = await stored_sessions.devices(connection, user.id)
    assert len(devices) == MAX_DEVICES
    assert (await house.sign_in("lan", device=opened[-1].device, now_ms=NOW_MS + 101)).device == opened[-1].device
    assert (await house.sign_in("lan", device=opened[0].device, now_ms=NOW_MS + 102)).device != opened[0].device


async def test_a_password_hashed_as_of_old_is_hashed_anew(house: House) -> None:
    user = await house.user("lan", Grant(Role.OFFICER))
    dearer = People(house.db, Lifetime(), passwords=Passwords(time_cost=2, memory_kib=16))
    house.people.close()
    house.people = dearer
    await house.sign_in("lan")
    async with house.db.read() as connection:
        kept = await stored_users.credentials(connection, user.id)
    assert kept.password is not None
    assert "m=16,t=2" in kept.password
    await house.sign_in("lan")


async def test_old_browsers_and_sessions_are_forgotten(house: House) -> None:
    user = await house.user("lan", EVERYWHERE)
    await house.sign_in("lan")
    await house.people.tidy(NOW_MS + DEVICE_KNOWN_MS + DAY_MS)
    async with house.db.read() as connection:
        assert await stored_sessions.devices(connection, user.id) == []
        assert await stored_sessions.of_user(connection, user.id) == []
