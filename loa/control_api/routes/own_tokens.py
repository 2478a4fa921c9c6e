"""One's own tokens over HTTP: for one's own programs, with at most what one may do oneself."""

from __future__ import annotations

from aiohttp import web

from loa.broadcast.journal.act import Act
from loa.broadcast.records import Token
from loa.control_api.answers import answer, answer_page, done
from loa.control_api.auth import PRINCIPAL, act_of
from loa.control_api.cursors import page_of
from loa.control_api.models.tokens import TokenIn, TokenMadeOut, TokenOut, TokensQuery
from loa.control_api.once import once
from loa.control_api.requests import body, path_id, query, services
from loa.control_api.routes.me import user_id
from loa.control_api.routes.tokens import SORTS
from loa.errors import Forbidden, NotFound
from loa.model import id_text


async def create_own_token(request: web.Request) -> web.Response:
    """Make a token of one's own, with at most one's own rights. Its text is told here and never again.

    It ends with its time, with one's account, and when one may no longer do what it may.
    """
    given = await body(request, TokenIn)
    core, by = services(request), request[PRINCIPAL]
    if by.session_id is None:
        raise Forbidden("own-account", "a token makes no token of its owner's: sign in")

    async def make(act: Act) -> tuple[Token, str | None]:
        return await core.tokens.create(
            given.name,
            given.role,
            act,
            by=by,
            area_id=given.area_id.bytes if given.area_id else None,
            expires_ms=act.now_ms + given.valid_s * 1000,
        )

    async def again(token_id: bytes) -> tuple[Token, str | None]:
        return await core.tokens.get(token_id), None

    token, text = await once(request, make, again)
    return answer(request, TokenMadeOut(**TokenOut.of(token).model_dump(), token=text))


async def list_own_tokens(request: web.Request) -> web.Response:
    """One's own tokens, those that no longer hold too."""
    page = page_of(query(request, TokensQuery), SORTS)
    rows = await services(request).tokens.list(page, user_id(request[PRINCIPAL]))
    return answer_page(request, page, rows, TokenOut.of)


async def revoke_own_token(request: web.Request) -> web.Response:
    """Revoke one of one's own tokens: from the next request on it is good for nothing."""
    tokens, by = services(request).tokens, request[PRINCIPAL]
    token = await tokens.get(path_id(request))
    if token.user_id is None or token.user_id != by.user_id:
        raise NotFound(f"no token {id_text(token.id)}")
    await tokens.revoke(token.id, act_of(request))
    return done()
