"""By which way the sound of broadcasts leaves for an endpoint."""

from __future__ import annotations

from enum import StrEnum


class Door(StrEnum):
    """The ways. An endpoint has one at a time, for all that it hears."""

    UNICAST = "unicast"
    """Datagrams to the address that its channel is bound to."""
    LINK = "link"
    """Messages over its link, where the network lets no datagrams through."""
    GROUP = "group"
    """Datagrams to the multicast group that it has joined."""
