"""The director takes programmes on air: the order, the sound, who gets it, and how it ends.

One `Running` for each broadcast on air. The order is durable before anything is sent, and leaves with the first
frames. It goes to all that the broadcast is for, the sound to those that play it by the arbiter's decision.
Stopping waits for nothing: the sound ends first, then the order is written and sent.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

import structlog

from loa.broadcast.air.chronicle import Chronicle
from loa.broadcast.air.door import Door
from loa.broadcast.air.epoch import EpochSecrets
from loa.broadcast.air.generation import LEADS_MS, Ordered, Request, plan_generation
from loa.broadcast.air.hearing import Hearing
from loa.broadcast.air.hub import Hub
from loa.broadcast.air.media_port import (
    AirEnded,
    AirProgress,
    Command,
    MediaPort,
    StopAir,
    Tapped,
)
from loa.broadcast.air.order_sender import OrderSender
from loa.broadcast.air.plain_desk import PlainDesk
from loa.broadcast.air.running import Running
from loa.broadcast.air.session import Session
from loa.broadcast.content.library import Library
from loa.broadcast.journal.act import Act, system
from loa.broadcast.orders.book import OrderBook
from loa.broadcast.records import Broadcast, ProgrammeClass
from loa.broadcast.registry.endpoints import Endpoints
from loa.broadcast.store.broadcasts import Broadcasts
from loa.codecs.link_wire import Receipt
from loa.codecs.order_wire import Stop
from loa.codecs.signed import KEY_ID_BYTES, SigningKey
from loa.errors import Conflict, LoaError, MediaError, StoreError
from loa.model import BroadcastState
from loa.timing.clock import Clock

STOP_FADE_MS = 50
STOP_ORDER_VALID_MS = 600_000
AIR_END_S = 1.0
_GOING_DOWN = "the core is going down"

log = structlog.get_logger("loa.air")


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
        self.plain = PlainDesk(lambda command: self._try_send(self._media, command))
        """Which broadcasts unprotected outputs carry."""
        self._orders = OrderSender(hub, lambda command: self._try_send(self._media, command))
        self._endings: set[asyncio.Task[None]] = set()
        self._refusing = False
        self._closing = False
        self.chronicle = Chronicle(broadcasts, self._running.get, clock)
        self._hearing = Hearing(
            lambda commands: self._try_send(self._media, *commands), self.chronicle.pre_empted, clock
        )
        self.counters: Counter[str] = Counter()

    def open_epoch(self, media: MediaPort, epoch: EpochSecrets) -> None:
        """A media process is up; broadcasts from now on belong to its epoch."""
        self._media, self._epoch = media, epoch
        self._orders.clear()
        self.plain.open_epoch()

    def close_epoch(self) -> None:
        """The media process is gone, and with it what was on air."""
        self._media, self._epoch = None, None
        for running in list(self._running.values()):
            self._finish(running, BroadcastState.FAILED, "media_process_ended")

    def running(self, broadcast_id: bytes) -> Running | None:
        """The broadcast if it is on air now."""
        return self._running.get(broadcast_id)

    def on_air(self) -> Sequence[Running]:
        """All that is on air."""
        return tuple(self._running.values())

    @property
    def pre_empted(self) -> int:
        """How many endpoints play something else, each counted for every broadcast that they would play instead."""
        return self._hearing.pre_empted

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
        packets, _ = await asyncio.gather(
            self._library.packets(request.programme),
            self._endpoints.require_targets(request.areas, request.endpoints),
        )
        broadcast = request.broadcast(len(packets), self.chronicle.now_ms())
        self._preparing[broadcast.id] = asyncio.Event()
        ordered: Ordered | None = None
        try:
            ordered = await self._order(broadcast, request, LEADS_MS[0], act)
            broadcast = await self._begin(ordered, request, packets)
        except LoaError as error:
            if ordered is None and not isinstance(error, StoreError):
                raise  # nothing has been written down
            self.chronicle.ended(broadcast, BroadcastState.FAILED, "not_started")
            self.counters["broadcasts_not_started"] += 1
            if isinstance(error, MediaError):
                raise Conflict("the media process ended meanwhile") from error
            raise
        finally:
            del self._preparing[broadcast.id]
        log.info("on air", programme=request.programme.title, areas=len(request.areas))
        return broadcast

    def _on_duty(self) -> tuple[MediaPort, EpochSecrets]:
        if self._closing:
            raise Conflict(_GOING_DOWN)
        if self._media is None or self._epoch is None:
            raise Conflict("the media process is not running")
        return self._media, self._epoch

    async def _order(self, broadcast: Broadcast, request: Request, lead_ms: int, act: Act | None = None) -> Ordered:
        """Order the broadcast's next generation, to begin in `lead_ms`; with `act`, by whom it is started, the
        broadcast is written down with it. Errors as `start`; but for a StoreError nothing is written down then."""
        media, epoch = self._on_duty()
        signed = self._sign_sound or request.programme.klass is ProgrammeClass.EMERGENCY
        broadcast = replace(broadcast, generation=broadcast.generation + 1)
        now_ns, now_ms = self._clock.monotonic_ns(), self.chronicle.now_ms()
        plan = plan_generation(
            broadcast,
            request,
            epoch,
            start_ns=now_ns + lead_ms * 1_000_000,
            block_key=SigningKey.generate() if signed else None,
            taken={s for r in self._running.values() for s in (r.tune.ssrc, r.tune.block_ssrc)},
        )
        broadcast = replace(
            broadcast, state=BroadcastState.ON_AIR, ssrc=plan.tune.ssrc, start_utc_ms=now_ms + lead_ms
        )
        order = await self._book.issue(
            plan.tune,
            request.areas,
            request.endpoints,
            now_ms,
            now_ms + plan.valid_ms(now_ns),
            broadcast.id,
            becomes=broadcast,
            act=act,
        )
        return Ordered(broadcast, plan, order, (media, epoch))

    async def _begin(self, ordered: Ordered, request: Request, packets: Sequence[bytes]) -> Broadcast:
        for lead_ms in LEADS_MS[1:]:
            late_ns = self._clock.monotonic_ns() - ordered.plan.tune.start_ns
            if late_ns <= request.play_delay_ms * 1_000_000 // 2:
                break
            log.warning("the store was too slow for the start", late_ms=late_ns // 1_000_000)
            ordered = await self._order(ordered.broadcast, request, lead_ms)
        if self._on_duty() != ordered.duty:
            raise Conflict("the media process ended meanwhile")
        if self._preparing[ordered.broadcast.id].is_set():
            return self.chronicle.ended(ordered.broadcast, BroadcastState.STOPPED, "stopped")
        return self._take_on_air(ordered, packets).broadcast

    def _take_on_air(self, ordered: Ordered, packets: Sequence[bytes]) -> Running:
        """MediaError when the media process has gone meanwhile; then it is not on air."""
        media, plan = ordered.duty[0], ordered.plan
        running = Running(ordered.broadcast, plan.tune, ordered.order, packets, plan.secret)
        sessions = self._meant(running)
        media.send(plan.start_air())
        self._running[running.broadcast.id] = running
        # Before the first frame, so that whoever plays it gets that too, however late the start has become.
        self._hearing.begin(running, sessions)
        self.plain.begin(running.broadcast.id, running.precedence, running.broadcast.areas)
        self._try_send(media, *running.next_frames(buffered=0))
        # Ten thousand orders take longer to send than a frame: an endpoint keeps sound that comes before its order.
        self._orders.send(running.order, sessions)
        self.counters["broadcasts_started"] += 1
        return running

    def _meant(self, running: Running) -> Sequence[Session]:
        return running.meant_of(self._hub.sessions())

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
        return await self.chronicle.get(broadcast_id)

    async def _stop(self, running: Running, act: Act) -> None:
        media = self._media
        self._try_send(media, StopAir(running.broadcast.id))
        self._leave_air(running)
        try:
            now_ms = self.chronicle.now_ms()
            order = await self._book.issue(
                Stop(running.broadcast.id, STOP_FADE_MS, running.broadcast.priority),
                running.areas_to_stop(self._meant(running)),
                running.broadcast.endpoints,
                now_ms,
                now_ms + STOP_ORDER_VALID_MS,
                running.broadcast.id,
                act=act,
            )
            if media is not None and media is self._media:
                self._orders.send(order, self._meant(running))
            async with asyncio.timeout(AIR_END_S):
                await running.silent.wait()
        except (TimeoutError, MediaError):
            self.counters["stops_unconfirmed"] += 1
        finally:
            self._finish(running, BroadcastState.STOPPED, "stopped")

    def _try_send(self, media: MediaPort | None, *commands: Command) -> None:
        """Tell the media process, if it is there: when it is not, its sound has ended too."""
        try:
            if media is not None:
                for command in commands:
                    media.send(command)
        except MediaError:
            self.counters["media_unreached"] += 1

    def _leave_air(self, running: Running) -> None:
        """No more of it is sent: what it pre-empted is sent again where it was heard."""
        self._hearing.end(running)
        self.plain.end(running.broadcast.id)

    def _finish(self, running: Running, state: BroadcastState, reason: str) -> None:
        if self._running.pop(running.broadcast.id, None) is None:
            return
        self._leave_air(running)
        self._orders.forget(running.order.order_id)
        running.broadcast = self.chronicle.ended(running.broadcast, state, reason)
        running.silent.set()
        running.ended.set()
        self.counters[f"broadcasts_{state}"] += 1
        log.info("off air", state=state, frames=running.broadcast.frames_aired, reason=reason)

    # --- endpoints --------------------------------------------------------------------------------------------

    async def joined(self, session: Session) -> None:
        """An endpoint came, or came to stand elsewhere: what is on air for it and was not before is ordered again,
        and the sound that it plays sent from the next frame. What was for it stays for it."""
        meant_by = []
        for running in self._running.values():
            if running not in self._hearing:
                continue
            if session in self._hearing.meant(running):
                meant_by.append(running)
            elif running.means(session):
                meant_by.append(running)
                self._hub.order([session], running.order.bundle)
        self._hearing.place(session, meant_by)

    def left(self, session: Session) -> None:
        """An endpoint's channel is gone. The media process has dropped it by itself."""
        self._hearing.gone(session)
        self._orders.left(session)

    def door_changed(self, session: Session, before: Door) -> None:
        """An endpoint's door or group is another: what it hears goes on by that one, from the next frame."""
        self._hearing.door_changed(session)

    def answered(self, session: Session, receipts: Sequence[Receipt]) -> None:
        """An endpoint answered."""
        self._orders.answered(session, receipts)
        self._hearing.answered(session, receipts)

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
                self.chronicle.now_ms(),
                running.order.stored.expires_ms,
                running.broadcast.id,
            )
            if self._media is None or running.stopping is not None or running.ended.is_set():
                continue
            running.order = order
            self._orders.send(order, self._meant(running))

    # --- the media process tells ------------------------------------------------------------------------------

    def progress(self, event: AirProgress) -> None:
        """How far it is: feed it, and have it written down. MediaError when the process has gone meanwhile."""
        running = self._of(event)
        if running is None or self._media is None:
            return
        self.chronicle.aired(running, event.sent)
        for frames in running.next_frames(event.buffered):
            self._media.send(frames)

    def air_ended(self, event: AirEnded) -> None:
        """It sends no more of a broadcast."""
        running = self._of(event)
        if running is None:
            return
        self.chronicle.aired(running, event.sent)
        running.silent.set()
        self._leave_air(running)
        if running.stopping is not None:
            return
        if event.reason == "end":
            ending = asyncio.create_task(self._end_after_play_delay(running))
            self._endings.add(ending)
            ending.add_done_callback(self._endings.discard)
        else:
            self._finish(running, BroadcastState.FAILED, event.reason)

    def tapped(self, event: Tapped) -> None:
        """What it has just sent of a broadcast that somebody hears by link."""
        if (running := self._running.get(event.broadcast_id)) is not None and running.audience.by_link:
            self._hub.sound.send(event.broadcast_id, event.packets, running.audience.by_link)

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
        act = system(self.chronicle.now_ms())
        stops: Iterable[Broadcast | BaseException] = await asyncio.gather(
            *(self.stop(broadcast_id, act) for broadcast_id in list(self._running)), return_exceptions=True
        )
        for failed in (stop for stop in stops if isinstance(stop, StoreError)):
            log.error("a stop was not written down", error=str(failed))
        for ending in self._endings:
            ending.cancel()
        try:
            await self.chronicle.settled()
        except TimeoutError:
            log.error("the last states of broadcasts were not written down")
