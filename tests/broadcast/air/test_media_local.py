"""The in-process twin speaks the same interface."""

import asyncio

import pytest

from loa.broadcast.air.media_local import MediaLocal
from loa.broadcast.air.media_port import (
    AddChannel,
    Address,
    AirEnded,
    AirProgress,
    Audience,
    ChannelBound,
    Event,
    Frames,
    MediaPort,
    Ready,
    Shutdown,
    StartAir,
)
from loa.codecs import channel_wire
from loa.codecs.channel_wire import Type, padded
from loa.errors import MediaError
from loa.timing.clock import VirtualClock

S = 1_000_000_000
HOME: Address = ("192.0.2.1", 9)
START = StartAir(bytes(16), 1, 1, 2, 0, 0, 5 * S, 960, bytes(16), bytes(12), b"", 5, 3)


def twin(clock: VirtualClock, sent: list[tuple[int, bytes, Address]]) -> MediaLocal:
    return MediaLocal(
        clock=clock,
        send_datagram=lambda data, address: sent.append((clock.monotonic_ns(), data, address)),
        epoch=bytes(8),
        nonce_key=bytes(32),
    )


def run_until(media: MediaLocal, clock: VirtualClock, until_ns: int) -> None:
    while (due_ns := media.next_due_ns()) is not None and due_ns <= until_ns:
        clock.set(max(due_ns, clock.monotonic_ns()))
        media.tick()


async def test_a_broadcast_in_one_process() -> None:
    clock, sent = VirtualClock(), list[tuple[int, bytes, Address]]()
    media = twin(clock, sent)
    port: MediaPort = media
    port.send(AddChannel(b"channel1", bytes(32)))
    media.receive(channel_wire.encode(Type.KEEPALIVE, b"channel1", 0, padded(b""), bytes(32)), HOME)
    nonce = channel_wire.parse(sent.pop()[1]).payload
    media.receive(channel_wire.encode(Type.ECHO, b"channel1", 1, nonce, bytes(32)), HOME)
    port.send(START)
    port.send(Audience(START.broadcast_id, (b"channel1",)))
    port.send(Frames(bytes(16), 0, (b"a", b"b", b"c")))
    run_until(media, clock, 10 * S)
    port.send(Shutdown())
    events: list[Event] = [event async for event in port.events()]
    assert events[0] == Ready(bytes(8), ("127.0.0.1", 0), 0)
    assert events[1] == ChannelBound(b"channel1", HOME)
    assert isinstance(events[2], AirProgress)
    assert events[-1] == AirEnded(bytes(16), 1, 3, "end", 3)
    assert [(at_ns, to) for at_ns, _, to in sent] == [(5 * S + n * S // 50, HOME) for n in range(3)]


async def test_events_come_to_a_reader_that_waits_and_end_with_close() -> None:
    media = twin(VirtualClock(), [])

    async def read() -> list[Event]:
        return [event async for event in media.events()]

    reader = asyncio.create_task(read())
    await asyncio.sleep(0)
    media.send(START)
    await asyncio.sleep(0)
    await media.close()
    assert [type(event) for event in await reader] == [Ready, AirProgress]
    media.tick()
    media.receive(b"x", HOME)
    assert media.next_due_ns() is None


async def test_after_the_end_commands_are_an_error() -> None:
    media = twin(VirtualClock(), [])
    media.send(Shutdown())
    with pytest.raises(MediaError, match="gone"):
        media.send(START)
