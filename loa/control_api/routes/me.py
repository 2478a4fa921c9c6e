"""One's own account over HTTP: who one is and may do, password, authenticator app, tokens."""

from __future__ import annotations

from aiohttp import web

from loa.broadcast.people.own_account import Renewed
from loa.broadcast.people.person import User
from loa.broadcast.people.rights import Principal, Right
from loa.broadcast.people.sessions import csrf_token, principal
from loa.control_api import browser
from loa.control_api.answers import answer
from loa.control_api.auth import PRINCIPAL, act_of
from loa.control_api.models.base import utc
from loa.control_api.models.sessions import (
    AccountOut,
    AppBegunOut,
    AppCodeIn,
    AppEnrolledOut,
    MeChangeIn,
    MeOut,
    PasswordIn,
    ProofIn,
    RightOut,
)
from loa.control_api.models.users import GrantModel
from loa.control_api.requests import body, services
from loa.errors import Forbidden
from loa.model import id_text


async def get_me(request: web.Request) -> web.Response:
    """Who one is, and what one may do now."""
    return answer(request, await _me(request, request[PRINCIPAL]))


async def change_me(request: web.Request) -> web.Response:
    """Have the pages in another language."""
    given = await body(request, MeChangeIn)
    by = request[PRINCIPAL]
    await services(request).people.own.change_language(by, act_of(request), given.language)
    return answer(request, await _me(request, by))


async def change_password(request: web.Request) -> web.Response:
    """Choose another password. All one's sessions end; this browser goes on in a new one."""
    given = await body(request, PasswordIn)
    renewed = await services(request).people.own.change_password(
        request[PRINCIPAL], act_of(request), given.current, given.new
    )
    return await _renewed(request, renewed)


async def begin_second_factor(request: web.Request) -> web.Response:
    """Begin to enrol an authenticator app. Who has one already proves it by a code of that, or a recovery code."""
    given = await body(request, ProofIn)
    begun = await services(request).people.own.begin_second_factor(
        request[PRINCIPAL], act_of(request), given.password, given.code
    )
    return answer(request, AppBegunOut(secret=begun.secret, otpauth=begun.uri))


async def confirm_second_factor(request: web.Request) -> web.Response:
    """Enrol the app by its first code. All one's sessions end; this browser goes on in a new one."""
    given = await body(request, AppCodeIn)
    renewed, codes = await services(request).people.own.confirm_second_factor(
        request[PRINCIPAL], act_of(request), given.code
    )
    made = answer(request, AppEnrolledOut(recovery_codes=codes, csrf_token=csrf_token(renewed.secret)))
    browser.set_session(request, made, renewed.secret)
    return made


async def disable_second_factor(request: web.Request) -> web.Response:
    """Go without an authenticator app, unless one's role needs it. All one's other sessions end."""
    given = await body(request, ProofIn)
    renewed = await services(request).people.own.disable_second_factor(
        request[PRINCIPAL], act_of(request), given.password, given.code or ""
    )
    return await _renewed(request, renewed)


async def prove_again(request: web.Request) -> web.Response:
    """Prove anew who one is, for what asks for a fresh proof."""
    given = await body(request, ProofIn)
    people = services(request).people
    await people.own.prove_again(request[PRINCIPAL], act_of(request), given.password, given.code)
    secret = browser.session_secret(request) or ""
    fresh = await people.sessions.check(secret, services(request).now_ms)
    return answer(request, await _me(request, fresh or request[PRINCIPAL]))


async def _renewed(request: web.Request, renewed: Renewed) -> web.Response:
    who = principal(renewed.user, renewed.session)
    made = answer(request, shown(who, await account_of(request, renewed.user), renewed.secret))
    browser.set_session(request, made, renewed.secret)
    return made


async def _me(request: web.Request, by: Principal) -> MeOut:
    user = None if by.user_id is None else await services(request).people.users.get(by.user_id)
    account = None if user is None else await account_of(request, user)
    return shown(by, account, browser.session_secret(request) if by.session_id is not None else None)


async def account_of(request: web.Request, user: User) -> AccountOut:
    """A user's account as it is shown to them."""
    return AccountOut(
        id=id_text(user.id),
        login=user.login,
        name=user.name,
        language=user.language,
        second_factor=user.second_factor,
        must_change_password=user.must_change_password,
        recovery_codes=await services(request).people.own.recovery_codes(user.id),
    )


def shown(by: Principal, account: AccountOut | None, secret: str | None) -> MeOut:
    """A principal as they are shown to themselves; `secret`: of their browser session."""
    rights = [(right, by.roots(right)) for right in Right if by.has(right)]
    return MeOut(
        actor=by.actor,
        name=by.name,
        account=account,
        grants=[GrantModel.of(grant) for grant in by.grants],
        rights=[
            RightOut(right=right, areas=None if roots is None else [id_text(root) for root in sorted(roots)])
            for right, roots in rights
        ],
        withheld=by.withheld,
        authenticated_at=utc(by.authenticated_ms),
        csrf_token=None if secret is None else csrf_token(secret),
    )


def user_id(by: Principal) -> bytes:
    """The person behind the principal; Forbidden when there is none."""
    if by.user_id is None:
        raise Forbidden("own-account", "this token belongs to nobody: there is no account behind it")
    return by.user_id
