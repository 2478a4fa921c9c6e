"""What happens, as it happens: server-sent events (WHATWG HTML §9.2) that resume where a watcher stopped."""

from __future__ import annotations

import json
from collections.abc import Mapping

from aiohttp import web

from loa.broadcast.people.rights import Principal, Right
from loa.broadcast.records import Event
from loa.control_api.auth import PRINCIPAL, authenticate
from loa.control_api.models.base import utc
from loa.control_api.models.events import EventOut, EventsQuery
from loa.control_api.places import place
from loa.control_api.problems import Problem
from loa.control_api.requests import query, services
from loa.control_api.sse import Send, frame, stream

MAX_WATCHERS = 500
HEARTBEAT_S = 15.0
"""A comment comes at least so often, so that a dead connection shows, and the token is looked at again."""
RETRY_MS = 2_000
_MOST_DIGITS = 18

SEEN_WITH: Mapping[str, Right] = {
    "area": Right.AREAS_READ,
    "endpoint": Right.ENDPOINTS_READ,
    "enrolment": Right.ENDPOINTS_WRITE,
    "programme": Right.PROGRAMMES_READ,
    "broadcast": Right.BROADCASTS_READ,
    "token": Right.TOKENS_WRITE,
    "retention": Right.AUDIT_READ,
    "user": Right.USERS_READ,
    "session": Right.USERS_READ,
}
"""The right with which events about a thing are seen. What is not here is seen by nobody."""
FROM_BELOW = (Right.PROGRAMMES_READ, Right.BROADCASTS_READ)
"""Rights with which one sees what concerns an area above one's own, because it is heard in one's own."""


def sees(principal: Principal, event: Event, above: Mapping[Right, frozenset[bytes]]) -> bool:
    """Whether the event is about something that the caller may see, in an area that is theirs.

    `above`: for the rights FROM_BELOW, the areas above those where the caller has them.
    """
    right = SEEN_WITH.get(event.subject.partition(":")[0])
    if right is None:
        return False
    roots = principal.roots(right)
    if roots is None or (right is Right.AREAS_READ and roots):
        return True
    if not roots.isdisjoint(event.reach) or not above.get(right, frozenset()).isdisjoint(event.areas):
        return True
    # A programme without an area is everybody's.
    return right is Right.PROGRAMMES_READ and not event.areas and bool(roots)


async def watch_events(request: web.Request) -> web.StreamResponse:
    """Watch what happens, as server-sent events.

    `id` is the number of the event: a client that comes back with it in `Last-Event-ID` misses nothing. `gap` says
    that what lay between is forgotten: ask the lists again.
    """
    given = query(request, EventsQuery)
    feed = services(request).feed
    header = request.headers.get("Last-Event-ID")
    if header is not None and not (header.isascii() and header.isdigit() and len(header) <= _MOST_DIGITS):
        raise Problem(422, "invalid", "Last-Event-ID must be the id of an event")
    after = given.after if header is None else int(header)
    with place(request, "watchers", MAX_WATCHERS):
        return await stream(request, lambda send: _tell(request, send, feed.newest if after is None else after))


async def _above(request: web.Request, principal: Principal) -> dict[Right, frozenset[bytes]]:
    areas = services(request).areas
    found = {}
    for right in FROM_BELOW:
        paths = [await areas.path(root) for root in principal.roots(right) or ()]
        found[right] = frozenset().union(*paths)
    return found


async def _tell(request: web.Request, send: Send, seq: int) -> None:
    feed, principal = services(request).feed, request[PRINCIPAL]
    above = await _above(request, principal)
    if seq > feed.newest:
        await send(frame("gap", json.dumps({"after": seq, "newest": feed.newest}), feed.newest))
        seq = feed.newest
    await send(f"retry: {RETRY_MS}\n" + frame("hello", json.dumps({"newest": feed.newest}), seq))
    while not services(request).closing.is_set():
        events = await feed.after(seq, HEARTBEAT_S)
        if not events:
            await send(f": heartbeat\nid: {seq}\n\n")
            fresh = await authenticate(request, used=False)
            if fresh is None:
                return
            principal, above = fresh, await _above(request, fresh)
            continue
        text = ""
        if events[0].seq != seq + 1:
            text = frame("gap", json.dumps({"after": seq, "newest": events[0].seq - 1}), events[0].seq - 1)
        seq = events[-1].seq
        text += "".join(_shown(event) for event in events if sees(principal, event, above))
        await send(text or f": nothing for you\nid: {seq}\n\n")


def _shown(event: Event) -> str:
    shown = EventOut(
        seq=event.seq, at=utc(event.at_ms), kind=event.kind, subject=event.subject, data=json.loads(event.data)
    )
    return frame(event.kind, shown.model_dump_json(), event.seq)
