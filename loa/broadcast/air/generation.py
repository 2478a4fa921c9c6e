"""A generation of a broadcast before it is ordered: what its tune order says, and the secrets no order says."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import dataclass

from loa.broadcast.air.epoch import EpochSecret, EpochSecrets
from loa.broadcast.air.media_port import MediaPort, StartAir
from loa.broadcast.orders.book import IssuedOrder
from loa.broadcast.records import Broadcast, Programme
from loa.codecs.key_schedule import MediaKey
from loa.codecs.order_wire import Tune
from loa.codecs.signed import SigningKey
from loa.model import BroadcastState, new_id
from loa.timing.line import samples_to_ns

LEADS_MS = (10, 500, 2_000)
"""From the decision to the first frame: time for the order to be written down. Where that takes a little longer the
first frames follow at once; where much longer, the broadcast is ordered anew, a new generation, with the next."""
BLOCK_MS = 100
"""What a block covers at most; it bounds how long a live listener must wait for one."""
GRACE_MS = 60_000
"""How much longer than its sound a tune order is valid."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a person asks for: a programme, now, to areas and endpoints."""

    programme: Programme
    areas: tuple[bytes, ...]
    endpoints: tuple[bytes, ...]
    priority: int
    volume: int
    play_delay_ms: int

    def broadcast(self, frames: int, now_ms: int) -> Broadcast:
        """The broadcast of so many frames that is made of it, before it has any generation. `now_ms`: UTC."""
        return Broadcast(
            id=new_id(now_ms),
            programme_id=self.programme.id,
            state=BroadcastState.PREPARING,
            priority=self.priority,
            volume=self.volume,
            play_delay_ms=self.play_delay_ms,
            areas=self.areas,
            endpoints=self.endpoints,
            created_ms=now_ms,
            generation=0,
            ssrc=None,
            start_utc_ms=None,
            ended_utc_ms=None,
            frames_total=frames,
            frames_aired=0,
            reason="",
            programme_title=self.programme.title,
            programme_sha256=self.programme.sha256,
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """The tune, the key of its sound, the key of its signed blocks (None: the sound is not signed), and the secret
    that the first key follows from."""

    tune: Tune
    key: MediaKey
    block_key: SigningKey | None
    secret: EpochSecret

    def valid_ms(self, now_ns: int) -> int:
        """How long from now the tune order is valid: to the end of the sound, and GRACE_MS more."""
        tune = self.tune
        frames = (tune.end_index or tune.index0) - tune.index0
        end_ns = tune.start_ns + samples_to_ns(frames * tune.frame_samples)
        return (end_ns - now_ns) // 1_000_000 + tune.play_delay_ms + GRACE_MS

    def start_air(self) -> StartAir:
        """What takes it on air."""
        tune = self.tune
        return StartAir(
            broadcast_id=tune.broadcast_id,
            generation=tune.generation,
            ssrc=tune.ssrc,
            block_ssrc=tune.block_ssrc,
            index0=tune.index0,
            timestamp0=tune.timestamp0,
            start_ns=tune.start_ns,
            frame_samples=tune.frame_samples,
            master_key=self.key.key,
            master_salt=self.key.salt,
            block_seed=self.block_key.seed if self.block_key else b"",
            block_frames=tune.block_frames,
            end_index=tune.end_index,
        )


@dataclass(frozen=True, slots=True)
class Ordered:
    """A generation that is ordered, its broadcast as it is by that, and the media process and epoch it is for."""

    broadcast: Broadcast
    plan: Plan
    order: IssuedOrder
    duty: tuple[MediaPort, EpochSecrets]


def plan_generation(
    broadcast: Broadcast,
    request: Request,
    epoch: EpochSecrets,
    *,
    start_ns: int,
    block_key: SigningKey | None,
    taken: Collection[int],
) -> Plan:
    """The broadcast's generation, from `start_ns` of the epoch. `taken`: SSRCs that are on air now."""
    secret = epoch.in_force
    ssrc, block_ssrc = _free_ssrcs(taken)
    index0 = secrets.randbelow(1 << 16)
    frame_ms = request.programme.frame_samples // 48
    tune = Tune(
        broadcast_id=broadcast.id,
        generation=broadcast.generation,
        ssrc=ssrc,
        block_ssrc=block_ssrc,
        index0=index0,
        timestamp0=secrets.randbits(32),
        epoch=epoch.epoch,
        start_ns=start_ns,
        play_delay_ms=request.play_delay_ms,
        frame_samples=request.programme.frame_samples,
        priority=request.priority,
        volume=request.volume,
        fade_ms=0,
        secret_serial=secret.serial,
        block_key=block_key.public_key if block_key else b"",
        block_frames=max(1, BLOCK_MS // frame_ms),
        end_index=index0 + broadcast.frames_total,
    )
    # The key belongs to the serial that the order names, whatever is renewed while the order is written down.
    return Plan(tune, secret.media_key(broadcast.id, broadcast.generation), block_key, secret)


def _free_ssrcs(taken: Collection[int]) -> tuple[int, int]:
    free: list[int] = []
    while len(free) < 2:
        ssrc = secrets.randbits(32)
        if ssrc not in taken and ssrc not in free:
            free.append(ssrc)
    return free[0], free[1]
