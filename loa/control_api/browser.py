"""What browsers carry by themselves: the cookies of a session and of the browser, and the proof that a page of ours
means a request and not another site's.

Cookies are HttpOnly and SameSite=Strict, and Secure unless the core is asked by its loopback name without TLS. A
change by cookie needs the session's second secret in X-CSRF-Token, and must not say that it comes from elsewhere.
"""

from __future__ import annotations

import hmac
from urllib.parse import SplitResult, urlsplit

from aiohttp import web

from loa.broadcast.people.sessions import csrf_token
from loa.broadcast.people.sign_in import DEVICE_KNOWN_MS
from loa.control_api.problems import Problem

CSRF_HEADER = "X-CSRF-Token"
_SESSION, _DEVICE = "loa_session", "loa_device"
_HOST_ONLY = "__Host-"
"""Browsers take a cookie of such a name only over TLS, for this host and all of its paths: none plants one."""
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_MOST = 128


def session_secret(request: web.Request) -> str | None:
    """The secret of the browser's session."""
    return _read(request, _SESSION)


def device_secret(request: web.Request) -> str | None:
    """The secret of the browser."""
    return _read(request, _DEVICE)


def set_session(request: web.Request, answer: web.Response, secret: str) -> None:
    """The browser carries this session from now on, until it is closed."""
    _set(request, answer, _SESSION, secret)


def set_device(request: web.Request, answer: web.Response, secret: str) -> None:
    """The browser is known by this secret from now on."""
    _set(request, answer, _DEVICE, secret, max_age=DEVICE_KNOWN_MS // 1000)


def forget_session(request: web.Request, answer: web.Response) -> None:
    """The browser carries no session any more; it is still known."""
    secure = _secure(request)
    answer.del_cookie(_name(_SESSION, secure), path="/", secure=secure, httponly=True, samesite="Strict")


def require_from_here(request: web.Request) -> None:
    """Problem 403 `csrf` when the browser says that another site has sent it."""
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    origin = request.headers.get("Origin")
    if site != "same-origin" or (origin is not None and _split(origin).netloc != request.host):
        raise Problem(403, "csrf", "this request comes from another site")


def require_meant(request: web.Request, secret: str) -> None:
    """Problem 403 `csrf` unless a page of ours has sent it, in the session of this secret."""
    require_from_here(request)
    given = request.headers.get(CSRF_HEADER, "")
    if not hmac.compare_digest(given.encode("utf-8", "surrogateescape"), csrf_token(secret).encode()):
        raise Problem(403, "csrf", f"send the session's csrf_token, which GET /api/v1/me tells, in {CSRF_HEADER}")


def _read(request: web.Request, name: str) -> str | None:
    found = request.cookies.get(_name(name, _secure(request)))
    return found if found and len(found) <= _MOST else None


def _set(request: web.Request, answer: web.Response, name: str, secret: str, max_age: int | None = None) -> None:
    secure = _secure(request)
    answer.set_cookie(
        _name(name, secure), secret, max_age=max_age, path="/", secure=secure, httponly=True, samesite="Strict"
    )


def _name(name: str, secure: bool) -> str:
    return _HOST_ONLY + name if secure else name


def _secure(request: web.Request) -> bool:
    # Behind a proxy that ends TLS the core sees plain HTTP, but the name that the browser asked for.
    return request.scheme == "https" or _split(f"//{request.host}").hostname not in _LOOPBACK


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")
