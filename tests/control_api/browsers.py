"""A browser at a core's door: it keeps cookies, sends what pages of ours send, and tells what was answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import aiohttp
import pyotp
from yarl import URL

from loa.app.api_client import ApiClient, Json

PASSWORD = "con mèo trèo cây cau"


@dataclass
class Answer:
    """What came back."""

    status: int
    body: Json
    headers: Any
    cookies: Any

    @property
    def slug(self) -> str:
        return str(self.body.get("type", "")).rpartition(":")[2]


@dataclass
class Browser:
    """`async with Browser(url) as browser:`."""

    url: str
    csrf: str = ""

    async def __aenter__(self) -> Self:
        self.http = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.http.close()

    async def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None, /, **headers: str) -> Answer:
        """One request of a page of ours; `headers`, with _ for -, are sent too, or instead."""
        sent = {"X-CSRF-Token": self.csrf, "Sec-Fetch-Site": "same-origin", "Origin": self.url}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.http.request(
            method, self.url + path, json=body, headers={name: value for name, value in sent.items() if value}
        ) as answer:
            said = await answer.json(content_type=None) if answer.status not in (204, 304) else {}
            if "csrf_token" in said:
                self.csrf = said["csrf_token"] or ""
            return Answer(answer.status, said, answer.headers, answer.cookies)

    async def good(self, method: str, path: str, body: Mapping[str, Any] | None = None, /, **headers: str) -> Json:
        """One request that is done."""
        answer = await self.ask(method, path, body, **headers)
        assert answer.status < 300, answer.body
        return answer.body

    async def sign_in(
        self, login: str, password: str = PASSWORD, /, code: str | None = None, **headers: str
    ) -> Answer:
        """Sign in."""
        body = {"login": login, "password": password} | ({} if code is None else {"code": code})
        return await self.ask("POST", "/api/v1/sessions", body, **headers)

    @property
    def secret(self) -> str:
        """The session's cookie."""
        return self.http.cookie_jar.filter_cookies(URL(self.url))["loa_session"].value

    def plant(self, secret: str) -> None:
        """Have it carry another session."""
        self.http.cookie_jar.update_cookies({"loa_session": secret}, URL(self.url))


async def new_user(api: ApiClient, login: str, *grants: Json) -> Json:
    """A user who has chosen PASSWORD."""
    made = await api.call(
        "POST", "/api/v1/users", {"login": login, "name": f"Bà {login.title()}", "grants": list(grants)}
    )
    async with Browser(api.url) as browser:
        assert (await browser.sign_in(login, made["password"])).status == 200
        await browser.good("POST", "/api/v1/me/password", {"current": made["password"], "new": PASSWORD})
    return made


async def enrol_app(browser: Browser, now_s: float) -> pyotp.TOTP:
    """Enrol an authenticator app for who is signed in."""
    begun = await browser.good("POST", "/api/v1/me/totp", {"password": PASSWORD})
    app = pyotp.TOTP(begun["secret"])
    await browser.good("POST", "/api/v1/me/totp/confirm", {"code": app.at(int(now_s))})
    return app
