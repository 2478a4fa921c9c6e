"""Browser sessions at the core's door: how they begin, what they need, and what ends them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from http.cookies import SimpleCookie

import aiohttp
import pytest
import pytest_asyncio

from loa.app.api_client import ApiClient
from loa.app.core import Core
from loa.broadcast.people.lockout import RULES, Lane
from loa.control_api.table import OPERATIONS
from tests.control_api.browsers import PASSWORD, Browser, enrol_app, new_user
from tests.control_api.conftest import MovableClock

pytestmark = pytest.mark.asyncio(loop_scope="module")

WRONG = "con mèo trèo cây dừa"
IDLE_S, ABSOLUTE_S = 1_800, 43_200


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lan(api: ApiClient) -> str:
    """The login name of an officer."""
    await new_user(api, "lan", {"role": "officer"})
    return "lan"


@pytest_asyncio.fixture(loop_scope="module")
async def browser(api: ApiClient, lan: str) -> AsyncIterator[Browser]:
    """A browser in which the officer is signed in."""
    async with Browser(api.url) as opened:
        assert (await opened.sign_in(lan)).status == 200
        yield opened


async def test_who_signs_in_is_told_who_they_are(api: ApiClient, lan: str) -> None:
    async with Browser(api.url) as browser:
        said = await browser.sign_in("LAN")
        assert said.status == 200
        assert said.body["account"]["login"] == lan
        assert said.body["grants"] == [{"role": "officer", "area_id": None}]
        assert {"right": "broadcasts.routine", "areas": None} in said.body["rights"]
        me = await browser.good("GET", "/api/v1/me")
        assert me == said.body
        await browser.good("GET", "/api/v1/areas")
        await browser.good("POST", "/api/v1/me/proof", {"password": PASSWORD})
        assert PASSWORD not in str(me)


async def test_cookies_are_for_the_core_alone(api: ApiClient, lan: str) -> None:
    async with Browser(api.url) as browser:
        cookies: SimpleCookie = (await browser.sign_in(lan)).cookies
        assert set(cookies) == {"loa_session", "loa_device"}
        for cookie in cookies.values():
            assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Strict", "/")
            assert not cookie["secure"]
        cookies = (await browser.sign_in(lan, Host="loa.haiphong.gov.vn", Origin="")).cookies
        assert set(cookies) == {"__Host-loa_session", "__Host-loa_device"}
        assert all(cookie["secure"] and not cookie["domain"] for cookie in cookies.values())


async def test_a_change_needs_a_sign_that_a_page_of_ours_means_it(api: ApiClient, browser: Browser) -> None:
    change = ("PATCH", "/api/v1/me", {"language": "en"})
    async with Browser(api.url) as other:
        await other.sign_in("lan")
        theirs = other.csrf
    attempts: list[dict[str, str]] = [
        {"X_CSRF_Token": ""},
        {"X_CSRF_Token": "0" * 64},
        {"X_CSRF_Token": theirs},
        {"X_CSRF_Token": browser.csrf[:-1]},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "none"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://[evil"},
        {"Origin": browser.url + ".evil.example"},
    ]
    for headers in attempts:
        refused = await browser.ask(*change, **headers)
        assert (refused.status, refused.slug) == (403, "csrf"), headers
    assert (await browser.good("GET", "/api/v1/me", X_CSRF_Token=""))["account"]["language"] == "vi"
    # Programs that are no browsers say neither.
    await browser.good(*change, Sec_Fetch_Site="", Origin="")
    await browser.good("PATCH", "/api/v1/me", {"language": "vi"})


async def test_every_change_by_cookie_asks_for_that_sign(browser: Browser) -> None:
    for operation in OPERATIONS:
        if not operation.changes or operation.open:
            continue
        path = operation.path.replace("{id}", "00000000-0000-7000-8000-000000000000")
        refused = await browser.ask(operation.method, path, {}, X_CSRF_Token="")
        assert (refused.status, refused.slug) == (403, "csrf"), operation.route


async def test_another_site_signs_nobody_in(api: ApiClient, lan: str) -> None:
    async with Browser(api.url) as browser:
        for headers in ({"Sec_Fetch_Site": "cross-site"}, {"Origin": "https://evil.example"}):
            refused = await browser.sign_in(lan, **headers)
            assert (refused.status, refused.slug) == (403, "csrf")
            assert not refused.cookies
        form = aiohttp.FormData({"login": lan, "password": PASSWORD})
        async with browser.http.post(f"{api.url}/api/v1/sessions", data=form) as answer:
            assert answer.status == 415


async def test_a_session_that_was_planted_is_not_the_one_that_opens(api: ApiClient, lan: str) -> None:
    async with Browser(api.url) as attacker, Browser(api.url) as victim:
        await new_user(api, "ke.gian", {"role": "viewer"})
        await attacker.sign_in("ke.gian")
        planted = attacker.secret
        for secret in (planted, "x" * 43):
            victim.plant(secret)
            await victim.sign_in(lan)
            assert victim.secret not in (planted, secret)
        assert (await attacker.ask("GET", "/api/v1/me")).status == 401


async def test_a_token_in_a_header_speaks_and_a_cookie_beside_it_does_not(api: ApiClient, browser: Browser) -> None:
    made = await api.call("POST", "/api/v1/tokens", {"name": "Máy", "role": "viewer"})
    header = {"Authorization": f"Bearer {made['token']}"}
    me = await browser.good("GET", "/api/v1/me", **header)
    assert (me["name"], me["account"], me["csrf_token"]) == ("Máy", None, None)
    assert (await browser.ask("GET", "/api/v1/me", Authorization="Bearer loa_nonsense")).status == 401
    assert (await browser.ask("GET", "/api/v1/me", Authorization="Basic bGFuOg==")).status == 401
    # A token needs no sign that it is meant: no browser sends it by itself.
    refused = await browser.ask("PATCH", "/api/v1/me", {"language": "en"}, X_CSRF_Token="", **header)
    assert (refused.status, refused.slug) == (403, "own-account")


async def test_a_session_ends_when_nobody_uses_it_and_after_its_longest_time(
    api: ApiClient, lan: str, clock: MovableClock
) -> None:
    async with Browser(api.url) as browser:
        await browser.sign_in(lan)
        with clock.later(IDLE_S - 60):
            await browser.good("GET", "/api/v1/me")
        with clock.later(IDLE_S + 60):
            await browser.good("GET", "/api/v1/me")
        with clock.later(3 * IDLE_S):
            assert (await browser.ask("GET", "/api/v1/me")).status == 401
    async with Browser(api.url) as browser:
        await browser.sign_in(lan)
        for later_s in range(0, ABSOLUTE_S, IDLE_S - 60):
            with clock.later(later_s):
                await browser.good("GET", "/api/v1/me")
        with clock.later(ABSOLUTE_S + 1):
            assert (await browser.ask("GET", "/api/v1/me")).status == 401


async def test_watching_alone_does_not_keep_a_session(
    api: ApiClient, lan: str, clock: MovableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loa.control_api.routes.events.HEARTBEAT_S", 0.02)
    async with Browser(api.url) as browser:
        await browser.sign_in(lan)
        async with browser.http.get(f"{api.url}/api/v1/events") as stream, asyncio.timeout(20):
            assert stream.status == 200
            await stream.content.readuntil(b"heartbeat")
            with clock.later(IDLE_S + 1):
                await stream.content.read()  # to its end


async def test_sessions_are_shown_and_ended_one_by_one(api: ApiClient, lan: str) -> None:
    await new_user(api, "minh", {"role": "viewer"})
    async with Browser(api.url) as here, Browser(api.url) as there, Browser(api.url) as stranger:
        await here.sign_in("minh", User_Agent="Firefox ở nhà")
        await there.sign_in("minh")
        await stranger.sign_in(lan)
        listed = (await here.good("GET", "/api/v1/sessions"))["items"]
        mine = [each for each in listed if each["current"]]
        assert [each["agent"] for each in mine] == ["Firefox ở nhà"]
        assert mine[0]["address"] == "127.0.0.1"
        assert here.secret not in str(listed)
        other = next(e["id"] for e in (await there.good("GET", "/api/v1/sessions"))["items"] if e["current"])
        refused = await stranger.ask("DELETE", f"/api/v1/sessions/{other}")
        assert (refused.status, refused.slug) == (404, "not-found")
        await here.good("DELETE", f"/api/v1/sessions/{other}")
        assert (await there.ask("GET", "/api/v1/me")).status == 401
        out = await here.ask("DELETE", "/api/v1/sessions/current")
        assert out.status == 204
        assert out.cookies["loa_session"]["max-age"] == "0"
        assert (await here.ask("GET", "/api/v1/me")).status == 401


async def test_all_of_ones_sessions_end_at_once(api: ApiClient) -> None:
    await new_user(api, "hoa", {"role": "viewer"})
    async with Browser(api.url) as here, Browser(api.url) as there:
        await here.sign_in("hoa")
        await there.sign_in("hoa")
        await here.good("DELETE", "/api/v1/sessions")
        for each in (here, there):
            assert (await each.ask("GET", "/api/v1/me")).status == 401


async def test_guessing_is_slowed_and_told_when_to_come_back(api: ApiClient) -> None:
    await new_user(api, "bi.doan", {"role": "viewer"})
    async with Browser(api.url) as owner, Browser(api.url) as guesser:
        await owner.sign_in("bi.doan")
        answers = [await guesser.sign_in("bi.doan", WRONG) for _ in range(RULES[Lane.PLACE].free + 3)]
        assert [a.status for a in answers].count(403) == RULES[Lane.PLACE].free
        assert {a.slug for a in answers if a.status == 403} == {"proof-wrong"}
        assert (answers[-1].status, answers[-1].slug) == (429, "proof-locked")
        assert int(answers[-1].headers["Retry-After"]) >= 1
        assert (await guesser.sign_in("bi.doan")).status == 429
        # The owner's browser is known, and has a lane of its own.
        assert (await owner.sign_in("bi.doan")).status == 200


async def test_a_spray_from_one_address_stops(api: ApiClient, clock: MovableClock) -> None:
    async with Browser(api.url) as browser:
        with clock.later(2 * 86_400):
            statuses = [(await browser.sign_in(f"ai.do.{n}", WRONG)).status for n in range(40)]
    assert statuses.count(403) <= RULES[Lane.ADDRESS].free + 1
    assert statuses[-1] == 429


async def test_who_has_an_app_signs_in_with_its_code_and_with_each_once(
    api: ApiClient, clock: MovableClock
) -> None:
    await new_user(api, "truc", {"role": "emergency"})
    async with Browser(api.url) as browser:
        me = (await browser.sign_in("truc")).body
        assert (me["grants"], me["withheld"]) == ([{"role": "viewer", "area_id": None}], "second-factor")
        refused = await browser.ask("POST", "/api/v1/broadcasts", {})
        assert (refused.status, refused.slug) == (403, "second-factor")
        app = await enrol_app(browser, time.time())
        assert (await browser.good("GET", "/api/v1/me"))["grants"] == [{"role": "emergency", "area_id": None}]
    async with Browser(api.url) as browser:
        with clock.later(90):
            code = app.at(int(time.time()) + 90)
            needed = await browser.sign_in("truc")
            assert (needed.status, needed.slug) == (403, "proof-second-factor")
            assert (await browser.sign_in("truc", code="000000")).slug == "proof-code"
            assert (await browser.sign_in("truc", code=code)).status == 200
            again = await browser.sign_in("truc", code=code)
            assert (again.status, again.slug) == (403, "proof-code")
            refused = await browser.ask("POST", "/api/v1/me/totp/disable", {"password": PASSWORD, "code": code})
            assert (refused.status, refused.slug) == (403, "proof-code")


async def test_a_one_time_password_is_changed_first(api: ApiClient) -> None:
    made = await api.call(
        "POST", "/api/v1/users", {"login": "moi", "name": "Người mới", "grants": [{"role": "viewer"}]}
    )
    async with Browser(api.url) as browser:
        me = (await browser.sign_in("moi", made["password"])).body
        assert (me["rights"], me["withheld"]) == ([], "password-change")
        refused = await browser.ask("GET", "/api/v1/areas")
        assert (refused.status, refused.slug) == (403, "password-change")
        before = browser.secret
        body = {"current": made["password"], "new": "matkhau123456"}
        weak = await browser.ask("POST", "/api/v1/me/password", body)
        assert (weak.status, weak.slug) == (422, "password-unsuitable")
        wrong = await browser.ask("POST", "/api/v1/me/password", {"current": WRONG, "new": PASSWORD})
        assert (wrong.status, wrong.slug) == (403, "proof-wrong")
        await browser.good("POST", "/api/v1/me/password", {**body, "new": PASSWORD})
        assert browser.secret != before
        await browser.good("GET", "/api/v1/areas")
        browser.plant(before)
        assert (await browser.ask("GET", "/api/v1/me")).status == 401


async def test_every_answer_tells_browsers_to_run_and_to_frame_nothing(api: ApiClient, browser: Browser) -> None:
    paths = ["/healthz", "/api/v1/me", "/api/v1/areas", "/nowhere", "/api/v1/openapi.json", "/api/v1/docs"]
    for path in paths:
        async with browser.http.get(api.url + path) as answer:
            policy = answer.headers["Content-Security-Policy"]
            assert policy.startswith("default-src 'none'"), path
            assert "frame-ancestors 'none'" in policy, path
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Referrer-Policy"] == "no-referrer"
            private = path in ("/api/v1/me", "/api/v1/areas", "/nowhere")
            assert (answer.headers.get("Cache-Control") == "no-store") == private, path
    async with browser.http.get(f"{api.url}/api/v1/events") as stream:
        assert stream.headers["X-Content-Type-Options"] == "nosniff"
        assert stream.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("secret", ["", "x", "a" * 10_000, "loa_session", "%00"])
async def test_a_cookie_that_is_none_opens_nothing(api: ApiClient, secret: str) -> None:
    async with (
        aiohttp.ClientSession() as http,
        http.get(
            f"{api.url}/api/v1/me", headers={"Cookie": f"loa_session={secret}; __Host-loa_session={secret}"}
        ) as answer,
    ):
        assert answer.status in (400, 401)


async def test_a_plain_cookie_is_not_taken_for_one_that_only_tls_can_set(api: ApiClient, browser: Browser) -> None:
    headers = {"Host": "loa.haiphong.gov.vn", "Cookie": f"loa_session={browser.secret}"}
    async with aiohttp.ClientSession() as http, http.get(f"{api.url}/api/v1/me", headers=headers) as answer:
        assert answer.status == 401


async def test_secrets_are_not_in_what_the_core_keeps(core: Core, browser: Browser) -> None:
    for path in core.config.data_dir.glob("loa.sqlite*"):
        data = path.read_bytes()
        for secret in (browser.secret, PASSWORD, browser.csrf):
            assert secret.encode() not in data
