"""Carries what the store says of multicast groups to those who use them, and describes the unprotected ones."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import structlog

from loa.broadcast.air.group_desk import GroupDesk, sent_from
from loa.broadcast.air.group_sockets import source_of
from loa.broadcast.air.media_port import GroupRoute, PlainOutput
from loa.broadcast.air.plain_desk import AreaOutput, PlainDesk
from loa.broadcast.records import AreaGroup, GroupKind
from loa.broadcast.registry.area_groups import AreaGroups, GroupInUse
from loa.codecs.sap import announce
from loa.codecs.sdp import AudioSession
from loa.errors import NotFound, StoreError
from loa.model import id_text
from loa.timing.clock import Clock

LOOK_S = 60.0
"""Areas are renamed, moved and closed, and interfaces come up: what is used is compared so often."""
_NTP_AHEAD_S = 2_208_988_800  # from 1900 to 1970

log = structlog.get_logger("loa.groups")


def route_of(group: AreaGroup) -> GroupRoute:
    """How datagrams go to a group."""
    return GroupRoute(group.host, group.port, group.ttl, group.interface, group.loop, group.source)


class GroupKeeper:
    """Keeps the desks at what is in the store."""

    def __init__(
        self, stored: AreaGroups, desk: GroupDesk, plain: PlainDesk, clock: Clock, own_source: str = ""
    ) -> None:
        """`own_source`: the numeric address that the media process is bound to; empty: to all."""
        self._stored = stored
        self._desk = desk
        self._plain = plain
        self._clock = clock
        self._own_source = own_source
        self._sessions: dict[bytes, AudioSession] = {}
        self._refreshing = asyncio.Lock()

    async def run(self) -> None:
        """Refresh from time to time, for ever."""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await self.refresh()
            except StoreError as error:
                log.error("groups not read", error=str(error))

    async def refresh(self) -> None:
        """Take up what has changed in the store; StoreError."""
        async with self._refreshing:  # what was read first is also taken up first
            sealed = await self._stored.in_use(GroupKind.SEALED)
            plain = await self._stored.in_use(GroupKind.PLAIN)
            self._desk.replace({each.group.area_id: route_of(each.group) for each in sealed})
            outputs: dict[bytes, AreaOutput] = {}
            sessions: dict[bytes, AudioSession] = {}
            for each in plain:
                area_id, route = each.group.area_id, sent_from(route_of(each.group), self._own_source)
                try:
                    session = sessions[area_id] = self._session(each, source_of(route))
                except OSError as error:
                    log.warning("no way to a group", area=id_text(area_id), group=route.host, error=str(error))
                    continue
                outputs[area_id] = AreaOutput(PlainOutput(area_id, route, *announce(session)), each.path)
            self._sessions = sessions
            self._plain.replace(outputs)

    def session(self, area_id: bytes) -> AudioSession:
        """The description of an area's unprotected output; NotFound when it has none, or no way to its group."""
        found = self._sessions.get(area_id)
        if found is None:
            raise NotFound(f"the area {id_text(area_id)} sends no plain RTP")
        return found

    def _session(self, of: GroupInUse, origin: str) -> AudioSession:
        group = of.group
        before = self._sessions.get(group.area_id)
        made = AudioSession(
            session_id=int.from_bytes(group.area_id[-8:], "big") >> 1,
            version=self._clock.utc_ns() // 1_000_000_000 + _NTP_AHEAD_S if before is None else before.version,
            origin=origin,
            name=of.area_name,
            host=group.host,
            port=group.port,
            ttl=group.ttl,
        )
        if before is None or made == before:
            return made
        return replace(made, version=max(before.version + 1, self._clock.utc_ns() // 1_000_000_000 + _NTP_AHEAD_S))
