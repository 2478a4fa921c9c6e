"""Carries what the store says of multicast groups to those who use them."""

from __future__ import annotations

import asyncio

from loa.broadcast.air.group_desk import GroupDesk
from loa.broadcast.air.media_port import GroupRoute
from loa.broadcast.records import AreaGroup, GroupKind
from loa.broadcast.registry.area_groups import AreaGroups


def route_of(group: AreaGroup) -> GroupRoute:
    """How datagrams go to a group."""
    return GroupRoute(group.host, group.port, group.ttl, group.interface, group.loop, group.source)


class GroupKeeper:
    """Keeps the desk at what is in the store."""

    def __init__(self, stored: AreaGroups, desk: GroupDesk) -> None:
        self._stored = stored
        self._desk = desk
        self._refreshing = asyncio.Lock()

    async def refresh(self) -> None:
        """Take up what has changed in the store; StoreError."""
        async with self._refreshing:  # what was read first is also taken up first
            groups = await self._stored.in_use(GroupKind.SEALED)
            self._desk.replace({area_id: route_of(group) for area_id, group in groups.items()})
