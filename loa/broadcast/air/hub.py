"""The endpoint hub: one session for each link that is up, and what goes out and comes in over it.

The hub knows no WebSocket: it is handed a `Transport`. It knows no broadcast: what is on air asks it who is
there, and is told through `AirDesk` who came, who went and what was answered.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Protocol

import structlog

from loa.broadcast.air.departures import Departures
from loa.broadcast.air.door import Door
from loa.broadcast.air.epoch import EpochSecrets
from loa.broadcast.air.group_desk import GroupDesk
from loa.broadcast.air.half_open import HalfOpen
from loa.broadcast.air.link_handshake import LinkHandshake
from loa.broadcast.air.link_sound import LinkSound
from loa.broadcast.air.mailing import ORDERS_AT_ONCE, SEALED_AT_ONCE, Mailing
from loa.broadcast.air.media_port import AddChannel, Command, DropChannel, MediaPort
from loa.broadcast.air.session import Session, Transport
from loa.broadcast.air.turnstile import Turnstile
from loa.broadcast.orders.keyring import KeyRing
from loa.broadcast.orders.receipts import Receipts
from loa.broadcast.records import Endpoint
from loa.broadcast.registry.endpoints import Endpoints
from loa.broadcast.registry.gathered import Gathered
from loa.codecs import link_wire
from loa.codecs.channel_wire import CHANNEL_ID_BYTES
from loa.codecs.group_wire import Hearing
from loa.codecs.link_media import ClockProbe, ClockReply, DoorMessage
from loa.codecs.link_wire import (
    Bye,
    OrderMessage,
    Receipt,
    ReceiptsAck,
    ReceiptsMessage,
    StatementMessage,
    Status,
)
from loa.codecs.statement_wire import Beacon, Placement
from loa.errors import LinkError, LoaError, MediaError, StoreError, WireError
from loa.timing.clock import Clock

HANDSHAKE_TIMEOUT_S = 10.0
MESSAGES_A_TURN = 128
"""Messages of endpoints in one turn of the event loop: some five milliseconds of receipts."""
_MOVES_AT_ONCE = 50

_NO_EPOCH = "shutdown: no epoch is open, come again"

log = structlog.get_logger("loa.hub")


@lru_cache(maxsize=256)
def _acknowledged(acks: tuple[tuple[bytes, int], ...]) -> bytes:
    """The message that acknowledges receipts: thousands say the same at once."""
    return link_wire.encode(ReceiptsAck(acks))


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
        endpoints: Endpoints,
        receipts: Receipts,
        keyring: KeyRing,
        clock: Clock,
        media_advertise: str = "",
        media_source: str = "",
    ) -> None:
        """`media_source`: the numeric address that the media process is bound to; empty: to all."""
        self._endpoints = endpoints
        self._placed = Gathered(self._ask_placed)
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
        self._half_open = HalfOpen()
        self._heard = Turnstile(MESSAGES_A_TURN)
        self._mailing = Mailing()
        self._departures = Departures()
        self.counters: Counter[str] = Counter()
        self.groups = GroupDesk(
            self.sessions,
            mailing=self._mailing,
            clock=clock,
            tell_media=self._tell_media,
            door_changed=self._door_changed,
            own_source=media_source,
        )
        self.sound = LinkSound(self.counters)

    def open_epoch(self, media: MediaPort, media_port: int, epoch: EpochSecrets, desk: AirDesk) -> None:
        """A media process is up: links are welcomed into its epoch."""
        self._media, self._media_port, self._epoch, self._desk = media, media_port, epoch, desk
        self.groups.open_epoch()

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
            session, epoch = await self._greet(transport)
            await self._run(session, epoch)
        except TimeoutError:
            self._refuse(transport, "timeout", "the handshake took too long")
        except LinkError as error:
            reason, _, detail = str(error).partition(": ")
            if reason != "closed":
                self._refuse(transport, reason, detail, session)
        except LoaError as error:
            log.error("a link could not be served", error=str(error))
            self._refuse(transport, "shutdown", "the core cannot serve now, come again")
        finally:
            if session is not None:
                self._link_ended(session)
            await transport.close()

    async def _greet(self, transport: Transport) -> tuple[Session, EpochSecrets]:
        """The handshake, in its turn and time. Its keys are gone when it is over, however long the link lasts."""
        async with asyncio.timeout(HANDSHAKE_TIMEOUT_S) as patience:
            handshake = LinkHandshake(await transport.receive())
            async with self._half_open.place(handshake.hello.endpoint_id, patience):
                return await self._handshake(transport, handshake)

    async def _handshake(self, transport: Transport, handshake: LinkHandshake) -> tuple[Session, EpochSecrets]:
        found = await self._placed.of(handshake.hello.endpoint_id)
        if found is None:
            raise LinkError("unknown_endpoint: nobody with this id is enrolled")
        endpoint, placement = found
        if endpoint.revoked_ms is not None:
            raise LinkError("revoked: this endpoint has been revoked")
        epoch = self._epoch
        if epoch is None:
            raise LinkError(_NO_EPOCH)
        channel_id = secrets.token_bytes(CHANNEL_ID_BYTES)
        key_list_version = self._keyring.key_list.version
        transport.send(
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
        now_ms = self._clock.utc_ns() // 1_000_000
        session = Session(endpoint, placement.areas, channel_id, keys, now_ms, key_list_version, transport)
        return session, epoch

    async def _ask_placed(self, endpoint_ids: Sequence[bytes]) -> Mapping[bytes, tuple[Endpoint, Placement]]:
        return {found[0].id: found for found in await self._endpoints.placed(endpoint_ids)}

    async def _run(self, session: Session, epoch: EpochSecrets) -> None:
        desk = self._desk
        if desk is None or epoch is not self._epoch:
            raise LinkError(_NO_EPOCH)
        self._take_place(session)
        session.left = self._departures.of(session.endpoint.id)
        self._tell_media(AddChannel(session.channel_id, session.keys.channel_secret))
        if session.key_list_version != self._keyring.key_list.version:
            # It changed since the welcome, and this session was not there yet to be told.
            session.put(StatementMessage(self._keyring.key_list_envelope))
        # Asked again now that `revoke` and `moved` can see the session: the device may have taken its time over the
        # proof.
        found = await self._placed.of(session.endpoint.id)
        if not session.live:
            return  # replaced, revoked or of an epoch that is over: it has been told so
        if found is None or found[0].revoked_ms is not None:
            self._forget(session)
            raise LinkError("revoked: this endpoint has been revoked")
        endpoint, placement = found
        if placement.serial >= session.endpoint.placement_serial:
            session.endpoint, session.place = endpoint, placement.areas
        session.put(StatementMessage(placement.seal(self._keyring.order_key)))
        session.put_secret(epoch)
        await desk.joined(session)
        self.groups.placed(session)
        log.info("link up", endpoint=session.endpoint.name)
        try:
            await self._read(session, epoch, desk)
        finally:
            self.counters["links_too_slow"] += session.too_slow

    def _take_place(self, session: Session) -> None:
        if (old := self._by_endpoint.get(session.endpoint.id)) is not None:
            old.bye("replaced", "the endpoint has a newer link")
            self._forget(old)
        self._by_endpoint[session.endpoint.id] = session
        self._by_channel[session.channel_id] = session

    async def _read(self, session: Session, epoch: EpochSecrets, desk: AirDesk) -> None:
        while (data := await session.receive()) is not None:
            came_ns = self._clock.monotonic_ns()
            await self._heard.enter()
            if not session.live:
                return  # replaced or revoked meanwhile: what it says counts no more
            self.counters["messages_held"] += session.held > 0
            try:
                message = link_wire.decode(data)
            except WireError as error:
                raise LinkError(f"malformed: {error}") from error
            if isinstance(message, ReceiptsMessage):
                desk.answered(session, message.receipts)
                await self._store_receipts(session, message.receipts)
            elif isinstance(message, Status):
                session.status = message
            elif isinstance(message, Hearing):
                self.groups.heard(session, message)
            elif isinstance(message, ClockProbe):
                session.put(ClockReply(epoch.epoch, message.t1_ns, came_ns, self._clock.monotonic_ns()))
            elif isinstance(message, DoorMessage):
                self._change_door(session, message, desk)
            elif isinstance(message, Bye):
                return
            else:
                raise LinkError(f"malformed: a {type(message).__name__} is not the endpoint's to send")

    async def _store_receipts(self, session: Session, receipts: Sequence[Receipt]) -> None:
        """Store and acknowledge. What cannot be stored is not acknowledged, and comes again on the next link."""
        try:
            now_ms = self._clock.utc_ns() // 1_000_000
            acks = await self._receipts.record(session.endpoint.id, receipts, now_ms, session.place)
        except StoreError as error:
            self.counters["receipts_not_stored"] += len(receipts)
            log.error("receipts not stored", error=str(error))
            return
        session.post(_acknowledged(tuple(acks)))

    def _change_door(self, session: Session, message: DoorMessage, desk: AirDesk) -> None:
        before = session.take_door(message.by_link, self._clock.monotonic_ns())
        if before is not None:
            self.counters["doors_to_link" if message.by_link else "doors_to_unicast"] += 1
            desk.door_changed(session, before)

    def _refuse(self, transport: Transport, reason: str, detail: str, of: Session | None = None) -> None:
        self.counters[f"refused_{reason}"] += 1
        log.info("link refused", reason=reason, detail=detail, endpoint=None if of is None else of.endpoint.name)
        try:
            transport.send(link_wire.encode(Bye(reason[:32], detail[:256])))
        except LinkError:
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

    def _door_changed(self, session: Session, before: Door) -> None:
        if self._desk is not None:
            self._desk.door_changed(session, before)

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

    def order(
        self, sessions: Sequence[Session], bundle: bytes, unless: Callable[[Session], bool] = lambda _session: False
    ) -> None:
        """Send an order bundle by link, but for those for whom `unless` holds when it is their turn.

        Who hears by link has it when this returns, and the secret to its key: their sound must not come before.
        """
        message = link_wire.encode(OrderMessage(bundle))
        link = Door.LINK
        for session in [session for session in sessions if session.door is link]:
            if self._epoch is not None:
                session.put_secret(self._epoch)
            session.post(message)
        by_datagram = [session for session in sessions if session.door is not link]

        def say(session: Session) -> None:
            if not unless(session):
                session.post(message)

        self._mailing.send(by_datagram, say, ORDERS_AT_ONCE)

    def tell_all(self, statement: bytes) -> None:
        """Send a signed statement (a new key list, a beacon) over every link."""
        message = link_wire.encode(StatementMessage(statement))
        self._mailing.send(list(self.sessions()), lambda session: session.post(message))

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
        gone = [area for area in session.place if area not in placement.areas]
        session.left = self._departures.note(endpoint.id, gone, now_ms)
        session.endpoint, session.place = endpoint, placement.areas
        session.put(StatementMessage(placement.seal(self._keyring.order_key)))
        self.counters["placements"] += 1
        if self._desk is not None and session.live:
            await self._desk.joined(session)
        self.groups.placed(session)

    def revoke(self, endpoint_id: bytes) -> None:
        """End an endpoint's link and channel at once, and give everybody else a new epoch secret."""
        if session := self._by_endpoint.get(endpoint_id):
            session.bye("revoked", "this endpoint has been revoked")
            self._forget(session)
        self.renew_secret()

    def renew_secret(self) -> None:
        """Give everybody who is linked a new epoch secret."""
        if (epoch := self._epoch) is not None:
            epoch.renew()
            self._mailing.send(list(self.sessions()), lambda session: session.put_secret(epoch), SEALED_AT_ONCE)

    def close(self) -> None:
        """End all links."""
        for session in list(self._by_channel.values()):
            session.bye("shutdown", "the core is going down")
