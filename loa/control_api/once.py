"""Acts that happen once however often they are asked for: the header `Idempotency-Key`.

The key is written down in the transaction of the act, with a fingerprint of the request. Who asks again is shown
what came of it, as it is now; what was shown once and is kept nowhere (a code, a token) is not shown again.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from aiohttp import web

from loa.broadcast.journal.act import Act
from loa.broadcast.records import DoneBefore
from loa.control_api.auth import act_of
from loa.control_api.operation import OPERATION
from loa.control_api.problems import Problem
from loa.control_api.requests import read_json, services
from loa.errors import Conflict
from loa.model import parse_id

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
_KEY = re.compile(r"[\x21-\x7e]{1,64}")

Made = TypeVar("Made")


async def once(
    request: web.Request,
    make: Callable[[Act], Awaitable[Made]],
    again: Callable[[bytes], Awaitable[Made]],
) -> Made:
    """What `make` makes, or, when this caller has asked with this key before, what `again` finds under its id.

    `make` hands the act to the room that makes the change. Problem 400 for a key that is none, 422 `key-reused` for
    one that stood for another request.
    """
    fingerprint = hashlib.sha256(await read_json(request)).digest()
    return await once_of(request, fingerprint, make, again)


async def once_of(
    request: web.Request,
    fingerprint: bytes,
    make: Callable[[Act], Awaitable[Made]],
    again: Callable[[bytes], Awaitable[Made]],
) -> Made:
    """`once`, for a body whose SHA-256 the caller knows."""
    assert request[OPERATION].once
    act = act_of(request)
    key = request.headers.get(HEADER)
    if key is None:
        return await make(act)
    if _KEY.fullmatch(key) is None:
        raise Problem(400, "malformed", f"{HEADER} has 1 to 64 visible ASCII characters")
    whole = hashlib.sha256(f"{request.method} {request.path}\n".encode() + fingerprint).digest()
    act = replace(act, key=key, fingerprint=whole)
    ledger = services(request).ledger
    done = _same(act, await ledger.done(act.actor, act.key))
    if done is None:
        try:
            return await make(act)
        except Conflict:
            # The same request, sent twice at once, may have been the faster, and may not be durable yet.
            done = _same(act, await ledger.done_by_now(act.actor, act.key))
            if done is None:
                raise
    request[_REPLAYED] = True
    return await again(done)


def _same(act: Act, done: DoneBefore | None) -> bytes | None:
    """The id of what came of the act when it was done before; Problem when that was another one."""
    if done is None:
        return None
    if done.fingerprint != act.fingerprint:
        raise Problem(422, "key-reused", f"this {HEADER} stood for another request")
    return parse_id(done.subject.rpartition(":")[2])


_REPLAYED = web.RequestKey("replayed", bool)


def replayed(request: web.Request) -> bool:
    """Whether the answer shows what an earlier request made."""
    return _REPLAYED in request
