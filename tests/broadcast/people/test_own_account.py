"""One's own account: what changes it needs a proof, and what was open elsewhere ends."""

from __future__ import annotations

import pyotp
import pytest

from loa.broadcast.people.lockout import RULES, Lane
from loa.broadcast.people.person import Language
from loa.broadcast.people.rights import EVERYWHERE, Grant, Principal, Role
from loa.broadcast.people.totp import PERIOD_S, RECOVERY_CODES
from loa.errors import Conflict, Forbidden, SignInRefused, Unsuitable
from tests.broadcast.conftest import NOW_MS
from tests.broadcast.people.conftest import PASSWORD, ROOT, SHELL, House, by_user

NEW = "trời hôm nay đẹp quá"
WRONG = "con mèo trèo cây dừa"
LATER_MS = NOW_MS + 2 * PERIOD_S * 1000


@pytest.fixture
async def lan(house: House) -> Principal:
    """An officer who is signed in."""
    await house.user("lan", Grant(Role.OFFICER))
    return house.as_who(await house.sign_in("lan"))


async def test_another_password_ends_what_was_open_and_goes_on_in_a_new_session(house: House) -> None:
    user = await house.user("lan", Grant(Role.OFFICER))
    here, elsewhere = await house.sign_in("lan"), await house.sign_in("lan")
    who = house.as_who(here)
    renewed = await house.people.own.change_password(who, by_user(who), PASSWORD, NEW)
    sessions = house.people.sessions
    for ended in (here, elsewhere):
        assert await sessions.check(ended.secret, NOW_MS) is None
    assert await sessions.check(renewed.secret, NOW_MS) is not None
    assert renewed.user.version == user.version + 1
    with pytest.raises(SignInRefused):
        await house.sign_in("lan", PASSWORD)
    await house.sign_in("lan", NEW)


async def test_a_one_time_password_is_changed_before_anything_else(house: House) -> None:
    user, one_time = await house.people.users.create(
        ROOT, SHELL, login="lan", name="Lan", language=Language.VI, grants=[Grant(Role.OFFICER)]
    )
    who = house.as_who(await house.sign_in("lan", one_time))
    assert (who.grants, who.withheld) == ((), "password-change")
    with pytest.raises(Forbidden) as refused:
        await house.people.own.begin_second_factor(who, by_user(who), one_time)
    assert refused.value.slug == "password-change"
    renewed = await house.people.own.change_password(who, by_user(who), one_time, NEW)
    now = await house.people.sessions.check(renewed.secret, NOW_MS)
    assert now is not None
    assert (now.grants, now.withheld, now.user_id) == (user.grants, None, user.id)


@pytest.mark.parametrize("new", ["ngắn", "matkhau123456", PASSWORD, "lanlanlanlan"])
async def test_a_password_that_is_no_good_is_refused_and_costs_nothing(
    house: House, lan: Principal, new: str
) -> None:
    for _ in range(RULES[Lane.DEVICE].free + 5):
        with pytest.raises(Unsuitable):
            await house.people.own.change_password(lan, by_user(lan), PASSWORD, new)
    await house.people.own.change_password(lan, by_user(lan), PASSWORD, NEW)


async def test_who_has_taken_a_session_over_cannot_guess_the_password_there(house: House, lan: Principal) -> None:
    slugs = []
    for number in range(RULES[Lane.DEVICE].free + 5):
        with pytest.raises(SignInRefused) as refused:
            await house.people.own.change_password(lan, by_user(lan, NOW_MS + 1 + number), WRONG, NEW)
        slugs.append(refused.value.slug)
    assert slugs.count("wrong") == RULES[Lane.DEVICE].free
    assert slugs[-1] == "locked"
    # The owner still signs in.
    await house.sign_in("lan", now_ms=NOW_MS + 100)


async def test_an_app_is_enrolled_by_its_first_code(house: House, lan: Principal) -> None:
    own = house.people.own
    with pytest.raises(Conflict):
        await own.confirm_second_factor(lan, by_user(lan), "000000")
    with pytest.raises(SignInRefused):
        await own.begin_second_factor(lan, by_user(lan), WRONG)
    begun = await own.begin_second_factor(lan, by_user(lan), PASSWORD)
    assert begun.secret not in repr(begun)
    assert "lan" in begun.uri
    # Until then, nothing has changed.
    assert not (await house.sign_in("lan")).user.second_factor
    with pytest.raises(SignInRefused) as refused:
        await own.confirm_second_factor(lan, by_user(lan), "000000")
    assert refused.value.slug == "code"
    renewed, codes = await own.confirm_second_factor(lan, by_user(lan), pyotp.TOTP(begun.secret).at(NOW_MS // 1000))
    assert len(codes) == RECOVERY_CODES == await own.recovery_codes(renewed.user.id)
    assert renewed.user.second_factor
    assert renewed.session.second_factor


async def test_enrolling_gives_no_other_session_what_it_had_not(house: House) -> None:
    await house.user("admin", EVERYWHERE)
    thief = await house.sign_in("admin")
    who = await house.enrol(house.as_who(await house.sign_in("admin")))
    assert who.grants == (EVERYWHERE,)
    assert await house.people.sessions.check(thief.secret, NOW_MS) is None


async def test_a_new_telephone_needs_a_code_of_the_old_one_or_of_the_paper(house: House) -> None:
    await house.user("lan", Grant(Role.EMERGENCY))
    who = await house.principal("lan")
    assert who.user_id is not None
    own, old = house.people.own, house.apps[who.user_id]
    act = by_user(who, LATER_MS)
    with pytest.raises(SignInRefused) as refused:
        await own.begin_second_factor(who, act, PASSWORD)
    assert refused.value.slug == "second-factor"
    with pytest.raises(SignInRefused) as refused:
        await own.begin_second_factor(who, act, PASSWORD, "000000")
    assert refused.value.slug == "code"
    begun = await own.begin_second_factor(who, act, PASSWORD, old.at(LATER_MS // 1000))
    renewed, codes = await own.confirm_second_factor(who, act, pyotp.TOTP(begun.secret).at(LATER_MS // 1000))
    now = await house.people.sessions.check(renewed.secret, LATER_MS)
    assert now is not None
    again = await own.begin_second_factor(now, by_user(now, LATER_MS), PASSWORD, codes[0])
    assert again.secret != begun.secret
    later_ms = LATER_MS + 2 * PERIOD_S * 1000
    with pytest.raises(SignInRefused) as refused:
        await house.sign_in("lan", code=old.at(later_ms // 1000), now_ms=later_ms)
    assert refused.value.slug == "code"


async def test_who_needs_a_second_factor_keeps_it_and_others_may_give_it_up(house: House) -> None:
    await house.user("minh", Grant(Role.EMERGENCY))
    desk = await house.principal("minh")
    assert desk.user_id is not None
    own = house.people.own
    code = house.apps[desk.user_id].at(LATER_MS // 1000)
    with pytest.raises(Forbidden) as refused:
        await own.disable_second_factor(desk, by_user(desk, LATER_MS), PASSWORD, code)
    assert refused.value.slug == "second-factor"
    # What was refused has used no code up.
    await own.prove_again(desk, by_user(desk, LATER_MS), PASSWORD, code)

    await house.user("lan", Grant(Role.OFFICER))
    lan = await house.enrol(house.as_who(await house.sign_in("lan")))
    assert lan.user_id is not None
    with pytest.raises(SignInRefused):
        await own.disable_second_factor(lan, by_user(lan, LATER_MS), PASSWORD, "000000")
    code = house.apps[lan.user_id].at(LATER_MS // 1000)
    renewed = await own.disable_second_factor(lan, by_user(lan, LATER_MS), PASSWORD, code)
    assert not renewed.user.second_factor
    assert not renewed.session.second_factor
    assert await own.recovery_codes(lan.user_id) == 0
    await house.sign_in("lan", now_ms=LATER_MS)


async def test_a_fresh_proof_is_remembered_by_the_session(house: House, lan: Principal) -> None:
    own = house.people.own
    assert lan.session_id is not None
    with pytest.raises(SignInRefused):
        await own.prove_again(lan, by_user(lan, LATER_MS), WRONG, None)
    assert (await house.people.sessions.get(lan.session_id)).authenticated_ms == NOW_MS
    await own.prove_again(lan, by_user(lan, LATER_MS), PASSWORD, None)
    proved = await house.people.sessions.get(lan.session_id)
    assert (proved.authenticated_ms, proved.second_factor) == (LATER_MS, False)


async def test_a_token_and_the_shell_have_no_own_account(house: House, lan: Principal) -> None:
    own = house.people.own
    token = Principal("token:1", "Máy", (Grant(Role.ADMIN),), user_id=lan.user_id)
    with pytest.raises(Forbidden):
        await own.change_password(token, by_user(token), PASSWORD, NEW)
    with pytest.raises(Forbidden):
        await own.change_language(ROOT, SHELL, Language.EN)


async def test_the_pages_speak_the_language_that_was_chosen(house: House, lan: Principal) -> None:
    user = await house.people.own.change_language(lan, by_user(lan), Language.EN)
    assert user.language is Language.EN
    entries = len(await house.journal())
    assert await house.people.own.change_language(lan, by_user(lan), Language.EN) == user
    assert len(await house.journal()) == entries


async def test_what_is_done_with_an_account_is_in_the_audit_log_without_its_secrets(house: House) -> None:
    await house.user("lan", Grant(Role.OFFICER))
    lan = await house.enrol(house.as_who(await house.sign_in("lan")))
    assert lan.user_id is not None
    app = house.apps[lan.user_id]
    renewed = await house.people.own.change_password(lan, by_user(lan), PASSWORD, NEW)
    told = str(await house.journal())
    for secret in (app.secret, PASSWORD, NEW, renewed.secret, "argon2"):
        assert secret not in told
    assert {"user.begin-second-factor", "user.second-factor", "user.password"} <= set(await house.actions())
