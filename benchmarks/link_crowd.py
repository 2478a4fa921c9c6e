"""Thousands of links of one process: `python -m benchmarks.link_crowd`, spoken to by lines of JSON.

{"do": "connect", "url", "first", "count", "bare"}: all at once, with the back-off of docs/protocol.md; answers when
all are up. "drop": all connections break. "statuses" {"every_s"}: from now on; 0: no more. "listen": ask for sound
by link, and read it at one in twenty. "heard": how late it came there, in ms, and how many packets at each. "bind":
bind an address for each, and answer orders from now on. "orders": when they came; "forget": to begin anew, "deaf"
to those that come by datagram.
"""

from __future__ import annotations

import asyncio
import json
import random
import ssl
import sys
import time
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

import uvloop

from benchmarks.link_end import LinkEnd
from benchmarks.obedient import Obedient
from loa.codecs import link_wire
from loa.codecs.link_media import DoorMessage, MediaMessage
from loa.codecs.link_wire import OrderMessage, Status
from loa.codecs.order_wire import Bundle, Order, Tune
from loa.codecs.rtp import parse_header
from loa.edge.speaker.link_client import FIRST_WAIT_S, HANDSHAKE_S, BackOff
from loa.timing.line import samples_to_ns

SAMPLED_EVERY = 20
"""One of so many listeners notes when each packet came."""
_STATUS = link_wire.encode(Status(1_000_000, -12_000, bytes(16), 5_000, volume=80))
_CONNECTING_AT_ONCE = 500


class Crowd:
    """The endpoints of this process."""

    def __init__(self) -> None:
        self.ends: dict[int, LinkEnd] = {}
        self.counters: Counter[str] = Counter()
        self.obedient: Obedient | None = None
        self.lags_ms: list[float] = []
        self.came: Counter[int] = Counter()
        self._tunes: dict[int, Tune] = {}
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._statuses: asyncio.Task[None] | None = None
        self._gate = asyncio.Semaphore(_CONNECTING_AT_ONCE)

    async def do(self, what: dict[str, Any]) -> object:
        """Do as told; what is to be answered."""
        match what["do"]:
            case "connect":
                return await self._connect(what)
            case "drop":
                for end in list(self.ends.values()):
                    end.abort()
                self.ends.clear()
            case "statuses":
                if self._statuses is not None:
                    self._statuses.cancel()
                    self._statuses = None
                if what["every_s"]:
                    self._statuses = asyncio.create_task(self._send_statuses(what["every_s"]))
            case "listen":
                self.came.clear()
                self.lags_ms.clear()
                for end in self.ends.values():
                    end.deaf = end.number % SAMPLED_EVERY > 0
                    if not end.bare:
                        end.send(link_wire.encode(DoorMessage(True)))
            case "bind":
                self.obedient = Obedient(self.ends)
                await self.obedient.bind()
            case "forget" if self.obedient is not None:
                self.obedient.forget()
                self.obedient.deaf = bool(what.get("deaf"))
            case "orders" if self.obedient is not None:
                return self.obedient.report()
            case "heard":
                return {"lags_ms": self.lags_ms, "came": list(self.came.values())}
        return {}

    async def _connect(self, what: dict[str, Any]) -> object:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        numbers = range(what["first"], what["first"] + what["count"])
        took = await asyncio.gather(*(self._come(number, what) for number in numbers))
        took_s = sorted(each - began_s for each in took)
        attempts = self.counters.pop("attempts")
        return {"took_s": took_s[-1], "median_s": took_s[len(took_s) // 2], "attempts": attempts}

    async def _come(self, number: int, what: dict[str, Any]) -> float:
        """Connect, again and again, until the link is up; when it was."""
        loop = asyncio.get_running_loop()
        parts = urlsplit(what["url"])
        assert parts.hostname is not None
        assert parts.port is not None
        back_off = BackOff(random.Random(number))
        if what.get("spread_s"):
            await asyncio.sleep(random.Random(number).uniform(0.5, 1.5) * FIRST_WAIT_S)
        context = None
        if parts.scheme == "https":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        while True:
            self.counters["attempts"] += 1
            self._waiting[number] = up = loop.create_future()
            end: LinkEnd | None = None
            try:
                async with asyncio.timeout(HANDSHAKE_S):
                    _, end = await loop.create_connection(
                        lambda: LinkEnd(
                            number,
                            parts.netloc,
                            "/link",
                            on_up=self._up,
                            on_message=self._message,
                            on_lost=self._lost,
                            bare=bool(what.get("bare")),
                        ),
                        parts.hostname,
                        parts.port,
                        ssl=context,
                    )
                    await up
                return loop.time()
            except (TimeoutError, OSError):
                if end is not None:
                    end.abort()
                await asyncio.sleep(back_off.next_s())

    def _up(self, end: LinkEnd) -> None:
        self.ends[end.number] = end
        waiting = self._waiting.pop(end.number, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    def _lost(self, end: LinkEnd) -> None:
        if self.ends.get(end.number) is end:
            del self.ends[end.number]
            self.counters["lost"] += 1
        waiting = self._waiting.pop(end.number, None)
        if waiting is not None and not waiting.done():
            waiting.set_exception(ConnectionResetError("lost"))

    def _message(self, end: LinkEnd, payload: memoryview) -> None:
        if self.obedient is not None:
            self.obedient.message(end, payload)
            return
        if end.number % SAMPLED_EVERY:
            return
        now_ns = time.monotonic_ns()
        if end.bare:
            self._note(end, now_ns, int.from_bytes(payload[:8], "big"))
            return
        message = link_wire.decode(bytes(payload))
        if isinstance(message, OrderMessage):
            action = Order.decode(Bundle.decode(message.bundle).envelope.body).action
            if isinstance(action, Tune):
                self._tunes[action.ssrc] = action
        elif isinstance(message, MediaMessage):
            for packet in message.packets:
                header = parse_header(packet)[0]
                tune = self._tunes.get(header.ssrc)
                if tune is not None:
                    number = (header.sequence - tune.index0) % (1 << 16)
                    self._note(end, now_ns, tune.start_ns + samples_to_ns(number * tune.frame_samples))

    def _note(self, end: LinkEnd, now_ns: int, due_ns: int) -> None:
        self.lags_ms.append((now_ns - due_ns) / 1e6)
        self.came[end.number] += 1

    async def _send_statuses(self, every_s: float) -> None:
        """Evenly spread over the time."""
        turns = 50
        while True:
            ends = list(self.ends.values())
            for turn in range(turns):
                for end in ends[turn::turns]:
                    end.send(_STATUS)
                await asyncio.sleep(every_s / turns)


async def _run() -> None:
    loop = asyncio.get_running_loop()
    crowd = Crowd()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        what = json.loads(line)
        print(json.dumps(await crowd.do(what)), flush=True)


if __name__ == "__main__":
    uvloop.run(_run())
