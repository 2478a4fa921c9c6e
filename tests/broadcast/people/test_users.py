"""Users: nobody gives or touches more than they have, somebody always administers, and who goes is gone."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select

from loa.broadcast.people.person import Language, User
from loa.broadcast.people.rights import EVERYWHERE, Grant, Principal, Role
from loa.broadcast.people.shut_out import shut_everybody_out
from loa.broadcast.people.users import UserChange
from loa.broadcast.records import Token
from loa.broadcast.store.paging import Page
from loa.broadcast.store.tables import metadata
from loa.broadcast.store.tokens import Tokens
from loa.broadcast.store.users import UserFilter
from loa.errors import Changed, Conflict, Forbidden, NotFound, SignInRefused, Unsuitable
from loa.model import new_id
from tests.broadcast.conftest import NOW_MS
from tests.broadcast.people.conftest import PASSWORD, ROOT, SHELL, House, by_user

NOWHERE = b"n" * 16


async def create(house: House, by: Principal, *grants: Grant, login: str = "moi", now_ms: int = NOW_MS) -> User:
    user, _ = await house.people.users.create(
        by, by_user(by, now_ms), login=login, name="Người mới", language=Language.EN, grants=grants
    )
    return user


async def test_a_new_user_gets_a_password_that_opens_only_the_change_of_it(house: House) -> None:
    user, one_time = await house.people.users.create(
        ROOT, SHELL, login=" Lan.Nguyen ", name="Nguyễn Thị Lan", language=Language.VI, grants=[Grant(Role.OFFICER)]
    )
    assert (user.login, user.must_change_password, user.version) == ("lan.nguyen", True, 1)
    assert await house.people.users.get(user.id) == user
    assert await house.people.users.by_login("lan.nguyen") == user
    signed = await house.sign_in("LAN.nguyen", one_time)
    assert house.as_who(signed).grants == ()


@pytest.mark.parametrize("login", ["", "x", "-lan", "lan nguyen", "làn", "a" * 65, "la\nn", "lan\0x"])
async def test_a_login_name_is_plain(house: House, login: str) -> None:
    with pytest.raises(Unsuitable) as refused:
        await create(house, ROOT, Grant(Role.VIEWER), login=login)
    assert refused.value.slug == "login"


async def test_a_login_name_is_one_persons(house: House) -> None:
    await create(house, ROOT, Grant(Role.VIEWER), login="lan")
    with pytest.raises(Conflict, match="lan"):
        await create(house, ROOT, Grant(Role.VIEWER), login="LAN")


async def test_an_area_must_be_there(house: House) -> None:
    with pytest.raises(NotFound, match="area"):
        await create(house, ROOT, Grant(Role.VIEWER, NOWHERE))


async def test_who_administers_a_commune_gives_what_they_have_there_and_below(house: House) -> None:
    own, other, hamlet, city = (house.areas[name] for name in ("own", "other", "hamlet", "city"))
    await house.user("xa", Grant(Role.ADMIN, own))
    by = await house.principal("xa")
    for number, role in enumerate(Role):
        await create(house, by, Grant(role, own), Grant(role, hamlet), login=f"u{number}")
    for grant in (Grant(Role.VIEWER, other), Grant(Role.VIEWER, city), Grant(Role.VIEWER), EVERYWHERE):
        with pytest.raises(Forbidden):
            await create(house, by, Grant(Role.VIEWER, own), grant)
    with pytest.raises(Forbidden):
        await create(house, by)


async def test_who_administers_a_commune_touches_nobody_who_has_more(house: House, admin: Principal) -> None:
    own, other = house.areas["own"], house.areas["other"]
    await house.user("xa", Grant(Role.ADMIN, own))
    by = await house.principal("xa")
    both = await create(house, admin, Grant(Role.OFFICER, own), Grant(Role.VIEWER, other), login="hai")
    nothing = await create(house, admin, login="khong")
    assert admin.user_id is not None
    users, act = house.people.users, by_user(by)
    for user_id in (admin.user_id, both.id, nothing.id):
        before = await users.get(user_id)
        for refused in (
            users.change(by, act, user_id, None, UserChange(name="Ai đó")),
            users.change(by, act, user_id, None, UserChange(disabled=True)),
            users.reset_password(by, act, user_id),
            users.reset_second_factor(by, act, user_id),
            users.unlock(by, act, user_id),
            users.delete(by, act, user_id, None),
        ):
            with pytest.raises(Forbidden):
                await refused
        assert await users.get(user_id) == before


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.ADMIN])
async def test_no_other_role_makes_users(house: House, role: Role) -> None:
    await house.user("ai", Grant(role))
    by = await house.principal("ai")
    with pytest.raises(Forbidden) as refused:
        await create(house, by, Grant(Role.VIEWER, house.areas["own"]))
    assert refused.value.slug == "forbidden"


async def test_nobody_changes_what_they_may_do_nor_shuts_themselves_out(house: House, admin: Principal) -> None:
    users, act = house.people.users, by_user(admin)
    await house.user("pho", EVERYWHERE)
    assert admin.user_id is not None
    before = await users.get(admin.user_id)
    for refused in (
        users.change(admin, act, before.id, None, UserChange(grants=(EVERYWHERE, Grant(Role.OPS)))),
        users.change(admin, act, before.id, None, UserChange(grants=())),
        users.change(admin, act, before.id, None, UserChange(disabled=True)),
        users.reset_password(admin, act, before.id),
        users.reset_second_factor(admin, act, before.id),
        users.delete(admin, act, before.id, None),
    ):
        with pytest.raises(Forbidden) as caught:
            await refused
        assert caught.value.slug == "own-account"
    assert await users.get(admin.user_id) == before
    renamed = await users.change(admin, act, before.id, None, UserChange(name="Bà Hai", grants=before.grants))
    assert (renamed.name, renamed.version) == ("Bà Hai", before.version + 1)


async def test_the_last_administrator_stays(house: House) -> None:
    users = house.people.users
    last = await house.user("admin", EVERYWHERE, Grant(Role.OPS))
    await house.user("xa", Grant(Role.ADMIN, house.areas["city"]))
    disabled = await house.user("nghi", EVERYWHERE)
    await users.change(ROOT, SHELL, disabled.id, None, UserChange(disabled=True))
    for refused in (
        users.change(ROOT, SHELL, last.id, None, UserChange(disabled=True)),
        users.change(ROOT, SHELL, last.id, None, UserChange(grants=(Grant(Role.OPS),))),
        users.change(ROOT, SHELL, last.id, None, UserChange(grants=(Grant(Role.ADMIN, house.areas["city"]),))),
        users.delete(ROOT, SHELL, last.id, None),
    ):
        with pytest.raises(Conflict, match="last administrator"):
            await refused
    assert await users.get(last.id) == last
    await users.change(ROOT, SHELL, disabled.id, None, UserChange(disabled=False))
    await users.delete(ROOT, SHELL, last.id, None)


async def test_two_administrators_who_disable_each_other_at_once_leave_one(house: House) -> None:
    users = house.people.users
    pair = [await house.user(login, EVERYWHERE) for login in ("mot", "hai")]
    by = [await house.principal(user.login) for user in pair]
    done = await asyncio.gather(
        users.change(by[0], by_user(by[0]), pair[1].id, None, UserChange(disabled=True)),
        users.change(by[1], by_user(by[1]), pair[0].id, None, UserChange(disabled=True)),
        return_exceptions=True,
    )
    assert {type(each) for each in done} == {Forbidden, User}
    assert sorted([(await users.get(user.id)).active for user in pair]) == [False, True]


async def test_two_changes_of_one_user_at_once_are_one_and_a_second_look(house: House, admin: Principal) -> None:
    users, act = house.people.users, by_user(admin)
    user = await house.user("lan", Grant(Role.VIEWER))
    done = await asyncio.gather(
        *(users.change(admin, act, user.id, user.version, UserChange(name=f"Tên {n}")) for n in range(5)),
        return_exceptions=True,
    )
    assert [type(each) for each in done].count(Changed) == 4
    won = next(each for each in done if isinstance(each, User))
    assert await users.get(user.id) == won
    assert won.version == user.version + 1
    for refused in (
        users.reset_password(admin, act, user.id, user.version),
        users.reset_second_factor(admin, act, user.id, user.version),
        users.delete(admin, act, user.id, user.version),
    ):
        with pytest.raises(Changed):
            await refused


async def test_a_request_that_was_overtaken_has_the_rights_of_now(house: House, admin: Principal) -> None:
    await house.user("pho", EVERYWHERE)
    by = await house.principal("pho")
    assert by.user_id is not None
    await house.people.users.change(
        admin, by_user(admin), by.user_id, None, UserChange(grants=(Grant(Role.ADMIN, house.areas["own"]),))
    )
    await create(house, by, Grant(Role.VIEWER, house.areas["own"]), login="a1")
    with pytest.raises(Forbidden):
        await create(house, by, Grant(Role.VIEWER, house.areas["other"]), login="a2")
    await house.people.users.change(admin, by_user(admin), by.user_id, None, UserChange(disabled=True))
    with pytest.raises(Forbidden):
        await create(house, by, Grant(Role.VIEWER, house.areas["own"]), login="a3")
    await house.people.users.delete(admin, by_user(admin), by.user_id, None)
    with pytest.raises(Forbidden):
        await create(house, by, Grant(Role.VIEWER, house.areas["own"]), login="a4")


async def test_a_change_of_nothing_is_no_change(house: House, admin: Principal) -> None:
    user = await house.user("lan", Grant(Role.VIEWER))
    entries = len(await house.journal())
    same = UserChange(user.name, user.language, (*user.grants, *user.grants), disabled=False)
    assert await house.people.users.change(admin, by_user(admin), user.id, user.version, same) == user
    assert len(await house.journal()) == entries


async def token_of(house: House, user: User, grant: Grant) -> bytes:
    token = Token(new_id(NOW_MS), "Máy", grant.role, new_id(NOW_MS) * 2, NOW_MS, None, None, grant.area_id, user.id)
    await Tokens(house.db).create(token, SHELL)
    return token.id


async def test_who_is_disabled_is_out_at_once_and_comes_back_with_nothing_open(
    house: House, admin: Principal
) -> None:
    user = await house.user("lan", Grant(Role.OFFICER))
    signed = await house.sign_in("lan")
    token_id = await token_of(house, user, Grant(Role.OFFICER))
    users = house.people.users
    disabled = await users.change(admin, by_user(admin), user.id, None, UserChange(disabled=True))
    assert not disabled.active
    assert await house.people.sessions.check(signed.secret, NOW_MS) is None
    assert (await Tokens(house.db).get(token_id)).revoked_ms == NOW_MS
    with pytest.raises(SignInRefused) as refused:
        await house.sign_in("lan", device=signed.device)
    assert refused.value.slug == "wrong"
    await users.change(admin, by_user(admin), user.id, None, UserChange(disabled=False))
    assert await house.people.sessions.check(signed.secret, NOW_MS) is None
    assert (await Tokens(house.db).get(token_id)).revoked_ms is not None
    again = await house.sign_in("lan")
    assert again.device != signed.device


async def test_who_has_less_keeps_the_tokens_that_give_no_more(house: House, admin: Principal) -> None:
    own, hamlet, other = (house.areas[name] for name in ("own", "hamlet", "other"))
    user = await house.user("lan", Grant(Role.STUDIO, own), Grant(Role.OFFICER, other))
    grants = [Grant(Role.OFFICER, hamlet), Grant(Role.STUDIO, own), Grant(Role.OFFICER, other)]
    ids = [await token_of(house, user, grant) for grant in grants]
    signed = await house.sign_in("lan")
    change = UserChange(grants=(Grant(Role.OFFICER, own),))
    await house.people.users.change(admin, by_user(admin), user.id, None, change)
    revoked = [(await Tokens(house.db).get(token_id)).revoked_ms is not None for token_id in ids]
    assert revoked == [False, True, True]
    now = await house.people.sessions.check(signed.secret, NOW_MS)
    assert now is not None
    assert now.grants == (Grant(Role.OFFICER, own),)


async def test_a_reset_password_opens_the_account_once_more_and_ends_what_was_open(
    house: House, admin: Principal
) -> None:
    user = await house.user("lan", Grant(Role.OFFICER))
    signed = await house.sign_in("lan")
    _, one_time = await house.people.users.reset_password(admin, by_user(admin), user.id)
    assert await house.people.sessions.check(signed.secret, NOW_MS) is None
    with pytest.raises(SignInRefused):
        await house.sign_in("lan", PASSWORD)
    assert (await house.sign_in("lan", one_time)).user.must_change_password


async def test_a_lost_telephone_is_forgotten(house: House, admin: Principal) -> None:
    await house.user("lan", Grant(Role.EMERGENCY))
    who = await house.principal("lan")
    assert who.user_id is not None
    user = await house.people.users.reset_second_factor(admin, by_user(admin), who.user_id)
    assert not user.second_factor
    signed = await house.sign_in("lan")
    assert house.as_who(signed).grants == (Grant(Role.VIEWER),)
    assert await house.people.own.recovery_codes(signed.user.id) == 0


async def everything(house: House, but: str = "") -> str:
    """All that the store holds, as text."""
    said: list[Any] = []
    async with house.db.read() as connection:
        for table in metadata.sorted_tables:
            if table.name not in but.split():
                said += [repr(row) for row in await connection.execute(select(table))]
    return "\n".join(said)


async def test_who_is_deleted_leaves_no_personal_data_but_the_trace_of_what_they_did(
    house: House, admin: Principal
) -> None:
    user = await house.user("lan.nguyen", Grant(Role.OFFICER, house.areas["own"]))
    await house.enrol(await house.principal("lan.nguyen"))
    token_id = await token_of(house, user, user.grants[0])
    await house.people.users.delete(admin, by_user(admin), user.id, None)
    assert "Lan.Nguyen" not in await everything(house)
    assert "lan.nguyen" not in await everything(house, but="audit event")
    assert house.apps[user.id].secret not in await everything(house)
    assert (await Tokens(house.db).get(token_id)).revoked_ms is not None
    with pytest.raises(NotFound):
        await house.people.users.get(user.id)
    with pytest.raises(NotFound):
        await house.people.users.change(admin, by_user(admin), user.id, None, UserChange(disabled=False))
    assert "lan.nguyen" not in [each.login for each in await house.people.users.list()]
    entry = (await house.journal())[-1]
    assert (entry["action"], entry["actor"]) == ("user.delete", admin.actor)
    again = await create(house, admin, Grant(Role.VIEWER), login="lan.nguyen")
    assert again.id != user.id


async def test_no_secret_is_in_the_audit_log(house: House, admin: Principal) -> None:
    users = house.people.users
    user, one_time = await users.create(
        admin, by_user(admin), login="lan", name="Tên riêng", language=Language.VI, grants=[Grant(Role.VIEWER)]
    )
    signed = await house.sign_in("lan", one_time)
    await users.change(admin, by_user(admin), user.id, None, UserChange(name="Tên mới", disabled=False))
    _, another = await users.reset_password(admin, by_user(admin), user.id)
    told = str(await house.journal())
    for secret in (one_time, another, signed.secret, signed.device, PASSWORD, "Tên riêng", "Tên mới", "argon2"):
        assert secret not in told, secret
    for app in house.apps.values():
        assert app.secret not in told
    assert {"user.create", "user.change", "user.reset-password", "session.create"} <= set(await house.actions())


async def test_users_are_listed_in_parts_and_by_where_they_work(house: House) -> None:
    own, other, hamlet, city = (house.areas[name] for name in ("own", "other", "hamlet", "city"))
    wheres: dict[str, tuple[Grant, ...]] = {
        "everywhere": (EVERYWHERE,),
        "in.city": (Grant(Role.OPS, city),),
        "in.own": (Grant(Role.OFFICER, own), Grant(Role.VIEWER, other)),
        "in.hamlet": (Grant(Role.VIEWER, hamlet),),
        "in.other": (Grant(Role.STUDIO, other),),
    }
    made = {
        login: await create(house, ROOT, *grants, login=login, now_ms=NOW_MS + number)
        for number, (login, grants) in enumerate(wheres.items())
    }
    users = house.people.users
    assert await users.list() == list(made.values())
    first = await users.list(Page(limit=2, by="login"))
    assert [user.login for user in first] == ["everywhere", "in.city"]
    rest = await users.list(Page(limit=10, by="login").after(first[-1].login, first[-1].id))
    assert [user.login for user in rest] == ["in.hamlet", "in.other", "in.own"]
    there = await users.list(only=UserFilter(within=frozenset({own})))
    assert [user.login for user in there] == ["in.own", "in.hamlet"]
    await users.change(ROOT, SHELL, made["in.own"].id, None, UserChange(disabled=True))
    assert [user.login for user in await users.list(only=UserFilter(disabled=True))] == ["in.own"]
    assert len(await users.list(only=UserFilter(disabled=False))) == 4
    assert await users.list(only=UserFilter(within=frozenset({NOWHERE}))) == []
    assert await users.paths(made["in.hamlet"]) == [frozenset({hamlet, own, city})]


async def test_a_failed_change_leaves_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    user = await house.user("lan", Grant(Role.OFFICER))

    async def fails(*_given: object, **_more: object) -> None:
        raise RuntimeError("ended in the middle")

    signed = await house.sign_in("lan")
    with monkeypatch.context() as patch:
        patch.setattr("loa.broadcast.people.users.journal.record", fails)
        with pytest.raises(RuntimeError):
            await house.people.users.change(ROOT, SHELL, user.id, None, UserChange(disabled=True))
    assert replace(await house.people.users.get(user.id), signed_in_ms=None) == replace(user, signed_in_ms=None)
    assert await house.people.sessions.check(signed.secret, NOW_MS) is not None


async def test_when_all_may_have_been_read_nothing_of_it_opens_anything(house: House, admin: Principal) -> None:
    await house.user("lan", Grant(Role.OFFICER))
    signed = await house.sign_in("lan")
    assert admin.user_id is not None
    code = house.apps[admin.user_id].at(NOW_MS // 1000 + 60)
    assert await shut_everybody_out(house.db, SHELL) == 2
    assert await house.people.sessions.check(signed.secret, NOW_MS) is None
    for login in ("lan", "admin"):
        with pytest.raises(SignInRefused) as refused:
            await house.sign_in(login, code=code, now_ms=NOW_MS + 60_000, device=signed.device)
        assert refused.value.slug == "wrong"
    assert await house.people.own.recovery_codes(admin.user_id) == 0
    assert house.apps[admin.user_id].secret not in await everything(house)
    _, one_time = await house.people.users.reset_password(ROOT, SHELL, admin.user_id)
    assert (await house.sign_in("admin", one_time, now_ms=NOW_MS + 60_001)).user.must_change_password
