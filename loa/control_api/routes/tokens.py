"""Bearer tokens over HTTP: made for a role in an area, listed, revoked."""

from __future__ import annotations

from aiohttp import web

from loa.broadcast.journal.act import Act
from loa.broadcast.people.rights import Right
from loa.broadcast.records import Token
from loa.control_api.answers import answer, answer_page, done
from loa.control_api.auth import PRINCIPAL, act_of
from loa.control_api.cursors import page_of
from loa.control_api.models.tokens import TokenIn, TokenMadeOut, TokenOut, TokensQuery
from loa.control_api.once import once
from loa.control_api.reach import require_in
from loa.control_api.requests import body, path_id, query, services

SORTS = {"created": "id", "name": "name"}


async def create_token(request: web.Request) -> web.Response:
    """Make a token for a role in one area, or everywhere. Its text is told here and never again."""
    given = await body(request, TokenIn)
    core = services(request)
    area_id = given.area_id.bytes if given.area_id else None
    await require_in(request, Right.TOKENS_WRITE, area_id)

    async def make(act: Act) -> tuple[Token, str | None]:
        expires_ms = act.now_ms + given.valid_s * 1000
        return await core.tokens.create(
            given.name, given.role, act, by=request[PRINCIPAL], area_id=area_id, expires_ms=expires_ms
        )

    async def again(token_id: bytes) -> tuple[Token, str | None]:
        return await core.tokens.get(token_id), None

    token, text = await once(request, make, again)
    return answer(request, TokenMadeOut(**TokenOut.of(token).model_dump(), token=text))


async def list_tokens(request: web.Request) -> web.Response:
    """Who can ask for what. The texts of tokens are kept nowhere."""
    await require_in(request, Right.TOKENS_WRITE, None)
    page = page_of(query(request, TokensQuery), SORTS)
    rows = await services(request).tokens.list(page)
    return answer_page(request, page, rows, TokenOut.of)


async def revoke_token(request: web.Request) -> web.Response:
    """Revoke a token: from the next request on it is good for nothing."""
    await require_in(request, Right.TOKENS_WRITE, None)
    await services(request).tokens.revoke(path_id(request), act_of(request))
    return done()
