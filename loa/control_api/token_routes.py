"""Bearer tokens over HTTP: made for a role in an area, listed, revoked."""

from __future__ import annotations

from aiohttp import web

from loa.broadcast.people.rights import Right
from loa.control_api.auth import act_of
from loa.control_api.models import TokenIn, TokenMadeOut, TokenOut
from loa.control_api.reach import require_in
from loa.control_api.requests import body, json_answer, json_page, page, path_id, services
from loa.model import id_text, parse_id


async def create_token(request: web.Request) -> web.Response:
    """POST /api/v1/tokens: a role in one area, or everywhere. The text is told here and never again."""
    given = await body(request, TokenIn)
    core = services(request)
    area_id = given.area_id.bytes if given.area_id else None
    await require_in(request, Right.TOKENS_WRITE, area_id)
    act = act_of(request)
    token, text = await core.tokens.create(
        given.name, given.role, act, area_id=area_id, expires_ms=act.now_ms + given.valid_s * 1000
    )
    return json_answer(TokenMadeOut(**TokenOut.of(token).model_dump(), token=text), 201)


async def list_tokens(request: web.Request) -> web.Response:
    """GET /api/v1/tokens: who can ask for what. Their texts are kept nowhere."""
    await require_in(request, Right.TOKENS_WRITE, None)
    after, limit = page(request, parse_id)
    rows = await services(request).tokens.list(after, limit)
    return json_page(rows, limit, TokenOut.of, lambda row: id_text(row.id))


async def revoke_token(request: web.Request) -> web.Response:
    """POST /api/v1/tokens/{id}/revoke: from the next request on it is good for nothing."""
    core = services(request)
    await require_in(request, Right.TOKENS_WRITE, None)
    await core.tokens.revoke(path_id(request), act_of(request))
    return web.Response(status=204)
