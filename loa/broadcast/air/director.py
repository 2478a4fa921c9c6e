"""The director takes programmes on air: the order, the sound, who gets it, and how it ends.

One `Running` for each broadcast on air. The order is durable before it is sent, and sent before the sound.
The media process paces; the director only keeps its buffer filled and writes down how far the sound has come.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from loa.broadcast.air.epoch import EpochSecrets
from loa.broadcast.air.hub import Hub, Session
from loa.broadcast.air.media_port import (
    AirEnded,
    AirProgress,
    Audience,
    Frames,
    MediaPort,
    SendOrder,
    SettleOrder,
    StartAir,
    StopAir,
)
from loa.broadcast.content.library import Library
from loa.broadcast.orders.book import IssuedOrder, OrderBook
from loa.broadcast.records import Broadcast, Programme, ProgrammeClass
from loa.broadcast.registry.endpoints import Endpoints
from loa.broadcast.store.broadcasts import Broadcasts
from loa.codecs.link_wire import Receipt
from loa.codecs.order_wire import Stop, Tune
from loa.codecs.signed import SigningKey
from loa.errors import Conflict
from loa.model import BroadcastState, ReceiptState, new_id
from loa.timing.clock import Clock
from loa.timing.line import samples_to_ns

LEAD_MS = 30
"""From the decision to the first frame: time for the order to be written down and sent."""
BUFFER_FRAMES = 250
CHUNK_FRAMES = 50
BLOCK_MS = 100
"""What a block covers at most; it bounds how long a live listener must wait for one."""
STOP_FADE_MS = 50
START_FADE_MS = 0
STOP_ORDER_VALID_MS = 600_000
TUNE_GRACE_MS = 60_000

log = structlog.get_logger("loa.air")


@dataclass(frozen=True, slots=True)
class Request:
    """What a person asks for: a programme, now, to areas and endpoints."""

    programme: Programme
    areas: tuple[bytes, ...]
    endpoints: tuple[bytes, ...]
    priority: int
    volume: int
    play_delay_ms: int


@dataclass(slots=True)
class Running:
    """A broadcast on air: its order, its sound, and the channels that get it."""

    broadcast: Broadcast
    tune: Tune
    order: IssuedOrder
    packets: Sequence[bytes]
    targets: frozenset[bytes]
    fed: int = 0
    audience: set[bytes] = field(default_factory=set)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def frames_aired(self) -> int:
        """Frames that have been sent, as far as is known."""
        return self.broadcast.frames_aired


class Director:
    """What is on air. Implements `hub.AirDesk`."""

    def __init__(
        self,
        *,
        hub: Hub,
        book: OrderBook,
        broadcasts: Broadcasts,
        endpoints: Endpoints,
        library: Library,
        clock: Clock,
        sign_sound: bool = True,
    ) -> None:
        self._hub = hub
        self._book = book
        self._broadcasts = broadcasts
        self._endpoints = endpoints
        self._library = library
        self._clock = clock
        self._sign_sound = sign_sound
        self._media: MediaPort | None = None
        self._epoch: EpochSecrets | None = None
        self._running: dict[bytes, Running] = {}
        self._repeating: dict[bytes, set[bytes]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.counters: Counter[str] = Counter()

    def open_epoch(self, media: MediaPort, epoch: EpochSecrets) -> None:
        """A media process is up; broadcasts from now on belong to its epoch."""
        self._media, self._epoch = media, epoch

    def close_epoch(self) -> None:
        """The media process is gone, and with it what was on air."""
        self._media, self._epoch = None, None
        for running in list(self._running.values()):
            self._finish(running, BroadcastState.FAILED, "media_process_ended")

    async def recover(self) -> int:
        """Tell the truth about broadcasts that an earlier process left on air; how many there were."""
        left = await self._broadcasts.unfinished()
        for broadcast in left:
            await self._broadcasts.save(
                replace(
                    broadcast,
                    state=BroadcastState.FAILED,
                    ended_utc_ms=_last_known_ms(broadcast),
                    reason="core_restarted",
                )
            )
        return len(left)

    def running(self, broadcast_id: bytes) -> Running | None:
        """The broadcast if it is on air now."""
        return self._running.get(broadcast_id)

    def on_air(self) -> Sequence[Running]:
        """All that is on air."""
        return tuple(self._running.values())

    async def start(self, request: Request) -> Broadcast:
        """Take a programme on air now. NotFound for unknown targets; Conflict while there is no media process."""
        media, epoch = self._media, self._epoch
        if media is None or epoch is None:
            raise Conflict("the media process is not running")
        targets = await self._endpoints.targeted(request.areas, request.endpoints)
        packets = await self._library.packets(request.programme)
        now_ns, now_ms = self._clock.monotonic_ns(), self._now_ms()
        broadcast = Broadcast(
            id=new_id(now_ms),
            programme_id=request.programme.id,
            state=BroadcastState.PREPARING,
            priority=request.priority,
            volume=request.volume,
            play_delay_ms=request.play_delay_ms,
            areas=request.areas,
            endpoints=request.endpoints,
            created_ms=now_ms,
            generation=1,
            ssrc=None,
            start_utc_ms=None,
            ended_utc_ms=None,
            frames_total=len(packets),
            frames_aired=0,
            reason="",
        )
        await self._broadcasts.create(broadcast)
        signed = self._sign_sound or request.programme.klass is ProgrammeClass.EMERGENCY
        block_key = SigningKey.generate() if signed else None
        tune = self._tune(broadcast, request, epoch, block_key, now_ns)
        order = await self._book.issue(
            tune,
            request.areas,
            request.endpoints,
            now_ms,
            self._end_ms(tune, now_ns, now_ms) + TUNE_GRACE_MS,
            broadcast.id,
        )
        broadcast = replace(
            broadcast,
            state=BroadcastState.ON_AIR,
            ssrc=tune.ssrc,
            start_utc_ms=now_ms + (tune.start_ns - now_ns) // 1_000_000,
        )
        running = Running(broadcast, tune, order, packets, frozenset(endpoint.id for endpoint in targets))
        sessions = [s for s in (self._hub.session(e.id) for e in targets) if s is not None]
        running.audience = {session.channel_id for session in sessions}
        self._running[broadcast.id] = running
        self._send_order(media, order, sessions)
        self._take_on_air(media, epoch, running, block_key)
        await self._broadcasts.save(broadcast)
        self.counters["broadcasts_started"] += 1
        log.info("on air", programme=request.programme.title, targets=len(targets), linked=len(sessions))
        return broadcast

    def _tune(
        self,
        broadcast: Broadcast,
        request: Request,
        epoch: EpochSecrets,
        block_key: SigningKey | None,
        now_ns: int,
    ) -> Tune:
        ssrc, block_ssrc = self._free_ssrcs()
        index0 = secrets.randbelow(1 << 16)
        frame_ms = request.programme.frame_samples // 48
        return Tune(
            broadcast_id=broadcast.id,
            generation=broadcast.generation,
            ssrc=ssrc,
            block_ssrc=block_ssrc,
            index0=index0,
            timestamp0=secrets.randbits(32),
            epoch=epoch.epoch,
            start_ns=now_ns + LEAD_MS * 1_000_000,
            play_delay_ms=request.play_delay_ms,
            frame_samples=request.programme.frame_samples,
            priority=request.priority,
            volume=request.volume,
            fade_ms=START_FADE_MS,
            secret_serial=epoch.serial,
            block_key=block_key.public_key if block_key else b"",
            block_frames=max(1, BLOCK_MS // frame_ms),
            end_index=index0 + broadcast.frames_total,
        )

    def _free_ssrcs(self) -> tuple[int, int]:
        taken = {s for r in self._running.values() for s in (r.tune.ssrc, r.tune.block_ssrc)}
        free: list[int] = []
        while len(free) < 2:
            ssrc = secrets.randbits(32)
            if ssrc not in taken:
                taken.add(ssrc)
                free.append(ssrc)
        return free[0], free[1]

    @staticmethod
    def _end_ms(tune: Tune, now_ns: int, now_ms: int) -> int:
        frames = (tune.end_index or tune.index0) - tune.index0
        end_ns = tune.start_ns + samples_to_ns(frames * tune.frame_samples)
        return now_ms + (end_ns - now_ns) // 1_000_000 + tune.play_delay_ms

    def _take_on_air(
        self, media: MediaPort, epoch: EpochSecrets, running: Running, block_key: SigningKey | None
    ) -> None:
        tune = running.tune
        key = epoch.media_key(tune.broadcast_id, tune.generation)
        media.send(
            StartAir(
                broadcast_id=tune.broadcast_id,
                generation=tune.generation,
                ssrc=tune.ssrc,
                block_ssrc=tune.block_ssrc,
                index0=tune.index0,
                timestamp0=tune.timestamp0,
                start_ns=tune.start_ns,
                frame_samples=tune.frame_samples,
                master_key=key.key,
                master_salt=key.salt,
                block_seed=block_key.seed if block_key else b"",
                block_frames=tune.block_frames,
                end_index=tune.end_index,
                audience=tuple(running.audience),
            )
        )
        self._feed(media, running, buffered=0)

    def _feed(self, media: MediaPort, running: Running, buffered: int) -> None:
        room = BUFFER_FRAMES - buffered
        while room > 0 and running.fed < len(running.packets):
            chunk = tuple(running.packets[running.fed : running.fed + CHUNK_FRAMES])
            media.send(Frames(running.tune.broadcast_id, running.tune.index0 + running.fed, chunk))
            running.fed += len(chunk)
            room -= len(chunk)

    def _send_order(self, media: MediaPort, order: IssuedOrder, sessions: Sequence[Session]) -> None:
        channels = tuple(session.channel_id for session in sessions)
        if order.datagram is not None and channels:
            media.send(SendOrder(order.order_id, order.datagram, channels))
            self._repeating[order.order_id] = set(channels)
        self._hub.order(sessions, order.bundle)

    async def stop(self, broadcast_id: bytes) -> Broadcast:
        """Stop a broadcast: silence by a signed order. NotFound; a broadcast that has ended is returned as it is."""
        running = self._running.get(broadcast_id)
        media = self._media
        if running is None or media is None:
            return await self._broadcasts.get(broadcast_id)
        now_ms = self._now_ms()
        order = await self._book.issue(
            Stop(broadcast_id, STOP_FADE_MS, running.broadcast.priority),
            running.broadcast.areas,
            running.broadcast.endpoints,
            now_ms,
            now_ms + STOP_ORDER_VALID_MS,
            broadcast_id,
        )
        sessions = [s for s in (self._hub.session(e) for e in running.targets) if s is not None]
        self._send_order(media, order, sessions)
        media.send(StopAir(broadcast_id))
        self._finish(running, BroadcastState.STOPPED, "stopped")
        await self.settled()
        return await self._broadcasts.get(broadcast_id)

    async def joined(self, session: Session) -> None:
        """An endpoint came: what is on air for it is ordered again, and its sound sent from the next frame."""
        for running in list(self._running.values()):
            if session.endpoint.id not in running.targets:
                continue
            self._hub.order([session], running.order.bundle)
            running.audience.add(session.channel_id)
            if self._media is not None:
                self._media.send(Audience(running.tune.broadcast_id, (session.channel_id,)))

    def left(self, session: Session) -> None:
        """An endpoint's channel is gone. The media process has dropped it by itself."""
        for running in self._running.values():
            running.audience.discard(session.channel_id)
        for channels in self._repeating.values():
            channels.discard(session.channel_id)

    def answered(self, session: Session, receipts: Sequence[Receipt]) -> None:
        """An endpoint answered: its orders need not be repeated."""
        for receipt in receipts:
            waiting = self._repeating.get(receipt.order_id)
            # A refusal may be of false bytes that somebody sent under the order's name: the true ones go on.
            if waiting is None or session.channel_id not in waiting or receipt.state == ReceiptState.REFUSED:
                continue
            waiting.discard(session.channel_id)
            if self._media is not None:
                self._media.send(SettleOrder(receipt.order_id, (session.channel_id,)))
            if not waiting:
                del self._repeating[receipt.order_id]

    def progress(self, event: AirProgress) -> None:
        """The media process tells how far it is: feed it, and write it down."""
        running = self._running.get(event.broadcast_id)
        if running is None or running.tune.generation != event.generation or self._media is None:
            return
        aired = event.next_index - running.tune.index0
        running.broadcast = replace(running.broadcast, frames_aired=aired)
        self._feed(self._media, running, event.buffered)
        self._spawn(self._broadcasts.progress(event.broadcast_id, aired))

    def air_ended(self, event: AirEnded) -> None:
        """The media process sends no more of a broadcast."""
        running = self._running.get(event.broadcast_id)
        if running is None or running.tune.generation != event.generation:
            return
        aired = event.next_index - running.tune.index0
        running.broadcast = replace(running.broadcast, frames_aired=aired)
        if event.reason == "end":
            self._spawn(self._end_after_play_delay(running))
        else:
            self._finish(running, BroadcastState.FAILED, event.reason)

    async def _end_after_play_delay(self, running: Running) -> None:
        await asyncio.sleep(running.tune.play_delay_ms / 1000)
        self._finish(running, BroadcastState.ENDED, "end")

    def _finish(self, running: Running, state: BroadcastState, reason: str) -> None:
        if self._running.pop(running.broadcast.id, None) is None:
            return
        self._repeating.pop(running.order.order_id, None)
        running.broadcast = replace(running.broadcast, state=state, ended_utc_ms=self._now_ms(), reason=reason)
        running.ended.set()
        self.counters[f"broadcasts_{state}"] += 1
        log.info("off air", state=state, frames=running.frames_aired, reason=reason)
        self._spawn(self._broadcasts.save(running.broadcast))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.counters["store_failures"] += 1
            log.error("not written down", error=str(error))

    async def settled(self) -> None:
        """Wait until everything known so far is written down."""
        while self._tasks:
            await asyncio.wait(list(self._tasks))

    async def close(self) -> None:
        """Stop everything on air, truthfully, and wait until it is written down."""
        for broadcast_id in list(self._running):
            await self.stop(broadcast_id)
        await self.settled()

    def _now_ms(self) -> int:
        return self._clock.utc_ns() // 1_000_000


def _last_known_ms(broadcast: Broadcast) -> int | None:
    """When the last frame that is known to have been sent ended: the latest that can be claimed."""
    if broadcast.start_utc_ms is None:
        return None
    return broadcast.start_utc_ms + broadcast.frames_aired * 20
