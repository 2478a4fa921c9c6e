"""One generating process: its endpoints, and the clock that goes round them."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import resource
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from loa import __version__
from loa.app.load.identities import Enrolled
from loa.app.load.joiner import Joiner
from loa.app.load.media_sockets import MediaSockets
from loa.app.load.member import Alarm, Member, Standing
from loa.app.load.orders_seen import OrdersSeen
from loa.app.load.plan import LoadPlan, is_loopback, loopback_address
from loa.app.load.sampled import CARD_RATE_HZ, Sampled
from loa.app.load.shared_work import SharedWork
from loa.app.load.sink import Sink
from loa.app.load.sink_sockets import SinkSocket
from loa.app.load.tally import Tally
from loa.app.load.wheel import TimerWheel
from loa.codecs import libopus
from loa.codecs.authority import Authority
from loa.edge.speaker import interpolate
from loa.edge.speaker.link_session import Welcomed
from loa.timing.clock import Clock, SystemClock

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
ROUND_S = 0.01
POLL_ROUNDS = 2
TICK_ROUNDS = 4
RENDER_ROUNDS = 10
"""An endpoint of the sample looks at its socket, its gaps and its card every so many rounds."""
LATE_NS = 100 * NS_PER_MS
"""A round that comes so late is one in which this process, or its machine, was too slow for what it generates."""
AWAY_NS = (1 * NS_PER_S, 3 * NS_PER_S)
"""How long an endpoint that left stays away."""
SOUND_RATE_HZ = 48_000
SOFTWARE = f"loa load {__version__}"


@dataclass(frozen=True, slots=True)
class Task:
    """What a process is to be: its endpoints in the order in which they join, `at_once` at a time.

    `sampled`: they hear everything; otherwise they are sinks.
    """

    core_url: str
    plan: LoadPlan
    at_once: int
    root_key: bytes
    key_list: bytes
    endpoints: Sequence[Enrolled]
    sampled: bool


class Generator:
    """The endpoints of one process; `loa.app.load.member.World` to them."""

    def __init__(self, task: Task) -> None:
        self.clock: Clock = SystemClock()
        self.rng = random.Random(f"{task.plan.seed} {task.endpoints[0].number if task.endpoints else 0}")
        self.tally = Tally()
        self.wheel: TimerWheel[Alarm] = TimerWheel(20 * NS_PER_MS)
        self.churn_per_s = 0.0
        self._media_host = urlsplit(task.core_url).hostname or ""
        self._joiner = Joiner(
            task.core_url,
            at_once=task.at_once,
            from_loopback=is_loopback(task.core_url),
        )
        self._media = MediaSockets(self.clock.utc_ns)
        self.order_messages: dict[bytes, bytes] = {}
        self._away: deque[tuple[int, Member]] = deque()
        self._leave_debt = 0.0
        self._places: dict[int, int] = {}
        # What the first sound would wait for is made now.
        libopus.load()
        interpolate.table_for_step(SOUND_RATE_HZ / CARD_RATE_HZ)
        self.sampled: list[Sampled] = []
        self.sinks: list[Sink] = []
        self.members = self.make_members(task)

    def make_members(self, task: Task) -> list[Member]:
        """The endpoints of the task."""
        plan = task.plan
        authority = Authority(task.root_key, task.key_list)
        orders, shared = OrdersSeen(authority), SharedWork()
        members: list[Member] = []
        for enrolled in task.endpoints:
            number, identity = enrolled.number, enrolled.identity(authority)
            if task.sampled:
                sampled = Sampled(
                    self,
                    number,
                    identity,
                    SOFTWARE,
                    orders,
                    shared,
                    loss=plan.loss,
                    skewed=plan.skewed,
                    seed=plan.seed,
                )
                self.sampled.append(sampled)
                members.append(sampled)
            else:
                sink = Sink(self, number, identity, SOFTWARE, orders, loopback_address(number))
                sink.statuses, sink.probes, sink.nack_share = plan.statuses, plan.probes, plan.nack
                self._places[number] = len(self.sinks)
                self.sinks.append(sink)
                members.append(sink)
        return members

    # --- World ------------------------------------------------------------------------------------------------

    def ask_to_join(self, member: Member) -> None:
        """See World."""
        self._joiner.ask(member)

    def handshake_over(self, member: Member) -> None:
        """See World."""
        self._joiner.over()

    def open_media(self, member: Member, welcomed: Welcomed) -> None:
        """See World."""
        server = self._media.resolve((welcomed.media_host or self._media_host, welcomed.media_port))
        if isinstance(member, Sampled):
            member.open_channel(self._media.for_sampled(member.number), welcomed, server)
        elif isinstance(member, Sink):
            member.open_channel(self._media.for_sink(member, self._places[member.number]))

    def release(self, media: SinkSocket) -> None:
        """See World."""
        self._media.release(media)

    # --- what it is told --------------------------------------------------------------------------------------

    def join_all(self) -> None:
        """All want to be linked, in their order."""
        for member in self.members:
            member.join()

    def mark(self) -> None:
        """What is measured begins now: how this process kept up until here does not count.

        Garbage is not looked for among the endpoints any more: ten thousand take a tenth of a second each time.
        """
        gc.collect()
        gc.freeze()
        for name in ("rounds_late", "sample_underruns"):
            self.tally.counts[name] = 0

    async def leave_all(self) -> None:
        """Nobody wants to be linked; returns when the goodbyes are on their way."""
        self.churn_per_s = 0
        self._joiner.forget()
        for member in self.members:
            member.leave(with_goodbye=True)
        await asyncio.sleep(0.2)
        self._media.close()

    async def run(self) -> None:
        """Go round until cancelled."""
        loop = asyncio.get_running_loop()
        rounds, due_s = 0, loop.time()
        while True:
            self._round(rounds)
            rounds += 1
            due_s += ROUND_S
            late_s = loop.time() - due_s
            if late_s > LATE_NS / NS_PER_S:
                self.tally.counts["rounds_late"] += 1
                due_s = loop.time()
            await asyncio.sleep(max(0.0, -late_s))

    def _round(self, rounds: int) -> None:
        now_ns = self.clock.monotonic_ns()
        utc_less_monotonic_ns = self.clock.utc_ns() - now_ns
        for sampled in self.sampled[rounds % POLL_ROUNDS :: POLL_ROUNDS]:
            sampled.poll(utc_less_monotonic_ns)
        for sampled in self.sampled[rounds % TICK_ROUNDS :: TICK_ROUNDS]:
            sampled.tick()
        for sampled in self.sampled[rounds % RENDER_ROUNDS :: RENDER_ROUNDS]:
            sampled.render()
        for member, timer, life, about in self.wheel.due(now_ns):
            member.wake(timer, life, about, now_ns)
        self._churn(now_ns)

    def _churn(self, now_ns: int) -> None:
        """Let sinks leave at the wanted rate, half of them without a goodbye, and come back after a while."""
        while self._away and self._away[0][0] <= now_ns:
            self._away.popleft()[1].join()
        self._leave_debt += self.churn_per_s * ROUND_S
        while self._leave_debt >= 1 and self.sinks:
            self._leave_debt -= 1
            sink = self.rng.choice(self.sinks)
            if sink.standing is Standing.BOUND:
                sink.leave(with_goodbye=self.rng.random() < 0.5)
                self.tally.counts["leaves"] += 1
                self._away.append((now_ns + self.rng.randint(*AWAY_NS), sink))

    # --- what it tells ----------------------------------------------------------------------------------------

    def gauges(self) -> dict[str, int]:
        """How things stand now."""
        standing = [member.standing for member in self.members]
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "endpoints": len(self.members),
            "linked": sum(each >= Standing.LINKED for each in standing),
            "bound": sum(each is Standing.BOUND for each in standing),
            "sampled": len(self.sampled),
            "joining": len(self._joiner),
            "away": len(self._away),
            "processes": 1,
            "cpu_ms": int((usage.ru_utime + usage.ru_stime) * 1000),
            "rss_bytes": _rss_bytes(),
        }

    def report(self) -> dict[str, Any]:
        """All that has been counted, as plain JSON values."""
        tally = self.tally
        tally.gauges.clear()
        tally.gauges.update(self.gauges())
        tally.gauges["sink_packets"] = self._media.dropped
        for sampled in self.sampled:
            for name, count in sampled.heard().items():
                tally.gauges[f"sample_{name}"] += count
            error_ns = sampled.clock_error_ns()
            if error_ns is not None:
                tally.clock_error_us.add(error_ns // 1000)
        return tally.to_json()


def _rss_bytes() -> int:
    """Memory that this process holds now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
