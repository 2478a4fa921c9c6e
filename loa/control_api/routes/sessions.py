"""Signing in and out over HTTP, and one's own browser sessions."""

from __future__ import annotations

from aiohttp import web

from loa.broadcast.people.sessions import principal
from loa.broadcast.people.sign_in import Asked
from loa.control_api import browser
from loa.control_api.answers import answer, done
from loa.control_api.auth import PRINCIPAL, act_of
from loa.control_api.models.sessions import SessionOut, SessionsOut, SignInIn
from loa.control_api.requests import body, path_id, services
from loa.control_api.routes.me import account_of, shown, user_id
from loa.errors import Forbidden, NotFound
from loa.model import id_text


async def sign_in(request: web.Request) -> web.Response:
    """Sign in: a browser session, in a cookie. What the browser had before ends.

    Too many failures make one wait (429), each address and account by itself: nobody locks another out from
    elsewhere.
    """
    browser.require_from_here(request)
    given = await body(request, SignInIn)
    asked = Asked(
        login=given.login,
        password=given.password,
        code=given.code,
        device=browser.device_secret(request),
        replaces=browser.session_secret(request),
        agent=request.headers.get("User-Agent", ""),
    )
    signed = await services(request).people.sign_in.sign_in(asked, act_of(request))
    who = principal(signed.user, signed.session)
    made = answer(request, shown(who, await account_of(request, signed.user), signed.secret))
    browser.set_session(request, made, signed.secret)
    browser.set_device(request, made, signed.device)
    return made


async def list_sessions(request: web.Request) -> web.Response:
    """One's own browser sessions."""
    core, by = services(request), request[PRINCIPAL]
    rows = await core.people.sessions.of_user(user_id(by), core.now_ms)
    return answer(request, SessionsOut(items=[SessionOut.of(row, by.session_id) for row in rows]))


async def sign_out(request: web.Request) -> web.Response:
    """Sign out: this browser session ends."""
    by = request[PRINCIPAL]
    if by.session_id is None:
        raise Forbidden("own-account", "there is no browser session to end: a token is revoked")
    await services(request).people.sessions.end(by.session_id, act_of(request))
    return _signed_out(request)


async def end_session(request: web.Request) -> web.Response:
    """End one of one's own browser sessions."""
    core, by = services(request), request[PRINCIPAL]
    session = await core.people.sessions.get(path_id(request))
    if session.user_id != by.user_id:
        raise NotFound(f"no session {id_text(session.id)}")
    await core.people.sessions.end(session.id, act_of(request))
    return _signed_out(request) if session.id == by.session_id else done()


async def end_sessions(request: web.Request) -> web.Response:
    """End all of one's own browser sessions, this one too."""
    by = request[PRINCIPAL]
    await services(request).people.sessions.end_all(user_id(by), act_of(request))
    return done() if by.session_id is None else _signed_out(request)


def _signed_out(request: web.Request) -> web.Response:
    answered = done()
    browser.forget_session(request, answered)
    return answered
