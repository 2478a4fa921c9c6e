"""Users over HTTP, as administrators keep them."""

from __future__ import annotations

from aiohttp import web

from loa.broadcast.journal.act import Act
from loa.broadcast.people.person import User
from loa.broadcast.people.rights import Right
from loa.broadcast.people.users import UserChange
from loa.broadcast.store.users import UserFilter
from loa.control_api.answers import answer, answer_page, done
from loa.control_api.auth import PRINCIPAL, act_of
from loa.control_api.conditions import expected_version
from loa.control_api.cursors import page_of
from loa.control_api.models.sessions import SessionOut, SessionsOut
from loa.control_api.models.users import UserChangeIn, UserIn, UserMadeOut, UserOut, UsersQuery
from loa.control_api.once import once
from loa.control_api.reach import narrowed, visible_user
from loa.control_api.requests import body, path_id, query, services

SORTS = {"created": "id", "login": "login", "name": "name"}


async def create_user(request: web.Request) -> web.Response:
    """Make a user, who gets a one-time password: it is told here and never again.

    Nobody gives a role that has a right which they do not have there.
    """
    given = await body(request, UserIn)
    users, by = services(request).people.users, request[PRINCIPAL]

    async def make(act: Act) -> tuple[User, str | None]:
        grants = [each.grant() for each in given.grants]
        return await users.create(
            by, act, login=given.login, name=given.name, language=given.language, grants=grants
        )

    async def again(user_id: bytes) -> tuple[User, str | None]:
        return await users.get(user_id), None

    user, password = await once(request, make, again)
    return answer(request, _made(user, password))


def _made(user: User, password: str | None) -> UserMadeOut:
    return UserMadeOut(**UserOut.of(user).model_dump(), password=password)


async def list_users(request: web.Request) -> web.Response:
    """The users that there are, disabled ones too."""
    given = query(request, UsersQuery)
    page = page_of(given, SORTS)
    within = await narrowed(request, Right.USERS_READ, given.area_id.bytes if given.area_id else None)
    rows = await services(request).people.users.list(page, UserFilter(within, given.disabled))
    return answer_page(request, page, rows, UserOut.of)


async def get_user(request: web.Request) -> web.Response:
    """One user."""
    user = await visible_user(request, path_id(request))
    return answer(request, UserOut.of(user), version=user.version)


async def change_user(request: web.Request) -> web.Response:
    """Change a user: name, language, roles, disabled or not."""
    given = await body(request, UserChangeIn)
    expected = expected_version(request)
    user = await visible_user(request, path_id(request))
    grants = None if given.grants is None else tuple(each.grant() for each in given.grants)
    change = UserChange(given.name, given.language, grants, given.disabled)
    changed = await services(request).people.users.change(
        request[PRINCIPAL], act_of(request), user.id, expected, change
    )
    return answer(request, UserOut.of(changed), version=changed.version)


async def delete_user(request: web.Request) -> web.Response:
    """Disable a user for good and erase what is known of them; the audit log keeps their id and login name."""
    expected = expected_version(request)
    user = await visible_user(request, path_id(request))
    await services(request).people.users.delete(request[PRINCIPAL], act_of(request), user.id, expected)
    return done()


async def reset_user_password(request: web.Request) -> web.Response:
    """Give a user a one-time password, told here and never again. It ends a lock-out, and all their sessions."""
    user = await visible_user(request, path_id(request))
    changed, password = await services(request).people.users.reset_password(
        request[PRINCIPAL], act_of(request), user.id
    )
    return answer(request, _made(changed, password))


async def reset_user_second_factor(request: web.Request) -> web.Response:
    """Forget a user's authenticator app and recovery codes, when the telephone is lost. Their sessions end."""
    user = await visible_user(request, path_id(request))
    changed = await services(request).people.users.reset_second_factor(request[PRINCIPAL], act_of(request), user.id)
    return answer(request, UserOut.of(changed))


async def unlock_user(request: web.Request) -> web.Response:
    """End a lock-out, and enable a disabled user."""
    user = await visible_user(request, path_id(request))
    changed = await services(request).people.users.unlock(request[PRINCIPAL], act_of(request), user.id)
    return answer(request, UserOut.of(changed))


async def list_user_sessions(request: web.Request) -> web.Response:
    """A user's browser sessions."""
    user = await visible_user(request, path_id(request))
    core, by = services(request), request[PRINCIPAL]
    rows = await core.people.sessions.of_user(user.id, core.now_ms)
    return answer(request, SessionsOut(items=[SessionOut.of(row, by.session_id) for row in rows]))


async def end_user_sessions(request: web.Request) -> web.Response:
    """End all of a user's browser sessions."""
    user = await visible_user(request, path_id(request))
    await services(request).people.users.end_sessions(request[PRINCIPAL], act_of(request), user.id)
    return done()
