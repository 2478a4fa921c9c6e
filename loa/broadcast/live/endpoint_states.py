"""How endpoints are now: what only the core knows, who holds their links."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from loa.broadcast.air.hub import Hub
from loa.broadcast.air.session import Session
from loa.codecs import link_wire
from loa.codecs.link_wire import Status
from loa.errors import WireError

_LINKED, _BOUND = 1, 2


@dataclass(frozen=True, slots=True)
class EndpointState:
    """Whether an endpoint's link is up, what it last said of itself, and `bound`: whether sound can reach it, by
    its media channel or by its link."""

    linked: bool
    bound: bool
    status: Status | None

    def encode(self) -> bytes:
        """As bytes for another process."""
        flags = _LINKED * self.linked | _BOUND * self.bound
        return bytes((flags,)) + (b"" if self.status is None else link_wire.encode(self.status))

    @classmethod
    def decode(cls, data: bytes) -> EndpointState:
        """The state that `encode` has given; WireError for anything else."""
        if not data or data[0] > _LINKED | _BOUND:
            raise WireError("this is no endpoint's state")
        status = link_wire.decode(data[1:]) if data[1:] else None
        if status is not None and not isinstance(status, Status):
            raise WireError("this is no endpoint's state")
        return cls(bool(data[0] & _LINKED), bool(data[0] & _BOUND), status)


GONE = EndpointState(linked=False, bound=False, status=None)


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
    return GONE if session is None else EndpointState(session.live, session.reachable, session.status)
