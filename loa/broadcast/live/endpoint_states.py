"""How endpoints are now: what only the core knows, who holds their links."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from loa.broadcast.air.door import Door
from loa.broadcast.air.hub import Hub
from loa.broadcast.air.session import Session
from loa.codecs import link_wire
from loa.codecs.link_wire import Status
from loa.errors import WireError

_LINKED = 1
_DOORS: tuple[Door | None, ...] = (None, Door.UNICAST, Door.LINK, Door.GROUP)
"""As they are numbered for another process."""


@dataclass(frozen=True, slots=True)
class EndpointState:
    """Whether an endpoint's link is up, by which door sound reaches it (None: it does not), and what it last said
    of itself."""

    linked: bool
    door: Door | None
    status: Status | None

    def encode(self) -> bytes:
        """As bytes for another process."""
        flags = _LINKED * self.linked | _DOORS.index(self.door) << 1
        return bytes((flags,)) + (b"" if self.status is None else link_wire.encode(self.status))

    @classmethod
    def decode(cls, data: bytes) -> EndpointState:
        """The state that `encode` has given; WireError for anything else."""
        if not data or data[0] >> 1 >= len(_DOORS):
            raise WireError("this is no endpoint's state")
        status = link_wire.decode(data[1:]) if data[1:] else None
        if status is not None and not isinstance(status, Status):
            raise WireError("this is no endpoint's state")
        return cls(bool(data[0] & _LINKED), _DOORS[data[0] >> 1], status)


GONE = EndpointState(linked=False, door=None, status=None)


class EndpointStates(Protocol):
    """Tells how endpoints are."""

    async def of(self, endpoint_ids: Sequence[bytes]) -> Mapping[bytes, EndpointState] | None:
        """The states of these endpoints, all of them; None when it is not known how any of them is."""


class HubStates:
    """Asks the hub of this process."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def of(self, endpoint_ids: Sequence[bytes]) -> Mapping[bytes, EndpointState]:
        """See EndpointStates."""
        return {endpoint_id: state_of(self._hub.session(endpoint_id)) for endpoint_id in endpoint_ids}


def state_of(session: Session | None) -> EndpointState:
    """How an endpoint is, by its session if it has one."""
    return GONE if session is None else EndpointState(session.live, session.heard_by, session.status)
