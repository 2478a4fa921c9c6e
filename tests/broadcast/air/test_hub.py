"""The hub: in which order one is told, and who is not listened to any more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import pytest

from loa.broadcast.air.door import Door
from loa.broadcast.air.epoch import EpochSecrets
from loa.broadcast.air.hub import Hub
from loa.broadcast.air.mailing import AT_ONCE
from loa.broadcast.air.session import Session
from loa.broadcast.orders.keyring import KeyRing
from loa.broadcast.orders.receipts import Receipts
from loa.broadcast.registry.endpoints import Endpoints
from loa.codecs import link_wire
from loa.codecs.link_wire import OrderMessage, Receipt, ReceiptsMessage, SecretMessage
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


def make_hub() -> Hub:
    """A hub that asks no store."""
    return Hub(
        endpoints=cast(Endpoints, None),
        receipts=cast(Receipts, None),
        keyring=cast(KeyRing, None),
        clock=VirtualClock(),
    )


async def test_who_hears_by_link_has_a_new_secret_before_what_begins_by_it() -> None:
    """Renewed for thousands, a secret takes many turns to reach them all; sound without its key would be lost."""
    hub, wire, epoch = make_hub(), Wire(), EpochSecrets(bytes(8))
    crowd = [session(number) for number in range(2, 3 * AT_ONCE)]
    by_link = session(1, wire=wire)
    by_link.door = Door.LINK
    for each in (*crowd, by_link):
        each.put_secret(epoch)
        hub._by_endpoint[each.endpoint.id] = each
    hub._epoch = epoch
    hub.renew_secret()
    hub.order([by_link], b"order")
    assert [type(each) for each in wire.said] == [SecretMessage, SecretMessage, OrderMessage]
    assert hub._mailing._sending is not None
    await hub._mailing._sending
    assert len(wire.said) == 3  # each serial once
    assert {each.secret_serial for each in crowd} == {2}


async def test_what_one_said_before_it_was_revoked_is_not_acted_on_after(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would come back into the audiences of what is on air."""
    hub = make_hub()
    wire, desk = Wire(), Desk()
    link = session(wire=wire)
    wire.coming.put_nowait(link_wire.encode(ReceiptsMessage((Receipt(bytes(16), ReceiptState.ACCEPTED, 0),))))

    async def revoked_meanwhile() -> None:
        link.bye("revoked")

    monkeypatch.setattr(hub._heard, "enter", revoked_meanwhile)
    await hub._read(link, EpochSecrets(bytes(8)), desk)
    assert desk.receipts == 0
