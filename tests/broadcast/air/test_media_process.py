"""The real process: bound by challenge, on air for a second, and gone with its parent."""

import asyncio
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, TypeVar

import pytest
import uvloop

from loa.broadcast.air.media_child import take_precedence
from loa.broadcast.air.media_port import (
    AddChannel,
    Address,
    AirEnded,
    AskCounters,
    Audience,
    ChannelBound,
    Counters,
    Event,
    Frames,
    GroupRoute,
    MediaPort,
    PlainOutput,
    Ready,
    Shutdown,
    StartAir,
    UsePlain,
)
from loa.broadcast.air.media_process import start_media_process
from loa.codecs import channel_wire
from loa.codecs.channel_wire import Nack, Probe, ProbeReply, Type, padded
from loa.codecs.multicast import SAP_PORT, sap_host
from loa.codecs.rtp import PT_OPUS
from loa.codecs.srtp import SrtpContext
from loa.edge.speaker.group_ear import Membership
from loa.edge.speaker.group_socket import join_group
from loa.errors import MediaError

SECRET = bytes(range(32))
FRAMES = 50
INDEX0 = 65_520
WAIT_S = 10
START = StartAir(
    broadcast_id=bytes(16),
    generation=1,
    ssrc=5,
    block_ssrc=6,
    index0=INDEX0,
    timestamp0=0,
    start_ns=0,
    frame_samples=960,
    master_key=bytes(16),
    master_salt=bytes(12),
    block_seed=bytes(32),
    block_frames=5,
    end_index=INDEX0 + FRAMES,
)

E = TypeVar("E", bound=Event)
Run = Callable[[Coroutine[Any, Any, None]], None]


class Endpoint:
    """One endpoint's socket and its end of the channel."""

    def __init__(self, stack: ExitStack, number: int, host: str, server: Address) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.sock = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
        self.sock.bind((host, 0))
        self.sock.settimeout(20)
        self.server = (host, server[1])
        self.channel_id = b"channel%d" % number
        self.counter = 0

    def say(self, type_: Type, payload: bytes) -> None:
        self.counter += 1
        data = channel_wire.encode(type_, self.channel_id, self.counter, payload, SECRET)
        self.sock.sendto(data, self.server)

    def hear(self) -> channel_wire.Datagram:
        answer = channel_wire.parse(self.sock.recv(2_048))
        answer.check(SECRET)
        return answer

    def hear_packets(self, count: int) -> list[bytes]:
        return [self.sock.recv(2_048) for _ in range(count)]

    def bind(self) -> None:
        self.say(Type.KEEPALIVE, padded(b""))
        self.say(Type.ECHO, self.hear().payload)


class Control:
    """Control's end: the port, and its events by type."""

    def __init__(self, media: MediaPort) -> None:
        self.media = media
        self.events = media.events()

    async def wait(self, type_: type[E]) -> E:
        """The next event of a type; others are passed over."""
        async for event in self.events:
            if isinstance(event, type_):
                return event
        raise AssertionError(f"the media process ended before a {type_.__name__}")


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a coroutine under each of the event loops that `loa serve` may have."""
    chosen: Run = request.param
    return chosen


def test_one_second_on_air_reaches_three_endpoints_whole_and_in_order(run: Run) -> None:
    run(one_second_on_air())


async def one_second_on_air() -> None:
    control = Control(await start_media_process("::", 0))
    try:
        ready = await control.wait(Ready)
        with ExitStack() as stack:
            endpoints = [
                Endpoint(stack, n, host, ready.address) for n, host in enumerate(("127.0.0.1", "::1", "127.0.0.1"))
            ]
            for endpoint in endpoints:
                control.media.send(AddChannel(endpoint.channel_id, SECRET))
            # The events of a command come after it: once the counters are here the channels are known.
            control.media.send(AskCounters())
            await control.wait(Counters)
            for endpoint in endpoints:
                await asyncio.to_thread(endpoint.bind)
                bound = await control.wait(ChannelBound)
                assert bound == ChannelBound(
                    endpoint.channel_id, (endpoint.server[0], endpoint.sock.getsockname()[1])
                )
            await probe(endpoints[0], ready)
            start = replace(START, start_ns=time.monotonic_ns() + 100_000_000)
            control.media.send(start)
            control.media.send(Audience(bytes(16), tuple(endpoint.channel_id for endpoint in endpoints)))
            control.media.send(Frames(bytes(16), INDEX0, tuple(b"opus %d" % n for n in range(FRAMES))))
            assert await control.wait(AirEnded) == AirEnded(bytes(16), 1, INDEX0 + FRAMES, "end", FRAMES)
            assert time.monotonic_ns() >= start.start_ns + (FRAMES - 1) * 20_000_000
            srtp = SrtpContext(bytes(16), bytes(12))
            for endpoint in endpoints:
                packets = await asyncio.to_thread(endpoint.hear_packets, 60)
                sound = [packet for packet in packets if packet[1] & 0x7F == PT_OPUS]
                assert len(sound) == FRAMES
                assert [srtp.unprotect(packet, INDEX0 + n)[1] for n, packet in enumerate(sound)] == [
                    b"opus %d" % n for n in range(FRAMES)
                ]
                endpoint.sock.setblocking(False)
                with pytest.raises(BlockingIOError):
                    endpoint.sock.recv(1)
        values: dict[str, int] = {"packets_sent": 0}
        while values["packets_sent"] < 180:  # the last is heard a moment before it is counted
            control.media.send(AskCounters())
            values = (await control.wait(Counters)).values
        assert (values["packets_sent"], values["bindings"]) == (180, 3)
        assert 0 < values["ticks"] <= FRAMES
    finally:
        await control.media.close()
    assert [event async for event in control.events] == []
    with pytest.raises(MediaError, match="gone"):
        control.media.send(AskCounters())


async def probe(endpoint: Endpoint, ready: Ready) -> None:
    """The origin's clock is this machine's monotonic one, so the four instants must be in order."""
    t1_ns = time.monotonic_ns()
    endpoint.say(Type.PROBE, Probe(t1_ns).encode())
    reply = ProbeReply.decode((await asyncio.to_thread(endpoint.hear)).payload)
    assert (reply.epoch, reply.t1_ns) == (ready.epoch, t1_ns)
    # The kernel's stamp is UTC: it is as exact as two readings of both clocks are close to each other.
    assert ready.origin_ns < t1_ns <= reply.t2_ns + 1_000_000
    assert reply.t2_ns <= reply.t3_ns <= time.monotonic_ns()


def test_a_flood_from_outside_and_one_from_a_bound_endpoint_cost_no_frame(run: Run) -> None:
    run(flooded())


async def flooded() -> None:
    control = Control(await start_media_process("127.0.0.1", 0))
    try:
        ready = await control.wait(Ready)
        with ExitStack() as stack:
            good, bad = (Endpoint(stack, n, "127.0.0.1", ready.address) for n in range(2))
            for endpoint in (good, bad):
                control.media.send(AddChannel(endpoint.channel_id, SECRET))
            control.media.send(AskCounters())
            await control.wait(Counters)
            for endpoint in (good, bad):
                await asyncio.to_thread(endpoint.bind)
                await control.wait(ChannelBound)
            start = replace(START, start_ns=time.monotonic_ns() + 50_000_000)
            control.media.send(start)
            control.media.send(Audience(start.broadcast_id, (good.channel_id,)))
            control.media.send(Frames(start.broadcast_id, INDEX0, tuple(b"opus %d" % n for n in range(FRAMES))))
            over = threading.Event()
            flood = asyncio.create_task(asyncio.to_thread(pour, bad, over))
            assert (await control.wait(AirEnded)).sent == FRAMES
            over.set()
            await flood
            await asyncio.to_thread(good.hear_packets, FRAMES + FRAMES // START.block_frames)
            good.sock.settimeout(0.5)
            for _ in range(40):  # the first may still find the receive buffer full
                try:
                    await probe(good, ready)
                    break
                except TimeoutError:
                    continue
            else:
                raise AssertionError("no probe was answered after the flood")
            control.media.send(AskCounters())
            values = (await control.wait(Counters)).values
        for name in ("dropped_foreign", "dropped_unknown", "dropped_mac", "dropped_limited", "nack_limited"):
            assert values[name] > 0, name
        assert values["frames_skipped"] == 0
    finally:
        await control.media.close()


def pour(endpoint: Endpoint, over: threading.Event) -> None:
    """As fast as it goes: junk, channels that do not exist, forgeries, and NACKs for nothing."""
    forged = channel_wire.encode(Type.KEEPALIVE, b"channel0", 1 << 40, padded(b""), b"x" * 32)
    unknown = channel_wire.encode(Type.KEEPALIVE, b"nobody00", 1, padded(b""), SECRET)
    while not over.is_set():
        endpoint.say(Type.NACK, Nack(5, tuple(range(1 << 30, (1 << 30) + 64))).encode())
        for junk in (b"junk", unknown, forged, bytes(1_400)):
            endpoint.sock.sendto(junk, endpoint.server)


def test_a_sender_takes_precedence_only_where_another_core_is_left_to_stop_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(os, "sched_setscheduler", lambda pid, policy, _param: asked.append(policy))
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0})
    assert not take_precedence()
    assert asked == []
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})
    assert take_precedence()
    assert asked == [os.SCHED_RR | os.SCHED_RESET_ON_FORK]

    def forbidden(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", forbidden)
    assert not take_precedence()


def test_it_ends_when_it_is_told(run: Run) -> None:
    async def ended() -> None:
        control = Control(await start_media_process("127.0.0.1", 0))
        await control.wait(Ready)
        control.media.send(Shutdown())
        assert [event async for event in control.events] == []
        await control.media.close()

    run(ended())


def test_at_its_end_it_says_that_its_unprotected_outputs_are_over(run: Run) -> None:
    route = GroupRoute("239.7.0.3", 5004, ttl=1, interface="", loop=True, source="127.0.0.1")
    there, gone = os.urandom(16), os.urandom(16)  # others may be announced there too

    async def heard(announced: socket.socket, wanted: bytes) -> None:
        async with asyncio.timeout(WAIT_S):
            while await asyncio.get_running_loop().sock_recv(announced, 2_048) != wanted:
                pass

    async def ended() -> None:
        with join_group(Membership(sap_host(route.host), SAP_PORT, route.source)) as announced:
            control = Control(await start_media_process("127.0.0.1", 0))
            await control.wait(Ready)
            control.media.send(UsePlain((PlainOutput(b"area", route, there, gone),)))
            await heard(announced, there)
            await control.media.close()
            await heard(announced, gone)

    run(ended())


def test_an_address_in_use_is_an_error_at_the_start(capfd: pytest.CaptureFixture[str]) -> None:
    async def start(port: int) -> None:
        with pytest.raises(MediaError, match="did not start"):
            await start_media_process("127.0.0.1", port)

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        asyncio.run(start(other.getsockname()[1]))
    assert "cannot be bound" in capfd.readouterr().err


PARENT = """
import asyncio
from loa.broadcast.air.media_process import start_media_process

async def main():
    media = await start_media_process("127.0.0.1", 0)
    print(media.pid, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


def test_kill_9_of_the_parent_ends_it() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = os.pidfd_open(int(parent.stdout.readline()))
        try:
            gone = select.poll()
            gone.register(child, select.POLLIN)
            assert gone.poll(0) == []
            parent.send_signal(signal.SIGKILL)
            assert gone.poll(20_000) != []
        finally:
            os.close(child)
            parent.kill()
