"""Enrolled endpoints that have turned against the core, and strangers: floods, flapping, silence."""

from __future__ import annotations

import asyncio
import random
import secrets
import socket
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable

import aiohttp

from loa.app.load.websocket import Opcode, encode_frame
from loa.codecs import channel_wire, link_wire
from loa.codecs.channel_wire import Probe, Type, padded
from loa.codecs.group_wire import Hearing
from loa.codecs.key_schedule import Agreement
from loa.codecs.link_media import ClockProbe, DoorMessage
from loa.codecs.link_wire import SUBPROTOCOL, Hello, Status
from tests.e2e.listener import Listener

PAUSE_S = 0.005
STALLED = 40
GREEDY = 12


class Besieger:
    """Attacks on the core at `url` by members that have a link, and by strangers. `done` counts what was done."""

    def __init__(self, url: str, seed: int) -> None:
        self.done: Counter[str] = Counter()
        self._url = url
        self._rng = random.Random(seed)

    async def _go_on(self, name: str, act: Callable[[], None]) -> None:
        while True:
            act()
            self.done[name] += 1
            await asyncio.sleep(PAUSE_S)

    async def flood_from_inside(self, member: Listener, ssrc: int) -> None:
        """Keep-alives, probes, and NACKs for what was sent and for what never was, all with true MACs."""

        def act() -> None:
            for at in range(5):
                member.send(Type.KEEPALIVE, padded(b""))
                member.send(Type.PROBE, Probe(time.monotonic_ns()).encode())
                member.nack(ssrc, *range(at, 600, 3))

        await self._go_on("flood from inside", act)

    async def flood_from_outside(self, member: Listener) -> None:
        """Garbage, and what a member says: again, changed, and under its name, from another address."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as thief:
            thief.setblocking(False)

            def act() -> None:
                garbage = self._rng.randbytes(self._rng.randrange(1, 1400))
                counter, channel = self._rng.getrandbits(40), member.channel_id
                for data in (
                    garbage,
                    b"\xc1" + garbage,
                    member.upward[-1],
                    channel_wire.encode(Type.KEEPALIVE, channel, counter, padded(b""), bytes(16)),
                    channel_wire.encode(Type.ECHO, channel, counter, bytes(16), bytes(16)),
                ):
                    thief.sendto(data, member.media)

            await self._go_on("flood from outside", act)

    async def flood_by_link(self, member: Listener) -> None:
        """Statuses, questions for the time, flapping groups and pings, and no answer is read."""
        said = (Status(0, 0), ClockProbe(1), Hearing(1, True), Hearing(1, False))
        flood = b"".join(encode_frame(Opcode.BINARY, link_wire.encode(each), b"mask") for each in said)
        flood += encode_frame(Opcode.PING, bytes(125), b"mask") + encode_frame(Opcode.PONG, b"", b"mask")
        line = member.line
        line.pause_reading()

        def act() -> None:
            if line.get_write_buffer_size() < 1 << 16 and not line.is_closing():
                line.write(flood * 50)

        await self._go_on("flood by link", act)

    async def flap(self, member: Listener) -> None:
        """Another door as soon as the core takes a change, and sooner; a new link whenever this one is ended."""
        by_link = False
        while True:
            by_link = not by_link
            try:
                await member.say(DoorMessage(by_link))
                self.done["doors"] += 1
                await asyncio.sleep(self._rng.choice((0.0, 0.3, 1.05)))
            except ConnectionError:
                await member.disconnect()
                await member.connect(self._url)
                self.done["links anew"] += 1

    async def stall(self, endpoint_id: bytes) -> None:
        """Many hellos in the name of one endpoint, and then nothing."""
        hello = link_wire.encode(Hello(endpoint_id, secrets.token_bytes(32), Agreement().public, 0, "besieger"))
        async with aiohttp.ClientSession() as session:

            async def one() -> None:
                while True:
                    async with session.ws_connect(f"{self._url}/link", protocols=(SUBPROTOCOL,)) as link:
                        await link.send_bytes(hello)
                        self.done["stalled hellos"] += 1
                        async for _ in link:
                            pass
                    await asyncio.sleep(0.2)

            await _all(one() for _ in range(STALLED))

    async def listen_greedily(self, broadcast_id: str, http_port: int) -> None:
        """Listeners over HTTP that read nothing, a byte at a time, or leave at once."""
        request = f"GET /listen/{broadcast_id}.ogg HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()

        async def one(number: int) -> None:
            while True:
                reader, writer = await asyncio.open_connection("127.0.0.1", http_port, limit=1)
                writer.write(request)
                self.done["greedy listeners"] += 1
                try:
                    if number % 3 == 0:
                        await asyncio.Event().wait()
                    for _ in range(200 if number % 3 == 1 else 1):
                        await reader.read(1)
                        await asyncio.sleep(PAUSE_S)
                finally:
                    writer.transport.abort()
                    writer.close()

        await _all(one(number) for number in range(GREEDY))


async def _all(works: Iterable[Coroutine[None, None, None]]) -> None:
    async with asyncio.TaskGroup() as group:
        for work in works:
            group.create_task(work)
