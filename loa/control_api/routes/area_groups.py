"""Multicast groups of areas over HTTP."""

from __future__ import annotations

from aiohttp import web

from loa.broadcast.people.rights import Right
from loa.broadcast.records import GroupKind
from loa.codecs.sdp import MEDIA_TYPE
from loa.control_api.answers import answer
from loa.control_api.auth import act_of
from loa.control_api.models.area_groups import AreaGroupIn, AreaGroupOut
from loa.control_api.reach import require_in
from loa.control_api.requests import at_core, body, path_id, services


async def get_multicast(request: web.Request) -> web.Response:
    """The multicast group that an area has of its own; 404 when it has none."""
    return await _show(request, GroupKind.SEALED)


async def put_multicast(request: web.Request) -> web.Response:
    """Give an area a multicast group, in place of the one that it has.

    Endpoints in the area, and below it where no other group is nearer, hear what is on air by the group as soon as
    they have found that it reaches them; all others go on by unicast.
    """
    return await _give(request, Right.AREAS_WRITE, GroupKind.SEALED)


async def delete_multicast(request: web.Request) -> web.Response:
    """Take an area's multicast group away. Its endpoints hear by unicast at once, or by the group of an area
    above."""
    return await _take_away(request, Right.AREAS_WRITE, GroupKind.SEALED)


async def get_plain_rtp(request: web.Request) -> web.Response:
    """The group to which an area's sound goes without protection; 404 when there is none."""
    return await _show(request, GroupKind.PLAIN)


async def put_plain_rtp(request: web.Request) -> web.Response:
    """Let what is on air for an area go to a multicast group as plain RTP too, for speakers that are not Loa's.

    Nothing protects it: whoever is in the network can listen, and can forge it so that such speakers play it. It is
    announced by SAP, and described by `sdp`.
    """
    return await _give(request, Right.PLAIN_RTP_WRITE, GroupKind.PLAIN)


async def delete_plain_rtp(request: web.Request) -> web.Response:
    """End an area's plain RTP at once; listeners are told by SAP."""
    return await _take_away(request, Right.PLAIN_RTP_WRITE, GroupKind.PLAIN)


async def area_sdp(request: web.Request) -> web.Response:
    """The description (SDP) of an area's plain RTP, for speakers and players; 404 when it sends none now."""
    area_id = path_id(request)
    await services(request).areas.get(area_id)
    session = at_core(request).groups.session(area_id)
    return web.Response(body=session.encode(), content_type=MEDIA_TYPE)


async def _show(request: web.Request, kind: GroupKind) -> web.Response:
    group = await services(request).area_groups.get(path_id(request), kind)
    return answer(request, AreaGroupOut.of(group))


async def _give(request: web.Request, right: Right, kind: GroupKind) -> web.Response:
    given, area_id = await body(request, AreaGroupIn), path_id(request)
    await require_in(request, right, area_id)
    group = given.record(area_id, kind)
    await services(request).area_groups.give(group, act_of(request))
    await at_core(request).groups.refresh()
    return answer(request, AreaGroupOut.of(group))


async def _take_away(request: web.Request, right: Right, kind: GroupKind) -> web.Response:
    area_id = path_id(request)
    await require_in(request, right, area_id)
    await services(request).area_groups.take_away(area_id, kind, act_of(request))
    await at_core(request).groups.refresh()
    return web.Response(status=204)
