"""The one interface between control and the media process: small messages over a socket pair.

Control decides; the media process paces, encrypts, signs, sends, repairs, and answers the channel. Everything
here is a value. `MediaPort` is what control holds: `broadcast.air.media_process` implements it over a socket
pair to a process, `broadcast.air.media_local` in this process (tests, the simulator).

Times are nanoseconds of the media process's monotonic clock, which is the origin time of `Ready.epoch`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

Address = tuple[str, int]
"""Numeric host and UDP port."""


class GroupRoute(NamedTuple):
    """A multicast group, and how datagrams go there.

    `ttl`: 1 to 255. `interface`: the name of the one they leave by; empty: the system's choice. `loop`: whether
    this machine hears them too. `source`: the numeric address they come from; empty: the interface's.
    """

    host: str
    port: int
    ttl: int
    interface: str
    loop: bool
    source: str

    @property
    def address(self) -> Address:
        """Host and port."""
        return self.host, self.port


@dataclass(frozen=True, slots=True)
class AddChannel:
    """A link came up: this channel may bind an address. A known id gets the new secret and loses its address."""

    channel_id: bytes
    secret: bytes


@dataclass(frozen=True, slots=True)
class DropChannel:
    """The link's endpoint is gone or revoked: forget the channel and its address at once."""

    channel_id: bytes


@dataclass(frozen=True, slots=True)
class StartAir:
    """Take a generation of a broadcast on air; see `codecs.order_wire.Tune` for the fields they share.

    The first frame (index0) is due at `start_ns`. `master_key`, `master_salt`: of SRTP, this generation's only.
    `block_seed`: Ed25519 seed of the block key, empty for unsigned sound. Who gets it, `Audience`
    and `Groups` tell.
    """

    broadcast_id: bytes
    generation: int
    ssrc: int
    block_ssrc: int
    index0: int
    timestamp0: int
    start_ns: int
    frame_samples: int
    master_key: bytes
    master_salt: bytes
    block_seed: bytes
    block_frames: int
    end_index: int | None


@dataclass(frozen=True, slots=True)
class Audience:
    """Channels that begin and cease to get a broadcast, from the next frame on."""

    broadcast_id: bytes
    joined: tuple[bytes, ...]
    left: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class UseGroups:
    """These are all the multicast groups that there are: each gets a GROUP datagram every 2 s, and what is on air
    in it. Others get nothing any more."""

    routes: tuple[GroupRoute, ...]


@dataclass(frozen=True, slots=True)
class Groups:
    """The multicast groups that get a broadcast too, from the next frame on. One that is not in use is passed over
    until it is."""

    broadcast_id: bytes
    groups: tuple[Address, ...]


class PlainOutput(NamedTuple):
    """An unprotected RTP stream to a multicast group, with the packets that announce it and that end it by SAP."""

    output_id: bytes
    route: GroupRoute
    announcement: bytes
    deletion: bytes


@dataclass(frozen=True, slots=True)
class UsePlain:
    """These are all the unprotected RTP outputs that there are. Who is no more among them ends."""

    outputs: tuple[PlainOutput, ...]


@dataclass(frozen=True, slots=True)
class Carry:
    """From its next frame on, an unprotected output carries this broadcast; empty: from now on none."""

    output_id: bytes
    broadcast_id: bytes


@dataclass(frozen=True, slots=True)
class Frames:
    """Opus packets of a broadcast, the first at `first_index`, handed over ahead of their time and in order."""

    broadcast_id: bytes
    first_index: int
    packets: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class StopAir:
    """Send no further frame of a broadcast."""

    broadcast_id: bytes


@dataclass(frozen=True, slots=True)
class Tap:
    """Begin, or cease, to hand control every packet that is sent of a broadcast (`Tapped`)."""

    broadcast_id: bytes
    on: bool


@dataclass(frozen=True, slots=True)
class SendOrder:
    """Send an ORDER datagram to channels, at once and again after 50, 150, 400, 1,000 ms until settled."""

    order_id: bytes
    datagram: bytes
    channels: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class SettleOrder:
    """These channels have answered: do not repeat the order to them."""

    order_id: bytes
    channels: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class AskCounters:
    """Please report `Counters`."""


@dataclass(frozen=True, slots=True)
class Shutdown:
    """End the media process."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The first event: the media socket is open at `address`, origin time is `origin_ns` of `epoch` now."""

    epoch: bytes
    address: Address
    origin_ns: int


@dataclass(frozen=True, slots=True)
class ChannelBound:
    """A channel answered the challenge from `address`; datagrams go there from now on."""

    channel_id: bytes
    address: Address


@dataclass(frozen=True, slots=True)
class ChannelUnbound:
    """A channel's binding ended (no keep-alive for 45 s)."""

    channel_id: bytes


@dataclass(frozen=True, slots=True)
class ChannelLoud:
    """A channel says more than one may, with its own MACs. Told at most once a minute of each, and of few."""

    channel_id: bytes


@dataclass(frozen=True, slots=True)
class AirProgress:
    """Every frame below `next_index` has been sent or, when it was not there in time, skipped: `sent` really were.

    `buffered` more are waiting. Every 500 ms and at the start.
    """

    broadcast_id: bytes
    generation: int
    next_index: int
    buffered: int
    sent: int


@dataclass(frozen=True, slots=True)
class AirEnded:
    """Nothing of this generation is sent any more; `sent` frames were.

    `reason`: end, stopped, starved (no frames for 2 s), refused (it could not go on air at all).
    """

    broadcast_id: bytes
    generation: int
    next_index: int
    reason: str
    sent: int


@dataclass(frozen=True, slots=True)
class Tapped:
    """Packets of a tapped broadcast, sound and blocks in the order of sending, as they are due. What control does
    not read in time is dropped."""

    broadcast_id: bytes
    packets: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Counters:
    """Plain counters by name since the start of the process, for /metrics."""

    values: dict[str, int]


Command = (
    AddChannel
    | DropChannel
    | StartAir
    | Audience
    | UseGroups
    | Groups
    | UsePlain
    | Carry
    | Frames
    | StopAir
    | Tap
    | SendOrder
    | SettleOrder
    | AskCounters
    | Shutdown
)
Event = Ready | ChannelBound | ChannelUnbound | ChannelLoud | AirProgress | AirEnded | Tapped | Counters


class MediaPort(Protocol):
    """What control holds of the media process."""

    def send(self, command: Command) -> None:
        """Queue a command; never waits. Commands keep their order."""

    def events(self) -> AsyncIterator[Event]:
        """Events in order, the first is Ready. Ends when the media process is gone."""

    async def close(self) -> None:
        """End the media process and wait until it is gone."""
