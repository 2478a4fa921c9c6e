"""Orders by both ways, and who is not told again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import cast

from loa.broadcast.air.hub import Hub
from loa.broadcast.air.media_port import Command, SendOrder, SettleOrder
from loa.broadcast.air.order_sender import OrderSender
from loa.broadcast.air.session import Session
from loa.broadcast.orders.book import IssuedOrder
from loa.broadcast.records import StoredOrder
from loa.codecs.link_wire import Receipt
from loa.model import ReceiptState
from tests.broadcast.air.sessions import session


class World:
    """A media process and a hub that note what they are told."""

    def __init__(self) -> None:
        self.told: list[Command | str] = []
        self.spared: Callable[[Session], bool] = lambda _session: False
        self.sender = OrderSender(cast(Hub, self), self.told.append)

    def order(
        self, sessions: Sequence[Session], bundle: bytes, unless: Callable[[Session], bool] = lambda _session: False
    ) -> None:
        self.told.append(f"{bundle.decode()} by {len(sessions)} links")
        self.spared = unless

    def issue(self, order_id: bytes, sessions: Sequence[Session], datagram: bytes | None = b"datagram") -> None:
        stored = StoredOrder(order_id, bytes(16), 1, b"bundle", 0, 1)
        self.sender.send(IssuedOrder(order_id, b"bundle", datagram, stored), sessions)

    async def settled(self) -> list[Command | str]:
        """What it tells in the next turn of the event loop."""
        self.told.clear()
        await asyncio.sleep(0)
        return self.told


def says(state: ReceiptState, order_id: bytes = b"o" * 16) -> list[Receipt]:
    return [Receipt(order_id, state, 0)]


SESSIONS = [session(number) for number in range(3)]
CHANNELS = tuple(each.channel_id for each in SESSIONS)


async def test_the_datagram_goes_before_the_links() -> None:
    world = World()
    world.issue(b"o" * 16, SESSIONS)
    assert world.told == [SendOrder(b"o" * 16, b"datagram", CHANNELS), "bundle by 3 links"]


async def test_what_fits_into_no_datagram_goes_by_link_alone() -> None:
    world = World()
    world.issue(b"o" * 16, SESSIONS, datagram=None)
    assert world.told == ["bundle by 3 links"]
    world.sender.answered(SESSIONS[0], says(ReceiptState.ACCEPTED))
    assert await world.settled() == []


async def test_all_who_answer_in_one_turn_are_settled_together_and_once() -> None:
    world = World()
    world.issue(b"o" * 16, SESSIONS)
    for _ in range(2):
        world.sender.answered(SESSIONS[0], says(ReceiptState.RECEIVED) + says(ReceiptState.ACCEPTED))
        world.sender.answered(SESSIONS[2], says(ReceiptState.ACCEPTED))
    assert await world.settled() == [SettleOrder(b"o" * 16, (CHANNELS[0], CHANNELS[2]))]
    world.sender.answered(SESSIONS[0], says(ReceiptState.STARTED))
    assert await world.settled() == []


async def test_who_has_answered_or_left_is_not_told_again_by_link() -> None:
    world = World()
    world.issue(b"o" * 16, SESSIONS)
    world.sender.answered(SESSIONS[0], says(ReceiptState.RECEIVED))
    world.sender.answered(SESSIONS[1], says(ReceiptState.REFUSED))
    world.sender.left(SESSIONS[2])
    assert [world.spared(each) for each in SESSIONS] == [True, False, True]
    world.sender.forget(b"o" * 16)
    assert not world.spared(SESSIONS[1]), "that its repeats are over says nothing of the link"


async def test_a_refusal_and_an_answer_to_something_else_settle_nothing() -> None:
    world = World()
    world.issue(b"o" * 16, SESSIONS)
    world.sender.answered(SESSIONS[0], says(ReceiptState.REFUSED))
    world.sender.answered(SESSIONS[1], says(ReceiptState.ACCEPTED, b"p" * 16))
    assert await world.settled() == []


async def test_one_who_left_and_an_order_that_is_over_are_not_waited_for() -> None:
    world = World()
    world.issue(b"o" * 16, SESSIONS)
    world.sender.left(SESSIONS[0])
    world.sender.answered(SESSIONS[0], says(ReceiptState.ACCEPTED))
    world.sender.forget(b"o" * 16)
    world.sender.answered(SESSIONS[1], says(ReceiptState.ACCEPTED))
    assert await world.settled() == []
