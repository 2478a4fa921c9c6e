"""The endpoint hub: one session for each link that is up, and what goes out and comes in over it.

The hub knows no WebSocket: it is handed a `Transport`. It knows no broadcast: what is on air asks it who is
there, and is told through `AirDesk` who came, who went and what was answered.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter, OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from loa.broadcast.air.door import Door
from loa.broadcast.air.epoch import EpochSecrets
from loa.broadcast.air.link_handshake import LinkHandshake
from loa.broadcast.air.media_port import AddChannel, Address, Command, DropChannel, MediaPort
from loa.broadcast.orders.keyring import KeyRing
from loa.broadcast.orders.receipts import Receipts
from loa.broadcast.records import Endpoint
from loa.broadcast.registry.areas import Areas
from loa.broadcast.registry.endpoints import Endpoints
from loa.codecs import link_wire
from loa.codecs.channel_wire import CHANNEL_ID_BYTES
from loa.codecs.key_schedule import LinkKeys
from loa.codecs.link_wire import (
    Bye,
    Message,
    OrderMessage,
    Receipt,
    ReceiptsAck,
    ReceiptsMessage,
    StatementMessage,
    Status,
)
from loa.codecs.statement_wire import Beacon, Placement
from loa.errors import LinkError, LoaError, MediaError, NotFound, StoreError, WireError
from loa.timing.clock import Clock

HANDSHAKE_TIMEOUT_S = 10.0
MAX_HALF_OPEN = 256
"""Links that have not proved themselves yet; further ones are sent away until some have."""
MAX_LEFT_AREAS = 64
"""Areas that an endpoint has left which are remembered; then the first are forgotten."""
MAX_LEFT_ENDPOINTS = 20_000
"""Endpoints that have moved of which that is remembered."""
_MOVES_AT_ONCE = 50
OUTBOX_MESSAGES = 256
"""Messages that wait for a slow endpoint; one more ends the link, and the next link starts with what is on air."""

_NO_EPOCH = "shutdown: no epoch is open, come again"

log = structlog.get_logger("loa.hub")


class Transport(Protocol):
    """A message pipe to one endpoint. `receive` and `send` raise LinkError once the other end is gone."""

    async def receive(self) -> bytes:
        """The next whole message, at most link_wire.MAX_MESSAGE_BYTES."""

    async def send(self, message: bytes) -> None:
        """Send one message."""

    async def close(self) -> None:
        """Close; never raises."""


@dataclass(eq=False, slots=True)
class Session:
    """An endpoint whose link is up, or whose media channel outlives its link for a while.

    `key_list_version`: of the list in force when it was welcomed; `tell_all` tells it of later ones.
    `left`: areas in which it stood before, and when it left each (UTC, ms): it goes on with what was on air there.
    `door`: how sound goes to it; `group`: the multicast group that it is in, while its door is that.
    """

    endpoint: Endpoint
    place: tuple[bytes, ...]
    channel_id: bytes
    keys: LinkKeys
    connected_ms: int
    key_list_version: int
    live: bool = True
    bound: bool = False
    status: Status | None = None
    secret_serial: int = 0
    left: dict[bytes, int] = field(default_factory=dict)
    door: Door = Door.UNICAST
    group: Address | None = None
    _outbox: asyncio.Queue[bytes | None] = field(default_factory=lambda: asyncio.Queue(OUTBOX_MESSAGES))

    def put(self, message: Message) -> None:
        """Queue a message. A full queue ends the link: what waits there is too old to be of use."""
        if not self.live:
            return
        try:
            self._outbox.put_nowait(link_wire.encode(message))
        except asyncio.QueueFull:
            self.end()

    def put_secret(self, epoch: EpochSecrets) -> None:
        """Queue the epoch secret in force, unless this link has it: a serial is sealed once on a link."""
        if epoch.serial > self.secret_serial:
            self.secret_serial = epoch.serial
            self.put(epoch.sealed(self.keys))

    def has_stood_in(self, areas: Iterable[bytes], since_ms: int) -> bool:
        """Whether the endpoint has left one of these areas since then."""
        return bool(self.left) and any(self.left.get(area, -1) >= since_ms for area in areas)

    def end(self) -> None:
        """End the link after nothing more; what is queued is dropped when the queue is full."""
        self.live = False
        while self._outbox.full():
            self._outbox.get_nowait()
        self._outbox.put_nowait(None)

    def bye(self, reason: str, detail: str = "") -> None:
        """Say why, then end."""
        self.put(Bye(reason, detail))
        self.end()

    async def drain_to(self, transport: Transport) -> None:
        """Send what is queued, until the session ends."""
        while (message := await self._outbox.get()) is not None:
            await transport.send(message)


class AirDesk(Protocol):
    """Who wants to know of endpoints: the director of what is on air."""

    async def joined(self, session: Session) -> None:
        """A link came up, or its endpoint has moved: orders on air that it has not had go to it."""

    def left(self, session: Session) -> None:
        """The endpoint's channel is gone too."""

    def door_changed(self, session: Session, before: Door) -> None:
        """The session's door or group is another: what it hears goes on by that one."""

    def answered(self, session: Session, receipts: Sequence[Receipt]) -> None:
        """Receipts came, and are stored."""


class Hub:
    """All sessions, by endpoint and by channel."""

    def __init__(
        self,
        *,
        areas: Areas,
        endpoints: Endpoints,
        receipts: Receipts,
        keyring: KeyRing,
        clock: Clock,
        media_advertise: str = "",
    ) -> None:
        self._areas = areas
        self._endpoints = endpoints
        self._receipts = receipts
        self._keyring = keyring
        self._clock = clock
        self._media_advertise = media_advertise
        self._by_endpoint: dict[bytes, Session] = {}
        self._by_channel: dict[bytes, Session] = {}
        self._media: MediaPort | None = None
        self._media_port = 0
        self._epoch: EpochSecrets | None = None
        self._desk: AirDesk | None = None
        self._half_open = 0
        # What endpoints whose link may come back have left; the oldest are forgotten.
        self._left: OrderedDict[bytes, dict[bytes, int]] = OrderedDict()
        self.counters: Counter[str] = Counter()

    def open_epoch(self, media: MediaPort, media_port: int, epoch: EpochSecrets, desk: AirDesk) -> None:
        """A media process is up: links are welcomed into its epoch."""
        self._media, self._media_port, self._epoch, self._desk = media, media_port, epoch, desk

    def close_epoch(self) -> None:
        """The media process is gone: all links end, and come back into the next epoch."""
        self._media, self._media_port, self._epoch, self._desk = None, 0, None, None
        for session in list(self._by_channel.values()):
            session.bye("shutdown", "a new epoch begins")
        self._by_endpoint.clear()
        self._by_channel.clear()

    def session(self, endpoint_id: bytes) -> Session | None:
        """The endpoint's session, if it has one."""
        return self._by_endpoint.get(endpoint_id)

    def sessions(self) -> Iterable[Session]:
        """All sessions."""
        return self._by_endpoint.values()

    def beacon(self) -> Beacon:
        """What time it is, on the origin's time line and in UTC."""
        if self._epoch is None:
            raise LinkError(_NO_EPOCH)
        return Beacon(self._epoch.epoch, self._clock.monotonic_ns(), self._clock.utc_ns())

    async def serve(self, transport: Transport) -> None:
        """Serve one link from its first message to its end. Returns; what went wrong is counted and logged."""
        self.counters["links"] += 1
        session: Session | None = None
        try:
            if self._half_open >= MAX_HALF_OPEN:
                raise LinkError("timeout: too many links at once, come again")
            self._half_open += 1
            try:
                async with asyncio.timeout(HANDSHAKE_TIMEOUT_S):
                    session, epoch = await self._handshake(transport)
            finally:
                self._half_open -= 1
            await self._run(session, epoch, transport)
        except TimeoutError:
            await self._refuse(transport, "timeout", "the handshake took too long")
        except LinkError as error:
            reason, _, detail = str(error).partition(": ")
            if reason != "closed":
                await self._refuse(transport, reason, detail)
        except LoaError as error:
            log.error("a link could not be served", error=str(error))
            await self._refuse(transport, "shutdown", "the core cannot serve now, come again")
        finally:
            if session is not None:
                self._link_ended(session)
            await transport.close()

    async def _handshake(self, transport: Transport) -> tuple[Session, EpochSecrets]:
        handshake = LinkHandshake(await transport.receive())
        try:
            endpoint = await self._endpoints.get(handshake.hello.endpoint_id)
        except NotFound as error:
            raise LinkError("unknown_endpoint: nobody with this id is enrolled") from error
        if endpoint.revoked_ms is not None:
            raise LinkError("revoked: this endpoint has been revoked")
        epoch = self._epoch
        if epoch is None:
            raise LinkError(_NO_EPOCH)
        channel_id = secrets.token_bytes(CHANNEL_ID_BYTES)
        key_list_version = self._keyring.key_list.version
        await transport.send(
            handshake.welcome(
                self._keyring.order_key,
                key_list_version=key_list_version,
                key_list_envelope=self._keyring.key_list_envelope,
                channel_id=channel_id,
                beacon=self.beacon(),
                media_host=self._media_advertise,
                media_port=self._media_port,
            )
        )
        keys = handshake.proof(await transport.receive(), endpoint.device_key)
        place = await self._areas.path(endpoint.area_id)
        now_ms = self._clock.utc_ns() // 1_000_000
        return Session(endpoint, place, channel_id, keys, now_ms, key_list_version), epoch

    async def _run(self, session: Session, epoch: EpochSecrets, transport: Transport) -> None:
        desk = self._desk
        if desk is None or epoch is not self._epoch:
            raise LinkError(_NO_EPOCH)
        old = self._by_endpoint.get(session.endpoint.id)
        if old is not None:
            old.bye("replaced", "the endpoint has a newer link")
            self._forget(old)
        self._by_endpoint[session.endpoint.id] = session
        self._by_channel[session.channel_id] = session
        session.left = self._left.get(session.endpoint.id, {})
        self._tell_media(AddChannel(session.channel_id, session.keys.channel_secret))
        if session.key_list_version != self._keyring.key_list.version:
            # It changed since the welcome, and this session was not there yet to be told.
            session.put(StatementMessage(self._keyring.key_list_envelope))
        # Asked again now that `revoke` and `moved` can see the session: the device may have taken its time over the
        # proof.
        ((endpoint, placement),) = await self._endpoints.placed([session.endpoint.id])
        if endpoint.revoked_ms is not None:
            self._forget(session)
            raise LinkError("revoked: this endpoint has been revoked")
        if epoch is not self._epoch:
            raise LinkError(_NO_EPOCH)
        if placement.serial >= session.endpoint.placement_serial:
            session.endpoint, session.place = endpoint, placement.areas
        session.put(StatementMessage(placement.seal(self._keyring.order_key)))
        session.put_secret(epoch)
        await desk.joined(session)
        log.info("link up", endpoint=session.endpoint.name)
        reader = asyncio.create_task(self._read(session, transport, desk))
        writer = asyncio.create_task(session.drain_to(transport))
        try:
            await asyncio.wait((reader, writer), return_when=asyncio.FIRST_COMPLETED)
        finally:
            reader.cancel()
            writer.cancel()
            results = await asyncio.gather(reader, writer, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def _read(self, session: Session, transport: Transport, desk: AirDesk) -> None:
        while session.live:
            data = await transport.receive()
            try:
                message = link_wire.decode(data)
            except WireError as error:
                raise LinkError(f"malformed: {error}") from error
            if isinstance(message, ReceiptsMessage):
                desk.answered(session, message.receipts)
                await self._store_receipts(session, message.receipts)
            elif isinstance(message, Status):
                session.status = message
            elif isinstance(message, Bye):
                return
            else:
                raise LinkError(f"malformed: a {type(message).__name__} is not the endpoint's to send")

    async def _store_receipts(self, session: Session, receipts: Sequence[Receipt]) -> None:
        """Store and acknowledge. What cannot be stored is not acknowledged, and comes again on the next link."""
        try:
            acks = await self._receipts.record(session.endpoint.id, receipts, self._clock.utc_ns() // 1_000_000)
        except StoreError as error:
            self.counters["receipts_not_stored"] += len(receipts)
            log.error("receipts not stored", error=str(error))
            return
        session.put(ReceiptsAck(tuple(acks)))

    async def _refuse(self, transport: Transport, reason: str, detail: str) -> None:
        self.counters[f"refused_{reason}"] += 1
        log.info("link refused", reason=reason, detail=detail)
        try:
            async with asyncio.timeout(1.0):
                await transport.send(link_wire.encode(Bye(reason[:32], detail[:256])))
        except (LinkError, TimeoutError):
            self.counters["refusals_unheard"] += 1

    def _link_ended(self, session: Session) -> None:
        session.live = False
        if not session.bound:
            self._forget(session)

    def _forget(self, session: Session) -> None:
        if self._by_channel.pop(session.channel_id, None) is None:
            return
        if self._by_endpoint.get(session.endpoint.id) is session:
            del self._by_endpoint[session.endpoint.id]
        self._tell_media(DropChannel(session.channel_id))
        if self._desk is not None:
            self._desk.left(session)

    def _tell_media(self, command: Command) -> None:
        """Tell the media process, if it is there; when it is not, its channels are gone too."""
        try:
            if self._media is not None:
                self._media.send(command)
        except MediaError:
            self.counters["media_unreached"] += 1

    def channel_bound(self, channel_id: bytes) -> None:
        """The media process has the channel's address."""
        if session := self._by_channel.get(channel_id):
            session.bound = True

    def channel_unbound(self, channel_id: bytes) -> None:
        """The channel has been silent too long; without a link its session is over."""
        if session := self._by_channel.get(channel_id):
            session.bound = False
            if not session.live:
                self._forget(session)

    def order(self, sessions: Iterable[Session], bundle: bytes) -> None:
        """Send an order bundle by link."""
        message = OrderMessage(bundle)
        for session in sessions:
            session.put(message)

    def tell_all(self, statement: bytes) -> None:
        """Send a signed statement (a new key list, a beacon) over every link."""
        message = StatementMessage(statement)
        for session in self.sessions():
            session.put(message)

    async def moved(self, endpoint_ids: Iterable[bytes]) -> None:
        """These endpoints have a new placement in the store: those that are here are sent it at once.

        What is on air for them stays on air for them; what is on air where they come to stand they hear too.
        """
        here = [endpoint_id for endpoint_id in endpoint_ids if endpoint_id in self._by_endpoint]
        try:
            for at in range(0, len(here), _MOVES_AT_ONCE):
                for endpoint, placement in await self._endpoints.placed(here[at : at + _MOVES_AT_ONCE]):
                    session = self._by_endpoint.get(endpoint.id)
                    if session is not None and placement.serial > session.endpoint.placement_serial:
                        await self._move(session, endpoint, placement)
        except StoreError as error:
            # They have moved all the same, and are told when their links come up again.
            self.counters["placements_not_sent"] += len(here)
            log.error("placements not sent", error=str(error))

    async def _move(self, session: Session, endpoint: Endpoint, placement: Placement) -> None:
        now_ms = self._clock.utc_ns() // 1_000_000
        session.left |= {area: now_ms for area in session.place if area not in placement.areas}
        while len(session.left) > MAX_LEFT_AREAS:
            del session.left[next(iter(session.left))]
        self._left[endpoint.id] = session.left
        self._left.move_to_end(endpoint.id)
        while len(self._left) > MAX_LEFT_ENDPOINTS:
            self._left.popitem(last=False)
        session.endpoint, session.place = endpoint, placement.areas
        session.put(StatementMessage(placement.seal(self._keyring.order_key)))
        self.counters["placements"] += 1
        if self._desk is not None and session.live:
            await self._desk.joined(session)

    def revoke(self, endpoint_id: bytes) -> None:
        """End an endpoint's link and channel at once, and give everybody else a new epoch secret."""
        if session := self._by_endpoint.get(endpoint_id):
            session.bye("revoked", "this endpoint has been revoked")
            self._forget(session)
        self.renew_secret()

    def renew_secret(self) -> None:
        """Give everybody who is linked a new epoch secret."""
        if self._epoch is not None:
            self._epoch.renew()
            for session in self.sessions():
                session.put_secret(self._epoch)

    def close(self) -> None:
        """End all links."""
        for session in list(self._by_channel.values()):
            session.bye("shutdown", "the core is going down")
