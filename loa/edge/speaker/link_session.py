"""The endpoint's half of the link: handshake and messages, without a socket (docs/protocol.md, *Link*).

Bytes in, events out; what is to be sent waits in `take_outgoing`. One object is one link.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from loa.codecs import canonical, key_schedule, link_wire, signed
from loa.codecs.authority import Right
from loa.codecs.canonical import Fields
from loa.codecs.channel_wire import ProbeReply
from loa.codecs.group_wire import GroupMessage, Hearing
from loa.codecs.key_schedule import Agreement, LinkKeys
from loa.codecs.link_media import ClockProbe, ClockReply, DoorMessage, MediaMessage
from loa.codecs.link_wire import (
    Bye,
    Hello,
    OrderMessage,
    Proof,
    Receipt,
    ReceiptsAck,
    ReceiptsMessage,
    SecretMessage,
    StatementMessage,
    Status,
    WelcomeMessage,
)
from loa.codecs.signed import Kind
from loa.codecs.statement_wire import Beacon, Placement, Welcome
from loa.edge.speaker.identity import Identity
from loa.errors import AuthorityError, LinkError, Refused, WireError

NS_PER_S = 1_000_000_000
_MAX_OUTGOING = 256


@dataclass(frozen=True, slots=True)
class Welcomed:
    """The server has proved itself. `beacon` was true when the welcome was made, at most a moment ago."""

    channel_id: bytes
    keys: LinkKeys
    beacon: Beacon
    media_host: str
    media_port: int


@dataclass(frozen=True, slots=True)
class KeyListChanged:
    """`Identity.authority` holds a newer list, to be written down."""


@dataclass(frozen=True, slots=True)
class SecretReceived:
    """An epoch secret, opened."""

    epoch: bytes
    serial: int
    secret: bytes

    def __repr__(self) -> str:
        return f"SecretReceived(serial={self.serial})"


@dataclass(frozen=True, slots=True)
class OrderArrived:
    """An order bundle; nothing in it has been verified."""

    bundle: bytes


@dataclass(frozen=True, slots=True)
class PlacementChanged:
    """A verified placement; whether its serial is higher is for the taker to see."""

    envelope: bytes


@dataclass(frozen=True, slots=True)
class BeaconReceived:
    """A verified beacon."""

    beacon: Beacon


@dataclass(frozen=True, slots=True)
class GroupTold:
    """Which multicast group there is, if any."""

    message: GroupMessage


@dataclass(frozen=True, slots=True)
class ReceiptsAcked:
    """The server has stored these: (order id, state)."""

    receipts: tuple[tuple[bytes, int], ...]


@dataclass(frozen=True, slots=True)
class MediaArrived:
    """Packets of sound and signed blocks; nothing in them has been verified."""

    packets: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class TimeTold:
    """The answer to a clock probe."""

    reply: ProbeReply


@dataclass(frozen=True, slots=True)
class Closed:
    """The link is over; send what waits, then close. `by_server`: it was the other end's wish."""

    reason: str
    detail: str
    by_server: bool


Event = (
    Welcomed
    | KeyListChanged
    | SecretReceived
    | OrderArrived
    | PlacementChanged
    | BeaconReceived
    | GroupTold
    | ReceiptsAcked
    | MediaArrived
    | TimeTold
    | Closed
)


class LinkSession:
    """One link of an enrolled device. A newer key list is taken into `identity.authority` at once."""

    def __init__(
        self, identity: Identity, software: str, *, nonce_c: bytes = b"", agreement: Agreement | None = None
    ) -> None:
        """`nonce_c` and `agreement` are for test vectors only."""
        self._identity = identity
        self._agreement = agreement or Agreement()
        self._nonce_c = nonce_c or secrets.token_bytes(key_schedule.NONCE_BYTES)
        self._hello = link_wire.encode(
            Hello(
                identity.endpoint_id,
                self._nonce_c,
                self._agreement.public,
                identity.authority.key_list.version,
                software[:64],
            )
        )
        self._outgoing: list[bytes] = []
        self._welcome: Welcome | None = None
        self._keys: LinkKeys | None = None
        self._closed = False
        self._welcomed_ns = 0
        self.unknown_messages = 0
        self.refused_statements = 0

    def hello(self) -> bytes:
        """The first message."""
        return self._hello

    @property
    def up(self) -> bool:
        """Whether the server has proved itself and nobody has closed."""
        return self._keys is not None and not self._closed

    def take_outgoing(self) -> list[bytes]:
        """What is to be sent now, in order."""
        outgoing, self._outgoing = self._outgoing, []
        return outgoing

    def send_receipts(self, receipts: Iterable[Receipt]) -> None:
        """Queue receipts, 64 in a message. LinkError before the welcome and after the end."""
        waiting = list(receipts)
        for at in range(0, len(waiting), link_wire.MAX_RECEIPTS):
            self._send(ReceiptsMessage(tuple(waiting[at : at + link_wire.MAX_RECEIPTS])))

    def send_status(self, status: Status) -> None:
        """Queue a status. LinkError before the welcome and after the end."""
        self._send(status)

    def send_hearing(self, hearing: Hearing) -> None:
        """Queue whether the group is heard. LinkError before the welcome and after the end."""
        self._send(hearing)

    def send_door(self, by_link: bool) -> None:
        """Ask for sound by link, or by datagrams. LinkError before the welcome and after the end."""
        self._send(DoorMessage(by_link))

    def send_probe(self, t1_ns: int) -> None:
        """Ask for the time; to be sent at `t1_ns`, now. LinkError before the welcome and after the end."""
        self._send(ClockProbe(t1_ns))

    def close(self, reason: str, detail: str = "") -> Closed:
        """End the link from this side: a bye is queued."""
        self._closed = True
        self._outgoing.append(link_wire.encode(Bye(reason, detail[:200])))
        return Closed(reason, detail, by_server=False)

    def receive(self, data: bytes, now_ns: int) -> list[Event]:
        """Take one message of the server, which came when the local clock showed `now_ns`. Never raises."""
        if self._closed:
            return []
        try:
            if len(data) > link_wire.MAX_MESSAGE_BYTES:
                return [self.close("too_large", f"{len(data)} bytes")]
            if self._unknown(data):
                self.unknown_messages += 1
                return []
            message = link_wire.decode(data)
            if isinstance(message, Bye):
                self._closed = True
                return [Closed(message.reason, message.detail, by_server=True)]
            if self._welcome is None:
                if not isinstance(message, WelcomeMessage):
                    raise WireError(f"a {type(message).__name__} before the welcome")
                return self._take_welcome(message, now_ns)
            return self._take(message, now_ns)
        except WireError as error:
            return [self.close("malformed", str(error))]

    def _send(self, message: link_wire.Message) -> None:
        if not self.up:
            raise LinkError("the link is not up")
        if len(self._outgoing) >= _MAX_OUTGOING:
            raise LinkError("the link's queue is full")
        self._outgoing.append(link_wire.encode(message))

    @staticmethod
    def _unknown(data: bytes) -> bool:
        """Whether this is a message of a type that a later version 1 may have added."""
        value = canonical.decode(data, max_bytes=link_wire.MAX_MESSAGE_BYTES)
        return Fields(value, "link message").uint(0) not in link_wire.KNOWN_TYPES

    def _take_welcome(self, message: WelcomeMessage, now_ns: int) -> list[Event]:
        events: list[Event] = []
        authority = self._identity.authority
        try:
            if message.key_list:
                held = authority.key_list.version
                if authority.update(message.key_list):
                    events.append(KeyListChanged())
                elif _version(message.key_list) < held:
                    raise AuthorityError("the key list goes back")
            envelope = signed.parse(message.welcome, Kind.WELCOME)
            welcome = Welcome.decode(envelope.body)
            if welcome.hello_hash != hashlib.sha256(self._hello).digest():
                raise AuthorityError("the welcome answers another hello")
            if welcome.endpoint_id != self._identity.endpoint_id:
                raise AuthorityError("the welcome is another endpoint's")
            authority.entitled(
                envelope,
                Right.LINK,
                utc_s=welcome.beacon.utc_ns // NS_PER_S,
                place=self._identity.placement.areas,
                chain=message.chain,
            )
            self._keys = self._agreement.keys(
                welcome.agreement_public,
                nonce_c=self._nonce_c,
                nonce_s=welcome.nonce_s,
                endpoint_id=welcome.endpoint_id,
            )
        except (AuthorityError, WireError) as error:
            return [*events, self.close("bad_welcome", str(error))]
        self._welcome = welcome
        self._welcomed_ns = now_ns
        proof = self._identity.device_key.sign(key_schedule.proof_message(self._hello, message.welcome))
        self._outgoing.append(link_wire.encode(Proof(proof)))
        return [
            *events,
            Welcomed(welcome.channel_id, self._keys, welcome.beacon, welcome.media_host, welcome.media_port),
        ]

    def _take(self, message: link_wire.Message, now_ns: int) -> list[Event]:
        if isinstance(message, OrderMessage):
            return [OrderArrived(message.bundle)]
        if isinstance(message, ReceiptsAck):
            return [ReceiptsAcked(message.receipts)]
        if isinstance(message, GroupMessage):
            return [GroupTold(message)]
        if isinstance(message, MediaMessage):
            return [MediaArrived(message.packets)]
        if isinstance(message, ClockReply):
            return [TimeTold(ProbeReply(message.epoch, message.t1_ns, message.t2_ns, message.t3_ns))]
        if isinstance(message, SecretMessage):
            return [self._open_secret(message)]
        if isinstance(message, StatementMessage):
            try:
                return self._take_statement(message.envelope, now_ns)
            except AuthorityError:  # not from one who may say it: it has no effect, and the link goes on
                self.refused_statements += 1
                return []
        raise WireError(f"a {type(message).__name__} from the server")

    def _open_secret(self, message: SecretMessage) -> Event:
        assert self._keys is not None
        assert self._welcome is not None
        if message.epoch != self._welcome.beacon.epoch:
            raise WireError("a secret of another epoch than the welcome's")
        try:
            secret = key_schedule.open_secret(
                self._keys, epoch=message.epoch, serial=message.serial, sealed=message.sealed
            )
        except AuthorityError as error:
            raise WireError(str(error)) from error
        return SecretReceived(message.epoch, message.serial, secret)

    def _take_statement(self, envelope_bytes: bytes, now_ns: int) -> list[Event]:
        authority = self._identity.authority
        kind = envelope_bytes[1] if len(envelope_bytes) > 1 else 0
        if kind == Kind.KEY_LIST:
            return [KeyListChanged()] if authority.update(envelope_bytes) else []
        if kind not in (Kind.PLACEMENT, Kind.BEACON):
            raise WireError(f"a statement of kind {kind}")
        envelope = signed.parse(envelope_bytes, Kind(kind))
        authority.entitled(envelope, Right.LINK, utc_s=self._utc_s(now_ns), place=self._identity.placement.areas)
        if kind == Kind.BEACON:
            return [BeaconReceived(Beacon.decode(envelope.body))]
        if Placement.decode(envelope.body).endpoint_id != self._identity.endpoint_id:
            raise Refused("not_targeted", "the placement is another endpoint's")
        return [PlacementChanged(envelope_bytes)]

    def _utc_s(self, now_ns: int) -> int:
        assert self._welcome is not None
        return (self._welcome.beacon.utc_ns + now_ns - self._welcomed_ns) // NS_PER_S


def _version(key_list_envelope: bytes) -> int:
    """The version of a key list whose signature `Authority.update` has checked."""
    return Fields(
        canonical.decode(signed.parse(key_list_envelope, Kind.KEY_LIST).body, max_bytes=signed.MAX_BODY_BYTES),
        "key list",
    ).uint(1)
