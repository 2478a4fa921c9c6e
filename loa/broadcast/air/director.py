"""The director takes programmes on air: the order, the sound, who gets it, and how it ends.

One `Running` for each broadcast on air. The order is durable before it is sent, and sent before the sound. The
media process paces; the director keeps its buffer filled and tells the scribe how far the sound has come. Stopping
waits for nothing: the sound ends first, then the order is written and sent.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import structlog

from loa.broadcast.air.audience import Audience
from loa.broadcast.air.door import Door
from loa.broadcast.air.epoch import EpochSecrets
from loa.broadcast.air.generation import LEADS_MS, Plan, Request, plan_generation
from loa.broadcast.air.hub import Hub
from loa.broadcast.air.media_port import (
    AirEnded,
    AirProgress,
    Command,
    Frames,
    MediaPort,
    StartAir,
    StopAir,
)
from loa.broadcast.air.order_sender import OrderSender
from loa.broadcast.air.scribe import Scribe
from loa.broadcast.air.session import Session
from loa.broadcast.content.library import Library
from loa.broadcast.journal.act import Act, system
from loa.broadcast.orders.book import IssuedOrder, OrderBook
from loa.broadcast.records import Broadcast, ProgrammeClass
from loa.broadcast.registry.endpoints import Endpoints
from loa.broadcast.store.broadcasts import BroadcastFilter, Broadcasts
from loa.broadcast.store.paging import Page
from loa.codecs.link_wire import Receipt
from loa.codecs.order_wire import Stop, Tune
from loa.codecs.signed import KEY_ID_BYTES, SigningKey
from loa.errors import Conflict, LoaError, MediaError, StoreError
from loa.model import BroadcastState, new_id
from loa.timing.clock import Clock

BUFFER_FRAMES = 250
CHUNK_FRAMES = 50
STOP_FADE_MS = 50
STOP_ORDER_VALID_MS = 600_000
AIR_END_S = 1.0
CLOSE_S = 5.0
MAX_AREAS_MOVED_TO = 32
"""Areas that a stop names beside the targets; where it would be more, the tops of the tree."""
_GOING_DOWN = "the core is going down"

log = structlog.get_logger("loa.air")


@dataclass(slots=True)
class Running:
    """A broadcast on air: its order, its sound, and the channels that get it."""

    broadcast: Broadcast
    tune: Tune
    order: IssuedOrder
    packets: Sequence[bytes]
    audience: Audience
    fed: int = 0
    stopping: asyncio.Task[None] | None = None
    silent: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def names(self, session: Session) -> bool:
        """Whether the targets name this endpoint, or an area in which it stands now."""
        named = session.endpoint.id in self.broadcast.endpoints
        return named or not set(self.broadcast.areas).isdisjoint(session.place)

    def means(self, session: Session) -> bool:
        """Whether the broadcast is for this endpoint: it is named, or was when it stood elsewhere.

        An endpoint that moves while the broadcast is on air goes on with it.
        """
        broadcast = self.broadcast
        return self.names(session) or session.has_stood_in(broadcast.areas, broadcast.created_ms)


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
        self._preparing: dict[bytes, asyncio.Event] = {}  # set: stopped before it began
        self._orders = OrderSender(hub, lambda command: self._try_send(self._media, command))
        self._endings: set[asyncio.Task[None]] = set()
        self._refusing = False
        self._closing = False
        self.scribe = Scribe(broadcasts.save)
        self.counters: Counter[str] = Counter()

    def open_epoch(self, media: MediaPort, epoch: EpochSecrets) -> None:
        """A media process is up; broadcasts from now on belong to its epoch."""
        self._media, self._epoch = media, epoch
        self._orders.clear()

    def close_epoch(self) -> None:
        """The media process is gone, and with it what was on air."""
        self._media, self._epoch = None, None
        for running in list(self._running.values()):
            self._finish(running, BroadcastState.FAILED, "media_process_ended")

    async def recover(self) -> int:
        """Tell the truth about broadcasts that an earlier process left on air; how many there were."""
        left = await self._broadcasts.unfinished()
        await self._broadcasts.save(
            *(
                replace(
                    broadcast,
                    state=BroadcastState.FAILED,
                    ended_utc_ms=_last_known_ms(broadcast),
                    reason="core_restarted",
                )
                for broadcast in left
            )
        )
        return len(left)

    def running(self, broadcast_id: bytes) -> Running | None:
        """The broadcast if it is on air now."""
        return self._running.get(broadcast_id)

    def on_air(self) -> Sequence[Running]:
        """All that is on air."""
        return tuple(self._running.values())

    async def get(self, broadcast_id: bytes) -> Broadcast:
        """The broadcast as it is now, be it written down yet or not; NotFound."""
        unwritten = self.scribe.unwritten()
        return self._latest(await self._broadcasts.get(broadcast_id), unwritten)

    async def list(self, page: Page, only: BroadcastFilter) -> list[Broadcast]:
        """A page of the broadcasts as they are now; BadCursor. The filter looks at what is written down."""
        unwritten = self.scribe.unwritten()
        return [self._latest(row, unwritten) for row in await self._broadcasts.list(page, only)]

    async def written(self, programme_id: bytes) -> None:
        """Wait until the store knows what has become of the programme's broadcasts; not for ever."""
        if any(each.programme_id == programme_id for each in self.scribe.unwritten().values()):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    await self.scribe.settled()

    def _latest(self, row: Broadcast, unwritten: Mapping[bytes, Broadcast]) -> Broadcast:
        running = self._running.get(row.id)
        if running is not None:
            return running.broadcast
        return self.scribe.unwritten().get(row.id) or unwritten.get(row.id, row)

    # --- starting ---------------------------------------------------------------------------------------------

    async def start(self, request: Request, act: Act) -> Broadcast:
        """Take a programme on air now.

        NotFound for unknown targets; Conflict when the act has happened before, while there is no media process,
        or when it ended or the core is closing meanwhile; StoreError when the order cannot be written down. Then
        nothing is on air.
        """
        self._on_duty()
        if self._refusing:
            raise Conflict(_GOING_DOWN)
        targets = await self._endpoints.targeted(request.areas, request.endpoints)
        packets = await self._library.packets(request.programme)
        now_ms = self._now_ms()
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
            generation=0,
            ssrc=None,
            start_utc_ms=None,
            ended_utc_ms=None,
            frames_total=len(packets),
            frames_aired=0,
            reason="",
            programme_title=request.programme.title,
            programme_sha256=request.programme.sha256,
        )
        await self._broadcasts.create(broadcast, act)
        self._preparing[broadcast.id] = asyncio.Event()
        try:
            broadcast = await self._begin(broadcast, request, packets)
        except LoaError as error:
            self._tell_end(broadcast, BroadcastState.FAILED, "not_started")
            self.counters["broadcasts_not_started"] += 1
            if isinstance(error, MediaError):
                raise Conflict("the media process ended meanwhile") from error
            raise
        finally:
            del self._preparing[broadcast.id]
        log.info("on air", programme=request.programme.title, targets=len(targets))
        return broadcast

    def _on_duty(self) -> tuple[MediaPort, EpochSecrets]:
        if self._closing:
            raise Conflict(_GOING_DOWN)
        if self._media is None or self._epoch is None:
            raise Conflict("the media process is not running")
        return self._media, self._epoch

    async def _begin(self, broadcast: Broadcast, request: Request, packets: Sequence[bytes]) -> Broadcast:
        signed = self._sign_sound or request.programme.klass is ProgrammeClass.EMERGENCY
        for lead_ms in LEADS_MS:
            media, epoch = self._on_duty()
            broadcast = replace(broadcast, generation=broadcast.generation + 1)
            now_ns, now_ms = self._clock.monotonic_ns(), self._now_ms()
            plan = plan_generation(
                broadcast,
                request,
                epoch,
                start_ns=now_ns + lead_ms * 1_000_000,
                block_key=SigningKey.generate() if signed else None,
                taken={s for r in self._running.values() for s in (r.tune.ssrc, r.tune.block_ssrc)},
            )
            broadcast = replace(
                broadcast,
                state=BroadcastState.ON_AIR,
                ssrc=plan.tune.ssrc,
                start_utc_ms=now_ms + lead_ms,
            )
            order = await self._book.issue(
                plan.tune,
                request.areas,
                request.endpoints,
                now_ms,
                now_ms + plan.valid_ms(now_ns),
                broadcast.id,
                becomes=broadcast,
            )
            late_ns = self._clock.monotonic_ns() - plan.tune.start_ns
            if late_ns <= request.play_delay_ms * 1_000_000 // 2:
                break
            log.warning("the store was too slow for the start", late_ms=late_ns // 1_000_000)
        if self._on_duty() != (media, epoch):
            raise Conflict("the media process ended meanwhile")
        if self._preparing[broadcast.id].is_set():
            return self._tell_end(broadcast, BroadcastState.STOPPED, "stopped")
        self._take_on_air(media, Running(broadcast, plan.tune, order, packets, Audience(broadcast.id)), plan)
        return broadcast

    def _take_on_air(self, media: MediaPort, running: Running, plan: Plan) -> None:
        tune, key = plan.tune, plan.key
        sessions = self._meant(running)
        self._orders.send(media, running.order, sessions)
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
                block_seed=plan.block_key.seed if plan.block_key else b"",
                block_frames=tune.block_frames,
                end_index=tune.end_index,
                audience=(),
            )
        )
        for command in running.audience.join(sessions):
            media.send(command)
        self._feed(media, running, buffered=0)
        self._running[tune.broadcast_id] = running
        self.counters["broadcasts_started"] += 1

    def _meant(self, running: Running) -> Sequence[Session]:
        return [session for session in self._hub.sessions() if running.means(session)]

    def _feed(self, media: MediaPort, running: Running, buffered: int) -> None:
        room = BUFFER_FRAMES - buffered
        while room > 0 and running.fed < len(running.packets):
            chunk = tuple(running.packets[running.fed : running.fed + CHUNK_FRAMES])
            media.send(Frames(running.tune.broadcast_id, running.tune.index0 + running.fed, chunk))
            running.fed += len(chunk)
            room -= len(chunk)

    # --- stopping ---------------------------------------------------------------------------------------------

    async def stop(self, broadcast_id: bytes, act: Act) -> Broadcast:
        """Stop a broadcast: silence at the origin at once, and at the endpoints by a signed order.

        NotFound; StoreError when the order cannot be written down: the sound has ended all the same. A broadcast
        that has ended is returned as it is; one that has not begun does not begin.
        """
        running = self._running.get(broadcast_id)
        if running is not None:
            if running.stopping is None:
                running.stopping = asyncio.create_task(self._stop(running, act))
            await asyncio.shield(running.stopping)
        elif (cancel := self._preparing.get(broadcast_id)) is not None:
            cancel.set()
            await self._broadcasts.record_stop(await self._broadcasts.get(broadcast_id), act)
        return await self.get(broadcast_id)

    async def _stop(self, running: Running, act: Act) -> None:
        media = self._media
        self._try_send(media, StopAir(running.broadcast.id))
        try:
            now_ms = self._now_ms()
            order = await self._book.issue(
                Stop(running.broadcast.id, STOP_FADE_MS, running.broadcast.priority),
                self._areas_to_stop(running),
                running.broadcast.endpoints,
                now_ms,
                now_ms + STOP_ORDER_VALID_MS,
                running.broadcast.id,
                act=act,
            )
            if media is not None and media is self._media:
                self._orders.send(media, order, self._meant(running))
            async with asyncio.timeout(AIR_END_S):
                await running.silent.wait()
        except (TimeoutError, MediaError):
            self.counters["stops_unconfirmed"] += 1
        finally:
            self._finish(running, BroadcastState.STOPPED, "stopped")

    def _areas_to_stop(self, running: Running) -> Sequence[bytes]:
        """The areas of the targets, and those where endpoints stand now that have moved out of them meanwhile."""
        moved = [session for session in self._meant(running) if not running.names(session)]
        areas = {session.place[-1] for session in moved}
        if len(areas) > MAX_AREAS_MOVED_TO:
            areas = {session.place[0] for session in moved}
        return tuple(dict.fromkeys((*running.broadcast.areas, *sorted(areas))))

    def _try_send(self, media: MediaPort | None, *commands: Command) -> None:
        """Tell the media process, if it is there: when it is not, its sound has ended too."""
        try:
            if media is not None:
                for command in commands:
                    media.send(command)
        except MediaError:
            self.counters["media_unreached"] += 1

    def _finish(self, running: Running, state: BroadcastState, reason: str) -> None:
        if self._running.pop(running.broadcast.id, None) is None:
            return
        self._orders.forget(running.order.order_id)
        running.broadcast = self._tell_end(running.broadcast, state, reason)
        running.silent.set()
        running.ended.set()
        self.counters[f"broadcasts_{state}"] += 1
        log.info("off air", state=state, frames=running.broadcast.frames_aired, reason=reason)

    def _tell_end(self, broadcast: Broadcast, state: BroadcastState, reason: str) -> Broadcast:
        ended = replace(broadcast, state=state, ended_utc_ms=self._now_ms(), reason=reason)
        self.scribe.put(ended, urgent=True)
        return ended

    # --- endpoints --------------------------------------------------------------------------------------------

    async def joined(self, session: Session) -> None:
        """An endpoint came, or came to stand elsewhere: what is on air for it and was not before is ordered again,
        and its sound sent from the next frame."""
        for running in list(self._running.values()):
            if session in running.audience or running.stopping is not None or not running.means(session):
                continue
            self._hub.order([session], running.order.bundle)
            self._try_send(self._media, *running.audience.join([session]))

    def left(self, session: Session) -> None:
        """An endpoint's channel is gone. The media process has dropped it by itself."""
        for running in self._running.values():
            self._try_send(self._media, *running.audience.gone(session))
        self._orders.left(session)

    def door_changed(self, session: Session, before: Door) -> None:
        """An endpoint's door or group is another: what it hears goes on by that one, from the next frame."""
        for running in self._running.values():
            self._try_send(self._media, *running.audience.door_changed(session))

    def answered(self, session: Session, receipts: Sequence[Receipt]) -> None:
        """An endpoint answered."""
        self._orders.answered(session, receipts)

    async def order_anew(self, revoked: Collection[bytes]) -> None:
        """Order again, by the key in use, what is on air by the order of a key in `revoked` (ids): who comes later
        would refuse that one. The sound goes on as it is. StoreError."""
        for running in list(self._running.values()):
            if running.stopping is not None or running.order.order_id[:KEY_ID_BYTES] not in revoked:
                continue
            order = await self._book.issue(
                running.tune,
                running.broadcast.areas,
                running.broadcast.endpoints,
                self._now_ms(),
                running.order.stored.expires_ms,
                running.broadcast.id,
            )
            media = self._media
            if media is None or running.stopping is not None or running.ended.is_set():
                continue
            running.order = order
            self._orders.send(media, order, self._meant(running))

    # --- the media process tells ------------------------------------------------------------------------------

    def progress(self, event: AirProgress) -> None:
        """How far it is: feed it, and have it written down. MediaError when the process has gone meanwhile."""
        running = self._of(event)
        if running is None or self._media is None:
            return
        running.broadcast = replace(running.broadcast, frames_aired=event.sent)
        self.scribe.put(running.broadcast)
        self._feed(self._media, running, event.buffered)

    def air_ended(self, event: AirEnded) -> None:
        """It sends no more of a broadcast."""
        running = self._of(event)
        if running is None:
            return
        running.broadcast = replace(running.broadcast, frames_aired=event.sent)
        running.silent.set()
        if running.stopping is not None:
            return
        if event.reason == "end":
            ending = asyncio.create_task(self._end_after_play_delay(running))
            self._endings.add(ending)
            ending.add_done_callback(self._endings.discard)
        else:
            self._finish(running, BroadcastState.FAILED, event.reason)

    def _of(self, event: AirProgress | AirEnded) -> Running | None:
        running = self._running.get(event.broadcast_id)
        return running if running is not None and running.tune.generation == event.generation else None

    async def _end_after_play_delay(self, running: Running) -> None:
        await asyncio.sleep(running.tune.play_delay_ms / 1000)
        if running.stopping is None:
            self._finish(running, BroadcastState.ENDED, "end")

    # --- closing ----------------------------------------------------------------------------------------------

    def refuse_new(self) -> None:
        """Begin to take nothing more on air. What is on air, or being prepared, goes on."""
        self._refusing = True

    async def close(self) -> None:
        """Stop everything on air, truthfully, and wait a while until it is written down. Nothing starts now."""
        self._closing = True
        act = system(self._now_ms())
        stops: Iterable[Broadcast | BaseException] = await asyncio.gather(
            *(self.stop(broadcast_id, act) for broadcast_id in list(self._running)), return_exceptions=True
        )
        for failed in (stop for stop in stops if isinstance(stop, StoreError)):
            log.error("a stop was not written down", error=str(failed))
        for ending in list(self._endings):
            ending.cancel()
        try:
            async with asyncio.timeout(CLOSE_S):
                await self.scribe.settled()
        except TimeoutError:
            log.error("the last states of broadcasts were not written down")

    def _now_ms(self) -> int:
        return self._clock.utc_ns() // 1_000_000


def _last_known_ms(broadcast: Broadcast) -> int | None:
    """When the last frame that is known to have been sent ended: the latest that can be claimed."""
    if broadcast.start_utc_ms is None:
        return None
    return broadcast.start_utc_ms + broadcast.frames_aired * 20
