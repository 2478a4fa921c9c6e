"""Thousands of endpoints of one process: `python -m benchmarks.link_crowd`, spoken to by lines of JSON.

They are those of `loa load`, but all of them come at once, and each link is the benchmark's to break.
{"do": "connect", "url", "core", "endpoints", "count", "spread"}: the first so many of so many endpoints, with the
back-off of docs/protocol.md; answers when all are up. "core": the core's folder; without one, bare WebSockets.
"drop": all connections break. "statuses" {"every_s"}: from now on; 0: no more. "listen": ask for sound by link, and
read it at one in twenty. "heard": how late it came there, in ms, and how many packets at each. "bind": bind an
address for each. "orders": when they came; "forget": to begin anew, "deaf" to those that come by datagram.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import uvloop

from benchmarks.city import enrolled
from benchmarks.obedient import Obedient, Seen
from loa.app.load.generator import SOFTWARE, Generator, Task
from loa.app.load.link import Link
from loa.app.load.member import Member, Standing
from loa.app.load.plan import LoadPlan, loopback_address
from loa.app.open_files import raise_file_limit
from loa.broadcast.orders import key_files
from loa.codecs import link_wire
from loa.codecs.authority import Authority, Right
from loa.codecs.link_media import DoorMessage
from loa.codecs.link_wire import Status
from loa.codecs.signed import Envelope
from loa.edge.speaker.channel import KEEPALIVE_NS
from loa.edge.speaker.link_client import BackOff
from loa.edge.speaker.link_session import Welcomed

SAMPLED_EVERY = 20
"""One of so many listeners notes when each packet came."""
SOUND_AT = 0
"""The endpoint that hears sound."""
BIND_TURNS = 100
_STATUS = link_wire.encode(Status(1_000_000, -12_000, bytes(16), 5_000, volume=80))


class Believing(Authority):
    """Checks no signature: that is an endpoint's work, and not the core's that is measured beside it."""

    def entitled(
        self,
        envelope: Envelope,
        right: Right,
        *,
        utc_s: int,
        place: Sequence[bytes] = (),
        chain: Sequence[bytes] = (),
    ) -> None:
        """See Authority."""


class Endpoints(Generator):
    """The endpoints of a core. They bind an address when `bind` has been called, and not before."""

    def __init__(self, url: str, core: Path, count: int) -> None:
        self.seen = Seen()
        self.up_s: dict[int, float] = {}
        """When links came up, by the loop's clock."""
        self._binding = False
        self._welcomed: dict[int, Welcomed] = {}
        keys = core / "keys"
        root = key_files.read_root_public(keys)
        numbers = range(count)
        super().__init__(
            Task(
                url,
                LoadPlan(count),
                at_once=count,
                root_key=root,
                key_list=key_files.read_key_list(keys, root)[1],
                endpoints=[enrolled(number) for number in numbers],
                sampled=False,
            )
        )
        self.going_round = asyncio.create_task(self.run())

    def make_members(self, task: Task) -> list[Member]:
        """See Generator."""
        authority = Believing(task.root_key, task.key_list)
        made: list[Member] = []
        for each in task.endpoints:
            number = each.number
            member = Obedient(self, number, each.identity(authority), SOFTWARE, loopback_address(number))
            member.seen = self.seen
            made.append(member)
        return made

    def handshake_over(self, member: Member) -> None:
        """See World."""
        super().handshake_over(member)
        if member.standing is Standing.LINKED:
            self.up_s[member.number] = asyncio.get_running_loop().time()

    def open_media(self, member: Member, welcomed: Welcomed) -> None:
        """See World."""
        self._welcomed[member.number] = welcomed
        if self._binding and isinstance(member, Obedient):
            self._media.resolve((welcomed.media_host or self._media_host, welcomed.media_port))
            sound = member.number == SOUND_AT
            member.open_channel(self._media.for_sink(member, member.number, sound=sound))

    async def connect(self, count: int, *, spread: bool) -> dict[str, object]:
        """Let the first `count` come; returns when all are up. `spread`: each after the wait for a lost link."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        self.up_s.clear()
        refused = self.tally.counts["links_refused"]
        for member in self.members[:count]:
            wait_s = BackOff(random.Random(member.number)).next_s() if spread else 0
            loop.call_later(wait_s, member.join)
        await _until(lambda: len(self.up_s) == count)
        self.mark()
        took_s = sorted(each - began_s for each in self.up_s.values())
        attempts = count + self.tally.counts["links_refused"] - refused
        return {"took_s": took_s[-1], "median_s": took_s[len(took_s) // 2], "attempts": attempts}

    async def bind(self) -> None:
        """Bind an address for each; returns when all are bound. It takes as long as a keep-alive is good for: so
        there are as many of them at any time."""
        self._binding = True
        linked = [member for member in self.members if member.standing is Standing.LINKED]
        for turn in range(BIND_TURNS):
            for member in linked[turn::BIND_TURNS]:
                if member.standing is Standing.LINKED:
                    self.open_media(member, self._welcomed[member.number])
            await asyncio.sleep(KEEPALIVE_NS / 1e9 / BIND_TURNS)
        await _until(lambda: all(member.standing is Standing.BOUND for member in linked))

    def listen(self) -> None:
        """Ask for sound by link; most of them do not read it."""
        for member in self.members:
            if member.number % SAMPLED_EVERY:
                member.deafen()
            member.send(link_wire.encode(DoorMessage(True)))


class BareEnd:
    """A WebSocket without a handshake; a message begins with the instant at which it is due (8 bytes, ns)."""

    def __init__(self, number: int, seen: Seen, up: asyncio.Future[None]) -> None:
        self._number, self._seen, self._up = number, seen, up

    def link_open(self, link: Link) -> None:
        """See LinkOwner."""
        link.deaf = self._number % SAMPLED_EVERY > 0
        self._up.set_result(None)

    def link_message(self, link: Link, data: bytes) -> None:
        """See LinkOwner."""
        self._seen.note_lag(self._number, time.monotonic_ns(), int.from_bytes(data[:8], "big"))

    def link_lost(self, link: Link, reason: str) -> None:
        """See LinkOwner."""
        if not self._up.done():
            self._up.set_exception(ConnectionError(reason))


async def _connect_bare(url: str, count: int, seen: Seen) -> None:
    loop, parts = asyncio.get_running_loop(), urlsplit(url)

    assert parts.hostname is not None
    assert parts.port is not None
    address = parts.hostname, parts.port

    async def one(number: int) -> None:
        up = loop.create_future()
        end = BareEnd(number, seen, up)
        await loop.create_connection(lambda: Link(parts.netloc, "/link", end), *address)
        await up

    await asyncio.gather(*(one(number) for number in range(count)))


class Crowd:
    """Does as it is told."""

    def __init__(self) -> None:
        self._endpoints: Endpoints | None = None
        self._bare = Seen()
        self._statuses: asyncio.Task[None] | None = None

    async def do(self, what: dict[str, Any]) -> object:
        """Do as told; what is to be answered."""
        endpoints = self._endpoints
        seen = self._bare if endpoints is None else endpoints.seen
        match what["do"]:
            case "connect" if "core" not in what:
                await _connect_bare(what["url"], what["count"], seen)
            case "connect":
                if endpoints is None:
                    endpoints = self._endpoints = Endpoints(what["url"], Path(what["core"]), what["endpoints"])
                return await endpoints.connect(what["count"], spread=bool(what.get("spread")))
            case "drop" if endpoints is not None:
                for member in endpoints.members:
                    member.leave(with_goodbye=False)
            case "statuses" if endpoints is not None:
                if self._statuses is not None:
                    self._statuses.cancel()
                    self._statuses = None
                if what["every_s"]:
                    self._statuses = asyncio.create_task(_send_statuses(endpoints.members, what["every_s"]))
            case "listen" if endpoints is not None:
                endpoints.listen()
            case "heard":
                return {"lags_ms": seen.lags_ms, "came": list(seen.came.values())}
            case "bind" if endpoints is not None:
                await endpoints.bind()
            case "forget":
                seen.orders.clear()
                seen.sound_ns.clear()
                seen.deaf = bool(what.get("deaf"))
            case "orders" if endpoints is not None:
                return seen.report(endpoints.gauges()["linked"])
        return {}


async def _until(holds: Callable[[], bool]) -> None:
    while True:
        if holds():
            return
        await asyncio.sleep(0.02)


async def _send_statuses(members: list[Member], every_s: float) -> None:
    """Evenly spread over the time."""
    turns = 50
    while True:
        for turn in range(turns):
            for member in members[turn::turns]:
                member.send(_STATUS)
            await asyncio.sleep(every_s / turns)


async def _run() -> None:
    raise_file_limit()
    loop = asyncio.get_running_loop()
    crowd = Crowd()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        what = json.loads(line)
        print(json.dumps(await crowd.do(what)), flush=True)


if __name__ == "__main__":
    uvloop.run(_run())
