"""A session: what it is told is sent at once, until it does not take it or is over."""

from __future__ import annotations

import asyncio

import pytest

from loa.broadcast.air import session as air_session
from loa.broadcast.air.door import Door
from loa.broadcast.air.epoch import EpochSecrets
from loa.broadcast.air.session import DOOR_CHANGES_NS, MAX_UNSENT_BYTES, MESSAGES_AT_ONCE, Session
from loa.codecs.link_wire import Bye, OrderMessage, SecretMessage
from loa.errors import LinkError
from tests.broadcast.air.sessions import Wire, session


async def test_what_it_is_told_goes_out_in_order() -> None:
    wire = Wire()
    link = session(wire=wire)
    link.put(OrderMessage(b"first"))
    link.put(OrderMessage(b"second"))
    link.bye("shutdown", "later")
    link.put(OrderMessage(b"third"))
    assert wire.said == [OrderMessage(b"first"), OrderMessage(b"second"), Bye("shutdown", "later")]
    assert not link.live


async def test_one_that_takes_nothing_is_ended_and_nobody_waits_for_it() -> None:
    wire = Wire(unsent_bytes=MAX_UNSENT_BYTES)
    link = session(wire=wire)
    link.put(OrderMessage(b"it still waits"))
    wire.unsent_bytes += 1
    link.put(OrderMessage(b"too much"))
    assert wire.said == [OrderMessage(b"it still waits")]
    assert (link.live, link.too_slow) == (False, True)


async def test_one_whose_other_end_is_gone_is_over() -> None:
    link = session(wire=Wire(gone=True))
    link.put(OrderMessage(b"x"))
    assert (link.live, link.too_slow) == (False, False)


async def test_the_end_wakes_who_reads() -> None:
    wire = Wire()
    link = session(wire=wire)
    wire.coming.put_nowait(b"a message")
    assert await link.receive() == b"a message"
    reading = asyncio.create_task(link.receive())
    await asyncio.sleep(0)
    link.end()
    assert await reading is None
    assert await link.receive() is None


async def test_an_end_between_two_messages_is_seen_by_the_next_read() -> None:
    wire = Wire()
    link = session(wire=wire)
    wire.coming.put_nowait(b"a message")
    await link.receive()
    link.end()
    link.end()
    wire.coming.put_nowait(b"another")
    assert await link.receive() is None


async def test_a_flood_of_messages_is_read_so_that_others_have_their_turn() -> None:
    wire, heard = Wire(), 0
    link = session(wire=wire)
    for _ in range(20 * MESSAGES_AT_ONCE):
        wire.coming.put_nowait(b"a status")

    async def read() -> None:
        nonlocal heard
        while await link.receive() is not None:
            heard += 1

    reading = asyncio.create_task(read())
    await asyncio.sleep(0)
    assert MESSAGES_AT_ONCE <= heard < 2 * MESSAGES_AT_ONCE
    assert link.held
    link.end()  # also while it is made to wait
    async with asyncio.timeout(10):
        await reading


async def test_a_flood_that_does_not_end_ends_the_link(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(air_session, "MAX_HELD", 3)
    wire = Wire()
    link = session(wire=wire)
    for _ in range(2 * MESSAGES_AT_ONCE):
        wire.coming.put_nowait(b"a status")

    async def read() -> None:
        while await link.receive() is not None:
            pass

    with pytest.raises(LinkError, match="malformed"):
        await read()
    assert wire.coming.qsize() > 0


async def test_a_serial_is_sealed_once_on_a_link() -> None:
    wire, epoch = Wire(), EpochSecrets(b"epoch id")
    link = session(wire=wire)
    link.put_secret(epoch)
    link.put_secret(epoch)
    epoch.renew()
    link.put_secret(epoch)
    link.put_secret(epoch)
    link.end()
    epoch.renew()
    link.put_secret(epoch)
    assert [each.serial for each in wire.said if isinstance(each, SecretMessage)] == [1, 2]


async def test_who_comes_after_a_renewal_gets_the_secrets_of_what_is_on_air_and_no_others() -> None:
    epoch = EpochSecrets(b"epoch id")
    on_air = epoch.in_force
    for _ in range(3):
        epoch.renew()
    on_air_too = epoch.in_force
    epoch.renew()
    epoch.renew()
    wire = Wire()
    session(wire=wire).put_secret(epoch)
    assert [each.serial for each in wire.said if isinstance(each, SecretMessage)] == [1, 4, 6]
    assert (on_air.serial, on_air_too.serial) == (1, 4)
    del on_air
    later = Wire()
    session(wire=later).put_secret(epoch)
    assert [each.serial for each in later.said if isinstance(each, SecretMessage)] == [4, 6]


async def test_a_renewal_that_came_before_this_one_was_told_is_told_with_it() -> None:
    wire, epoch = Wire(), EpochSecrets(b"epoch id")
    link = session(wire=wire)
    link.put_secret(epoch)
    epoch.renew()
    begins = epoch.in_force
    epoch.renew()
    link.put_secret(epoch)
    assert [each.serial for each in wire.said if isinstance(each, SecretMessage)] == [1, begins.serial, 3]


@pytest.mark.parametrize(
    ("door", "bound", "heard_by"),
    [
        (Door.UNICAST, False, None),
        (Door.UNICAST, True, Door.UNICAST),
        (Door.LINK, False, Door.LINK),
        (Door.LINK, True, Door.LINK),
        (Door.GROUP, False, None),
        (Door.GROUP, True, Door.GROUP),
    ],
)
async def test_sound_reaches_one_that_is_bound_or_hears_by_link(
    door: Door, bound: bool, heard_by: Door | None
) -> None:
    link = session()
    link.door, link.bound = door, bound
    assert link.heard_by is heard_by


def in_a_group() -> Session:
    made = session()
    made.door, made.group = Door.GROUP, ("239.1.0.1", 5004)
    return made


async def test_another_door_is_taken_once_a_second_at_most() -> None:
    link = in_a_group()
    assert link.take_door(False, 1) is None
    assert link.take_door(True, 1) is Door.GROUP
    assert (link.door, link.group) == (Door.LINK, None)
    assert link.take_door(True, 2) is None
    with pytest.raises(LinkError, match="malformed"):
        link.take_door(False, DOOR_CHANGES_NS)
    assert link.take_door(False, DOOR_CHANGES_NS + 1) is Door.LINK
