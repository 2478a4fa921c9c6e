"""Multicast groups of areas as they are asked for and shown."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from loa.broadcast.records import AreaGroup, GroupKind
from loa.codecs.multicast import MAX_HOST_CHARS, group_host, is_ipv6, source_host
from loa.control_api.models.base import Strict
from loa.errors import WireError

DEFAULT_TTL = 8


def _group(text: str) -> str:
    try:
        return group_host(text)
    except WireError as error:
        raise ValueError(str(error)) from error


def _source(text: str) -> str:
    try:
        return source_host(text) if text else ""
    except WireError as error:
        raise ValueError(str(error)) from error


class AreaGroupIn(Strict):
    """A multicast group for an area and all below it that have none of their own.

    `address`: in 239.0.0.0/8 or 232.0.0.0/8 (source-specific), or ff1x:: or ff3x::. `ttl`: how many routers it
    may pass. `interface`: the name of the core's interface that it leaves by; empty: the system's choice. `loop`:
    whether the core's own machine hears it too. `source`: the core's address that it comes from; empty: the
    interface's, which must then be the one by which endpoints reach the core.
    """

    address: Annotated[str, Field(max_length=MAX_HOST_CHARS), AfterValidator(_group)]
    port: Annotated[int, Field(ge=1_024, le=65_535)]
    ttl: Annotated[int, Field(ge=1, le=255)] = DEFAULT_TTL
    interface: Annotated[str, Field(max_length=15, pattern=r"^[A-Za-z0-9._@-]*$")] = ""
    loop: bool = True
    source: Annotated[str, Field(max_length=MAX_HOST_CHARS), AfterValidator(_source)] = ""

    @model_validator(mode="after")
    def _one_family(self) -> AreaGroupIn:
        if self.source and is_ipv6(self.source) != is_ipv6(self.address):
            raise ValueError("address and source must be of one family")
        return self

    def record(self, area_id: bytes, kind: GroupKind) -> AreaGroup:
        """As it is kept."""
        return AreaGroup(area_id, kind, self.address, self.port, self.ttl, self.interface, self.loop, self.source)


class AreaGroupOut(Strict):
    """The group that an area has of its own."""

    address: str
    port: int
    ttl: int
    interface: str
    loop: bool
    source: str

    @classmethod
    def of(cls, group: AreaGroup) -> AreaGroupOut:
        """As it is shown."""
        return cls(
            address=group.host,
            port=group.port,
            ttl=group.ttl,
            interface=group.interface,
            loop=group.loop,
            source=group.source,
        )
