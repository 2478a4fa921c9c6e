"""What the hub hears of an endpoint that is none of its any more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import pytest

from loa.broadcast.air.door import Door
from loa.broadcast.air.hub import Hub
from loa.broadcast.air.session import Session
from loa.broadcast.orders.keyring import KeyRing
from loa.broadcast.orders.receipts import Receipts
from loa.broadcast.registry.endpoints import Endpoints
from loa.codecs import link_wire
from loa.codecs.link_wire import Receipt, ReceiptsMessage
from loa.model import ReceiptState
from loa.timing.clock import VirtualClock
from tests.broadcast.air.sessions import Wire, session


class Desk:
    """Hears of receipts, and counts them."""

    def __init__(self) -> None:
        self.receipts = 0

    async def joined(self, session: Session) -> None:
        """Nobody comes."""

    def left(self, session: Session) -> None:
        """Nobody is missed."""

    def door_changed(self, session: Session, before: Door) -> None:
        """No matter."""

    def answered(self, session: Session, receipts: Sequence[Receipt]) -> None:
        self.receipts += len(receipts)


async def test_what_one_said_before_it_was_revoked_is_not_acted_on_after(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would come back into the audiences of what is on air."""
    hub = Hub(
        endpoints=cast(Endpoints, None),
        receipts=cast(Receipts, None),
        keyring=cast(KeyRing, None),
        clock=VirtualClock(),
    )
    wire, desk = Wire(), Desk()
    link = session(wire=wire)
    wire.coming.put_nowait(link_wire.encode(ReceiptsMessage((Receipt(bytes(16), ReceiptState.ACCEPTED, 0),))))

    async def revoked_meanwhile() -> None:
        link.bye("revoked")

    monkeypatch.setattr(hub._heard, "enter", revoked_meanwhile)
    await hub._read(link, desk)
    assert desk.receipts == 0
