"""Users at the core's door, as administrators keep them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio

from loa.app.api_client import ApiClient, ApiError, Json
from loa.app.core import Core
from tests.control_api.browsers import PASSWORD, Browser, enrol_app, new_user
from tests.control_api.conftest import MovableClock
from tests.control_api.test_api import problem

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def areas(api: ApiClient) -> dict[str, str]:
    """Two communes of one city."""
    city = await api.create_area("Hải Phòng", "city")
    return {name: await api.create_area(f"Xã {name}", "commune", city) for name in ("own", "other")}


@asynccontextmanager
async def administrator(api: ApiClient, login: str, area_id: str | None) -> AsyncIterator[Browser]:
    """A browser in which a new administrator of the area is signed in, with both factors."""
    await new_user(api, login, {"role": "admin", "area_id": area_id})
    async with Browser(api.url) as browser:
        assert (await browser.sign_in(login)).status == 200
        await enrol_app(browser, time.time())
        yield browser


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def commune(api: ApiClient, areas: dict[str, str]) -> AsyncIterator[Browser]:
    """A browser of the commune's administrator."""
    async with administrator(api, "xa.own", areas["own"]) as browser:
        yield browser


async def test_the_first_administrator_is_made_once_and_shown_once(core: Core, api: ApiClient) -> None:
    shown: list[tuple[str, str]] = []
    await core.welcome(lambda login, password: shown.append((login, password)))
    await core.welcome(lambda login, password: shown.append((login, password)))
    ((login, password),) = shown
    async with Browser(api.url) as browser:
        assert (await browser.sign_in(login, password)).body["withheld"] == "password-change"
        await browser.good("POST", "/api/v1/me/password", {"current": password, "new": PASSWORD})
        assert (await browser.good("GET", "/api/v1/me"))["withheld"] == "second-factor"
        await enrol_app(browser, time.time())
        me = await browser.good("GET", "/api/v1/me")
        assert (me["withheld"], me["grants"]) == (None, [{"role": "admin", "area_id": None}])
        assert me["account"]["recovery_codes"] == 10
        made = await browser.ask("POST", "/api/v1/users", {"login": "u1", "name": "Một"}, Idempotency_Key="k1")
        assert made.status == 201
        again = await browser.ask("POST", "/api/v1/users", {"login": "u1", "name": "Một"}, Idempotency_Key="k1")
        assert again.headers["Idempotency-Replayed"] == "true"
        assert again.body == {**made.body, "password": None}


async def test_users_are_found_in_parts_and_by_area(
    api: ApiClient, areas: dict[str, str], commune: Browser
) -> None:
    there = await api.call(
        "POST",
        "/api/v1/users",
        {"login": "a.own", "name": "A", "grants": [{"role": "officer", "area_id": areas["own"]}]},
    )
    elsewhere = await api.call(
        "POST",
        "/api/v1/users",
        {"login": "a.other", "name": "B", "grants": [{"role": "officer", "area_id": areas["other"]}]},
    )
    everybody = [user["login"] for user in (await api.call("GET", "/api/v1/users?sort=login"))["items"]]
    assert everybody == sorted(everybody)
    assert {"a.own", "a.other", "xa.own"} <= set(everybody)
    mine = [user["login"] for user in (await commune.good("GET", "/api/v1/users"))["items"]]
    assert sorted(mine) == ["a.own", "xa.own"]
    asked = await commune.good("GET", f"/api/v1/users?area_id={areas['other']}")
    assert asked["items"] == []
    assert (await commune.ask("GET", f"/api/v1/users/{elsewhere['id']}")).status == 404
    assert (await commune.ask("GET", f"/api/v1/users/{there['id']}")).status == 200
    disabled = [u["login"] for u in (await api.call("GET", "/api/v1/users?disabled=true"))["items"]]
    assert "a.own" not in disabled


async def test_nobody_gives_themselves_or_others_more_than_they_have(
    api: ApiClient, areas: dict[str, str], commune: Browser
) -> None:
    for number, grant in enumerate(
        [{"role": "admin"}, {"role": "viewer"}, {"role": "viewer", "area_id": areas["other"]}]
    ):
        refused = await commune.ask(
            "POST", "/api/v1/users", {"login": f"leo{number}", "name": "Leo thang", "grants": [grant]}
        )
        assert (refused.status, refused.slug) == (403, "forbidden"), grant
    refused = await commune.ask("POST", "/api/v1/users", {"login": "leo9", "name": "Không vai"})
    assert refused.status == 403
    me = (await commune.good("GET", "/api/v1/me"))["account"]["id"]
    changes: list[dict[str, Any]] = [{"grants": [{"role": "admin"}]}, {"grants": []}, {"disabled": True}]
    for change in changes:
        refused = await commune.ask("PATCH", f"/api/v1/users/{me}", change, If_Match="*")
        assert (refused.status, refused.slug) == (403, "own-account"), change
    boss = (await api.call("POST", "/api/v1/users", {"login": "sep", "name": "S", "grants": [{"role": "admin"}]}))[
        "id"
    ]
    both = await api.call(
        "POST",
        "/api/v1/users",
        {
            "login": "hai.noi",
            "name": "H",
            "grants": [{"role": "ops"}, {"role": "viewer", "area_id": areas["own"]}],
        },
    )
    for user, status in ((boss, 404), (both["id"], 403)):
        for method, tail, body in (
            ("PATCH", "", {"disabled": True}),
            ("POST", "/reset-password", None),
            ("POST", "/reset-second-factor", None),
            ("POST", "/unlock", None),
            ("DELETE", "", None),
            ("DELETE", "/sessions", None),
        ):
            refused = await commune.ask(method, f"/api/v1/users/{user}{tail}", body, If_Match="*")
            assert refused.status == status, (method, tail, refused.body)


async def test_two_administrators_who_change_one_user_at_once(api: ApiClient) -> None:
    user = await api.call("POST", "/api/v1/users", {"login": "chung", "name": "Chung"})
    path = f"/api/v1/users/{user['id']}"
    async with administrator(api, "qt.mot", None) as one, administrator(api, "qt.hai", None) as two:
        seen = [(await each.ask("GET", path)).headers["ETag"] for each in (one, two)]
        assert seen[0] == seen[1]
        done = await asyncio.gather(
            *(
                each.ask("PATCH", path, {"name": f"Tên của {number}"}, If_Match=seen[0])
                for number, each in enumerate((one, two))
            )
        )
        assert sorted(answer.status for answer in done) == [200, 412]
        assert {answer.slug for answer in done if answer.status == 412} == {"changed"}
        won = next(answer for answer in done if answer.status == 200)
        now = await one.ask("GET", path)
        assert (now.body["name"], now.headers["ETag"]) == (won.body["name"], won.headers["ETag"])
        assert (await one.ask("PATCH", path, {"name": "X"})).status == 428
        unchanged = await one.ask("GET", path, If_None_Match=now.headers["ETag"])
        assert unchanged.status == 304
        # And neither of them shuts both out.
        ids = [(await each.good("GET", "/api/v1/me"))["account"]["id"] for each in (one, two)]
        both = await asyncio.gather(
            one.ask("PATCH", f"/api/v1/users/{ids[1]}", {"disabled": True}, If_Match="*"),
            two.ask("PATCH", f"/api/v1/users/{ids[0]}", {"disabled": True}, If_Match="*"),
        )
        assert sum(answer.status == 200 for answer in both) == 1


async def test_who_is_disabled_is_out_in_the_next_request(api: ApiClient) -> None:
    user = await new_user(api, "nghi.viec", {"role": "officer"})
    async with Browser(api.url) as browser:
        await browser.sign_in("nghi.viec")
        made = await browser.good("POST", "/api/v1/me/tokens", {"name": "Máy của tôi", "role": "officer"})
        async with ApiClient(api.url, made["token"]) as mine:
            await mine.call("GET", "/api/v1/areas")
            async with api._session.patch(
                f"{api.url}/api/v1/users/{user['id']}", json={"disabled": True}, headers={"If-Match": "*"}
            ) as answer:
                assert answer.status == 200
            assert (await browser.ask("GET", "/api/v1/me")).status == 401
            assert (await problem(mine, "GET", "/api/v1/areas")).status == 401
            assert (await browser.sign_in("nghi.viec")).slug == "proof-wrong"
        await api.call("POST", f"/api/v1/users/{user['id']}/unlock")
        assert (await browser.sign_in("nghi.viec")).status == 200
        async with ApiClient(api.url, made["token"]) as mine:
            assert (await problem(mine, "GET", "/api/v1/areas")).status == 401


async def test_own_tokens_give_at_most_ones_own_rights(api: ApiClient, areas: dict[str, str]) -> None:
    await new_user(api, "thu.ky", {"role": "officer", "area_id": areas["own"]})
    async with Browser(api.url) as browser:
        await browser.sign_in("thu.ky")
        for role, area_id in (("officer", None), ("studio", areas["own"]), ("viewer", areas["other"])):
            refused = await browser.ask(
                "POST", "/api/v1/me/tokens", {"name": "x", "role": role, "area_id": area_id}
            )
            assert (refused.status, refused.slug) == (403, "escalation"), (role, area_id)
        body: Json = {"name": "Lịch tự động", "role": "officer", "area_id": areas["own"]}
        made = await browser.good("POST", "/api/v1/me/tokens", body)
        assert made["user_id"] == (await browser.good("GET", "/api/v1/me"))["account"]["id"]
        listed = (await browser.good("GET", "/api/v1/me/tokens"))["items"]
        assert [token["id"] for token in listed] == [made["id"]]
        assert (await browser.ask("GET", "/api/v1/tokens")).status == 403
        async with ApiClient(api.url, made["token"]) as mine, Browser(api.url) as other:
            me = await mine.call("GET", "/api/v1/me")
            assert (me["account"]["login"], me["csrf_token"]) == ("thu.ky", None)
            refused_more = await problem(mine, "POST", "/api/v1/me/tokens", body)
            assert (refused_more.status, refused_more.slug) == (403, "own-account")
            for path in ("/api/v1/me/password", "/api/v1/me/totp/confirm"):
                given = {"current": PASSWORD, "new": PASSWORD} if path.endswith("password") else {"code": "1"}
                assert (await problem(mine, "POST", path, given)).slug == "own-account"
            await new_user(api, "nguoi.khac", {"role": "viewer"})
            await other.sign_in("nguoi.khac")
            assert (await other.ask("POST", f"/api/v1/me/tokens/{made['id']}/revoke")).status == 404
            await browser.good("POST", f"/api/v1/me/tokens/{made['id']}/revoke")
            assert (await problem(mine, "GET", "/api/v1/me")).status == 401


async def test_a_token_that_an_administrator_makes_ends_with_them(api: ApiClient) -> None:
    async with administrator(api, "qt.ba", None) as browser:
        made = await browser.good("POST", "/api/v1/tokens", {"name": "Grafana", "role": "ops"})
        user_id = (await browser.good("GET", "/api/v1/me"))["account"]["id"]
        assert made["user_id"] == user_id
    async with api._session.delete(f"{api.url}/api/v1/users/{user_id}", headers={"If-Match": "*"}) as answer:
        assert answer.status == 204
    async with ApiClient(api.url, made["token"]) as client:
        assert (await problem(client, "GET", "/metrics")).status == 401
    assert (await problem(api, "GET", f"/api/v1/users/{user_id}")).status == 404
    made = await api.call("POST", "/api/v1/tokens", {"name": "Của máy", "role": "ops"})
    assert made["user_id"] is None


async def test_a_forgotten_password_and_a_lost_telephone(api: ApiClient, clock: MovableClock) -> None:
    user = await new_user(api, "quen.het", {"role": "emergency"})
    async with Browser(api.url) as browser:
        await browser.sign_in("quen.het")
        await enrol_app(browser, time.time())
        sessions = (await api.call("GET", f"/api/v1/users/{user['id']}/sessions"))["items"]
        assert len(sessions) == 1
        reset = await api.call("POST", f"/api/v1/users/{user['id']}/reset-password")
        assert reset["must_change_password"]
        shown = await api.call("POST", f"/api/v1/users/{user['id']}/reset-second-factor")
        assert not shown["second_factor"]
        assert (await browser.ask("GET", "/api/v1/me")).status == 401
        with clock.later(8 * 86_400):
            assert (await browser.sign_in("quen.het", reset["password"])).slug == "proof-expired"
        assert (await browser.sign_in("quen.het", reset["password"])).body["withheld"] == "password-change"
        assert await api.call("DELETE", f"/api/v1/users/{user['id']}/sessions") == {}
        assert (await browser.ask("GET", "/api/v1/me")).status == 401


@pytest.mark.parametrize(
    "body",
    [
        {"login": "x", "name": "Ngắn"},
        {"login": "có dấu", "name": "X"},
        {"login": "ok", "name": ""},
        {"login": "ok", "name": "X", "language": "fr"},
        {"login": "ok", "name": "X", "grants": [{"role": "king"}]},
        {"login": "ok", "name": "X", "grants": [{"role": "viewer"}] * 33},
        {"login": "ok", "name": "X", "password": "con mèo trèo cây cau"},
        {"login": "ok"},
    ],
)
async def test_what_is_no_user_is_not_made(api: ApiClient, body: Json) -> None:
    with pytest.raises(ApiError) as refused:
        await api.call("POST", "/api/v1/users", body)
    assert refused.value.status == 422


async def test_a_login_name_is_not_given_twice(api: ApiClient) -> None:
    await api.call("POST", "/api/v1/users", {"login": "trung", "name": "X"})
    error = await problem(api, "POST", "/api/v1/users", {"login": "Trung", "name": "Y"})
    assert (error.status, error.slug) == (409, "conflict")


async def test_what_was_done_to_users_is_told_to_who_may_see_them(api: ApiClient) -> None:
    user = await api.call("POST", "/api/v1/users", {"login": "duoc.ghi", "name": "Tên riêng"})
    items = (await api.call("GET", f"/api/v1/audit?subject=user:{user['id']}"))["items"]
    assert [item["action"] for item in items] == ["user.create"]
    assert "Tên riêng" not in str(items)
    assert user["password"] not in str(items)
