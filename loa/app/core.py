"""The core, wired: store, keys, registry, library, media process, hub, director and the HTTP face."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping

import structlog

from loa.app.housekeeping import make_housekeeper
from loa.app.key_keeper import KeyKeeper
from loa.app.live import tell_states
from loa.app.media_lacks import warn_of_lacks
from loa.app.roles import check_role, cluster_secret
from loa.app.rooms import open_rooms
from loa.app.serving import ServingProcess
from loa.app.store import store_url
from loa.app.tasks import cancel, in_background
from loa.broadcast.air.director import Director
from loa.broadcast.air.door import Door
from loa.broadcast.air.epoch import EpochSecrets
from loa.broadcast.air.group_keeper import GroupKeeper
from loa.broadcast.air.hub import Hub
from loa.broadcast.air.media_port import (
    AirEnded,
    AirProgress,
    AskCounters,
    ChannelBound,
    ChannelLoud,
    ChannelUnbound,
    Counters,
    Event,
    MediaPort,
    Ready,
    Tapped,
)
from loa.broadcast.air.media_process import MediaProcess, start_media_process
from loa.broadcast.backup.target import unfinished
from loa.broadcast.journal.act import system
from loa.broadcast.journal.digest_folder import DigestFolder
from loa.broadcast.journal.digest_keeper import DigestKeeper
from loa.broadcast.listen.desk import ListenDesk
from loa.broadcast.listen.station import Terms
from loa.broadcast.live.endpoint_states import HubStates
from loa.broadcast.orders.book import OrderBook
from loa.broadcast.orders.keyring import KeyRing
from loa.broadcast.people.first_user import ensure_first_user
from loa.broadcast.registry.enrolment import Enrolments
from loa.broadcast.store.core_lock import CoreLock
from loa.config import CoreConfig
from loa.control_api.first_token import ensure_first_token, private_folder
from loa.control_api.services import CoreRooms
from loa.errors import ConfigError, FolderBusy, LoaError, MediaError
from loa.folder_lock import folder_lock
from loa.monitoring.readiness import Condition, keys_left_s, media_lives, missing
from loa.timing.clock import Clock

MEDIA_RESTART_S = 0.25
MEDIA_RESTART_MOST_S = 10.0
COUNTERS_PERIOD_S = 5.0
UTC_WATCH_S = 10.0
UTC_STEP_NS = 200_000_000
NS_PER_S = 1_000_000_000

log = structlog.get_logger("loa.core")


class Core(ServingProcess):
    """A running core. `async with` opens it and, at the end, stops what is on air and closes everything."""

    def __init__(self, config: CoreConfig, clock: Clock | None = None) -> None:
        super().__init__(config, clock)
        self._media_ready = asyncio.Event()
        self._media_heard_ns = 0
        self._media_pid = 0
        self._media_restarts = 0
        self._media_events_failed = 0
        self._key_keeper: KeyKeeper | None = None
        self._media_counters: Mapping[str, int] = {}
        self.admin_token_file = config.data_dir / "admin.token"

    async def drain(self) -> None:
        """Before the end: not ready, nothing more goes on air, and requests in flight have `drain_s` to finish."""
        self._director.refuse_new()
        await super().drain()

    def condition(self) -> Condition:
        """How its parts are now."""
        clock, keyring = self._clock, self._keyring
        return Condition(
            going_down=self._going_down,
            media_up=self._media_ready.is_set(),
            media_silent_s=(clock.monotonic_ns() - self._media_heard_ns) / NS_PER_S,
            store_answers=self._health.store.answers,
            disk_free_bytes=self._health.disk.value if self._health.disk.answers else None,
            disk_least_bytes=self.config.min_free_bytes,
            keys_left_s=keys_left_s(keyring.key_list, keyring.order_key.public_key, clock.utc_ns() / NS_PER_S),
        )

    @property
    def alive(self) -> bool:
        """Whether the media process, or its successor, has given a sign of life lately."""
        return media_lives(self.condition())

    def status(self) -> str:
        """In one line, for people."""
        if self.lacking():
            return super().status()
        linked = sum(session.live for session in self._hub.sessions())
        return f"ready; on air: {len(self._director.on_air())}; endpoints linked: {linked}"

    def lacking(self) -> list[str]:
        """What it lacks to be ready, in words."""
        return missing(self.condition())

    async def _open(self, stack: contextlib.AsyncExitStack) -> None:
        config, clock = self.config, self._clock
        folder = config.data_dir
        check_role(config)
        secret = cluster_secret(config, clock)
        private_folder(folder)
        try:
            stack.enter_context(folder_lock(folder))
        except FolderBusy as error:
            raise ConfigError(f"another core runs on {folder}") from error
        if unfinished(folder):
            raise ConfigError(f"a restore into {folder} was cut off: do it again, with the same backup")
        lock = await CoreLock.take(store_url(config))
        self.replaced = lock.replaced
        stack.push_async_callback(lock.close)
        in_background(stack, lock.keep())
        rooms = await open_rooms(config, clock, stack)
        self._receipts, self._people = rooms.receipts, rooms.people
        keyring = self._keyring = KeyRing.open(folder / "keys", clock.utc_ns() // 1_000_000_000)
        if await ensure_first_token(rooms.tokens, self.admin_token_file, clock.utc_ns() // 1_000_000):
            log.info("first start: the administrator's token is in a file", file=str(self.admin_token_file))
        own_source = "" if config.media_host in ("", "::", "0.0.0.0") else config.media_host
        self._hub = Hub(
            endpoints=rooms.endpoints,
            receipts=rooms.receipts,
            keyring=keyring,
            clock=clock,
            media_advertise=config.media_advertise,
            media_source=own_source,
        )
        book = OrderBook(rooms.db, keyring, lambda: lock.held)
        self._director = Director(
            hub=self._hub,
            book=book,
            broadcasts=rooms.broadcasts,
            endpoints=rooms.endpoints,
            library=rooms.library,
            clock=clock,
            sign_sound=config.sign_sound,
        )
        groups = GroupKeeper(rooms.area_groups, self._hub.groups, self._director.plain, clock, own_source)
        await groups.refresh()
        in_background(stack, groups.run())
        if left := await self._director.chronicle.recover():
            log.warning("broadcasts were on air when the core ended; they are marked failed", count=left)
        in_background(stack, self._director.chronicle.scribe.run())
        await self._watch_health(folder, rooms, stack)
        # The first one is waited for: an address that is taken must be said, not tried for ever.
        media = await self._start_media()
        self._key_keeper = KeyKeeper(keyring, self._hub, self._director, clock)
        for work in (self._keep_media(media), self._keep_time(keyring), self._key_keeper.run()):
            in_background(stack, work)
        self._digests = DigestKeeper(rooms.db, DigestFolder(folder / "audit"), lambda: keyring.order_key, clock)
        in_background(stack, self._digests.run())
        live = self._live = rooms.live
        if live.line is not None:
            tell_states(live.line, self._hub.sessions, stack)
        enrolments = Enrolments(rooms.db, keyring)
        self._housekeeper = make_housekeeper(config, clock, rooms.db, rooms.ledger, enrolments, rooms.library)
        in_background(stack, self._housekeeper.run())
        self._listeners = ListenDesk(
            clock, Terms(config.listen_page_ms, config.listen_burst_ms, config.listeners_most)
        )
        stack.push_async_callback(self._listeners.close)
        self.services = self._services(
            rooms,
            enrolments=enrolments,
            shown=self._director.chronicle,
            states=HubStates(self._hub),
            orders=book,
            core=CoreRooms(self._hub, self._director, enrolments, groups, self._listeners),
            media_pid=lambda: self._media_pid,
        )
        await self._serve(self.services, stack, secret)
        stack.callback(self._hub.close)
        stack.push_async_callback(self._director.close)
        await self._media_ready.wait()

    async def welcome(self, show: Callable[[str, str], None]) -> None:
        """At the first start of all, make an administrator; `show` gets login and one-time password. StoreError."""
        await ensure_first_user(self._people.users, system(self._now_ms()), show)

    def _now_ms(self) -> int:
        return self._clock.utc_ns() // 1_000_000

    async def _start_media(self) -> MediaProcess:
        config = self.config
        return await start_media_process(config.media_host, config.media_port, config.media_threads)

    async def _keep_media(self, media: MediaProcess | None) -> None:
        """Keep a media process running, `media` first: each is a new epoch."""
        failures = 0
        while True:
            try:
                if media is None:
                    media = await self._start_media()
                self._media_pid = media.pid
                await self._follow_media(media)
                failures = 0
            except (LoaError, OSError) as error:
                failures += 1
                log.error("the media process failed", error=str(error))
            finally:
                self._media_ready.clear()
                self._media_pid = 0
                self._hub.close_epoch()
                self._director.close_epoch()
                if media is not None:
                    await media.close()
            media = None
            self._media_restarts += 1
            log.error("the media process has ended; a new epoch begins")
            await asyncio.sleep(min(MEDIA_RESTART_S * 2**failures, MEDIA_RESTART_MOST_S))

    async def _follow_media(self, media: MediaPort) -> None:
        asking = asyncio.create_task(self._ask_counters(media))
        try:
            async for event in media.events():
                try:
                    self._media_event(media, event)
                except MediaError:
                    raise  # it is gone
                except Exception:
                    # What else is on air goes on.
                    self._media_events_failed += 1
                    log.exception("a word of the media process was not understood", word=type(event).__name__)
        finally:
            await cancel(asking)

    async def _ask_counters(self, media: MediaPort) -> None:
        while True:
            try:
                media.send(AskCounters())
            except MediaError:
                return  # its events end too, and whoever reads them sees it
            await asyncio.sleep(COUNTERS_PERIOD_S)

    async def _keep_time(self, keyring: KeyRing) -> None:
        """Tell every endpoint when UTC has stepped: they carry it on by their own monotonic clocks."""
        await self._media_ready.wait()
        told_ns = self._utc_less_monotonic_ns()
        while True:
            await asyncio.sleep(UTC_WATCH_S)
            now_ns = self._utc_less_monotonic_ns()
            if abs(now_ns - told_ns) > UTC_STEP_NS and self._media_ready.is_set():
                told_ns = now_ns
                self._hub.tell_all(self._hub.beacon().seal(keyring.order_key))
                log.warning("UTC has stepped; endpoints are told")

    def _utc_less_monotonic_ns(self) -> int:
        return self._clock.utc_ns() - self._clock.monotonic_ns()

    def look_at_keys(self) -> None:
        """A ceremony has changed the keys: take them up now, not only at the next look."""
        if self._key_keeper is not None:
            self._key_keeper.look()

    def _media_event(self, media: MediaPort, event: Event) -> None:
        self._media_heard_ns = self._clock.monotonic_ns()
        match event:
            case Ready():
                self._media_counters = {}
                epoch = EpochSecrets(event.epoch)
                self._hub.open_epoch(media, event.address[1], epoch, self._director)
                self._director.open_epoch(media, epoch)
                self._media_ready.set()
                log.info("media process is up", epoch=event.epoch.hex(), port=event.address[1])
            case ChannelBound():
                self._hub.channel_bound(event.channel_id)
            case ChannelUnbound():
                self._hub.channel_unbound(event.channel_id)
            case ChannelLoud(channel_id):
                of = next((each for each in self._hub.sessions() if each.channel_id == channel_id), None)
                if of is not None:
                    log.warning("an endpoint sends far too many datagrams", endpoint=of.endpoint.name)
            case AirProgress():
                self._director.progress(event)
            case AirEnded():
                self._director.air_ended(event)
            case Tapped():
                self._director.tapped(event)
            case Counters():
                if not self._media_counters:
                    warn_of_lacks(event.values)
                self._media_counters = event.values

    def _counters(self) -> Mapping[str, Mapping[str, int]]:
        return {
            "core": {
                "media_restarts": self._media_restarts,
                "media_events_failed": self._media_events_failed,
                "broadcasts_not_written": self._director.chronicle.scribe.failures,
            },
            "media": self._media_counters,
            "hub": self._hub.counters,
            "groups": self._hub.groups.counters,
            "air": self._director.counters,
            "receipts": self._receipts.counters,
            "listen": self._listeners.counters,
            "retention": self._housekeeper.counters,
        }

    def _gauges(self) -> Mapping[str, float]:
        sessions = list(self._hub.sessions())
        now = self.condition()
        return {
            **super()._gauges(),
            "media_up": now.media_up,
            "media_silent_seconds": now.media_silent_s,
            "disk_least_bytes": now.disk_least_bytes,
            "key_list_expires_seconds": now.keys_left_s,
            "audit_digests_contradicted": self._digests.contradicted,
            "endpoints_linked": sum(session.live for session in sessions),
            "endpoints_in_groups": sum(session.door is Door.GROUP for session in sessions),
            "endpoints_bound": sum(session.heard_by is not None for session in sessions),
            "endpoints_by_link": sum(session.door is Door.LINK for session in sessions),
            "endpoints_pre_empted": self._director.pre_empted,
            "listeners": len(self._listeners),
            "broadcasts_on_air": len(self._director.on_air()),
        }
