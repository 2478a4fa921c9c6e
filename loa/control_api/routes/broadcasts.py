"""Broadcasts over HTTP: on air now, stopped, and how far their orders came."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from loa.broadcast.air.generation import Request
from loa.broadcast.people.rights import Right
from loa.broadcast.store.broadcasts import BroadcastFilter
from loa.codecs.order_wire import Action
from loa.control_api.answers import answer, answer_page
from loa.control_api.auth import PRINCIPAL, act_of
from loa.control_api.cursors import page_of
from loa.control_api.models.base import to_ms
from loa.control_api.models.broadcasts import DEFAULT_PRIORITY, BroadcastIn, BroadcastOut, BroadcastsQuery
from loa.control_api.models.orders import (
    FoldedReceiptsOut,
    OrderOut,
    OrdersOut,
    ReceiptOut,
    ReceiptsBeside,
    ReceiptsQuery,
)
from loa.control_api.once import once
from loa.control_api.problems import Problem
from loa.control_api.reach import (
    narrowed,
    require_for,
    require_for_all_of,
    right_to_speak,
    visible_broadcast,
    visible_programme,
)
from loa.control_api.requests import at_core, body, ids, path_id, query, services
from loa.model import EMERGENCY_PRIORITY, ReceiptState

SORTS = {"created": "id", "priority": "priority"}


async def start_broadcast(request: web.Request) -> web.Response:
    """Take a programme on air now."""
    given = await body(request, BroadcastIn)
    core, director = services(request), at_core(request).director
    programme = await visible_programme(request, given.programme_id.bytes)
    priority = DEFAULT_PRIORITY[programme.klass] if given.priority is None else given.priority
    if (priority >= EMERGENCY_PRIORITY) != (programme.klass == "emergency"):
        raise Problem(
            422, "invalid", f"priorities from {EMERGENCY_PRIORITY} are for emergency programmes, and only they"
        )
    areas, endpoints = ids(given.targets.areas), ids(given.targets.endpoints)
    await require_for(request, right_to_speak(priority), areas, endpoints)
    wanted = Request(
        programme=programme,
        areas=areas,
        endpoints=endpoints,
        priority=priority,
        volume=given.volume,
        play_delay_ms=core.config.play_delay_ms if given.play_delay_ms is None else given.play_delay_ms,
    )
    broadcast = await once(request, lambda act: director.start(wanted, act), director.chronicle.get)
    return answer(request, BroadcastOut.of(broadcast))


async def list_broadcasts(request: web.Request) -> web.Response:
    """What is, was or comes on air where the caller may hear it."""
    given = query(request, BroadcastsQuery)
    page = page_of(given, SORTS)
    only = BroadcastFilter(
        state=given.state,
        programme_id=given.programme_id.bytes if given.programme_id else None,
        since_ms=None if given.since is None else to_ms(given.since),
        until_ms=None if given.until is None else to_ms(given.until),
        area_id=given.area_id.bytes if given.area_id else None,
        seen_from=request[PRINCIPAL].roots(Right.BROADCASTS_READ),
    )
    rows = await services(request).shown.list(page, only)
    return answer_page(request, page, rows, BroadcastOut.of)


async def get_broadcast(request: web.Request) -> web.Response:
    """One broadcast, with its receipts counted."""
    broadcast = await visible_broadcast(request, path_id(request))
    counted = await services(request).receipts.summary(broadcast.id)
    return answer(request, BroadcastOut.of(broadcast, _summary(counted)))


def _summary(states: Mapping[ReceiptState, int]) -> dict[str, int]:
    return {state.name.lower(): count for state, count in states.items()}


async def stop_broadcast(request: web.Request) -> web.Response:
    """Stop a broadcast: silence, by a signed order. One that has ended stays as it is."""
    broadcast = await visible_broadcast(request, path_id(request))
    await require_for_all_of(request, right_to_speak(broadcast.priority), broadcast)
    stopped = await at_core(request).director.stop(broadcast.id, act_of(request))
    return answer(request, BroadcastOut.of(stopped))


async def list_receipts(request: web.Request) -> web.Response:
    """How far each order of a broadcast came at each endpoint of the caller's areas.

    `folded` is what was too old to be kept one by one: how many endpoints came how far.
    """
    core = services(request)
    given = query(request, ReceiptsQuery)
    page = page_of(given, {"order": "id"})
    broadcast = await visible_broadcast(request, path_id(request))
    areas = await narrowed(request, Right.ENDPOINTS_READ, given.area_id.bytes if given.area_id else None)
    orders = await core.orders.of_broadcast(broadcast.id)
    actions = {order.order_id: Action(order.stored.action).name.lower() for order in orders}
    state = None if given.state is None else ReceiptState[given.state.upper()]
    rows = await core.receipts.for_broadcast(broadcast.id, page, state, areas)
    figures = [
        FoldedReceiptsOut.of(each, actions[each.order_id])
        for each in await core.receipts.folded(broadcast.id, areas)
        if state in (None, each.state)
    ]
    return answer_page(
        request,
        page,
        rows,
        lambda row: ReceiptOut.of(row, actions[row.order_id]),
        ReceiptsBeside(folded=figures),
    )


async def list_orders(request: web.Request) -> web.Response:
    """What was commanded, as it was signed."""
    core = services(request)
    broadcast_id = path_id(request)
    await require_for_all_of(request, Right.ENDPOINTS_READ, await visible_broadcast(request, broadcast_id))
    orders = await core.orders.of_broadcast(broadcast_id)
    return answer(request, OrdersOut(items=[OrderOut.of(order.stored) for order in orders]))
