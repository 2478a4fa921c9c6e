"""What a second of sound costs a speaker: receive, verify, decode, render, with real Opus, on a virtual clock."""

from __future__ import annotations

import time
from importlib import resources

from benchmarks import Figure
from loa.codecs import block_wire
from loa.codecs.key_schedule import MediaKey
from loa.codecs.ogg_opus import read_ogg_opus
from loa.codecs.order_wire import Tune
from loa.codecs.rtp import PT_BLOCK, PT_OPUS, RtpHeader
from loa.codecs.signed import SigningKey
from loa.codecs.srtp import SrtpContext
from loa.edge.speaker.broadcast_receiver import BroadcastReceiver
from loa.edge.speaker.playout import Playout
from loa.timing.filter import ClockEstimate
from loa.timing.line import FrameGrid

FRAME = 960
BLOCK_FRAMES = 5
BLOCK_NS = 20_000_000
START_NS = 10_000_000_000
PLAY_DELAY_MS = 400
DRIFT_PPM = 60
TURNS = 3


def measure() -> list[Figure]:
    """The best turn of the shipped bulletin, in CPU time of this process."""
    sounds = read_ogg_opus((resources.files("loa") / "assets" / "bulletin.ogg").read_bytes()).packets
    seconds = len(sounds) * FRAME / 48_000
    turns = [_turn(sounds) for _ in range(TURNS)]
    receive_ns, render_ns = (min(part) for part in zip(*turns, strict=True))
    note = f"best of {TURNS}; {seconds:.1f} s of bulletin, signed blocks, clock {DRIFT_PPM} ppm off"
    return [
        Figure("receive and verify", receive_ns / 1e6 / seconds, "ms CPU / s", note),
        Figure("decode and render", render_ns / 1e6 / seconds, "ms CPU / s"),
        Figure("together", (receive_ns + render_ns) / 1e6 / seconds, "ms CPU / s"),
    ]


def _turn(sounds: list[bytes]) -> tuple[int, int]:
    """CPU ns spent in receiving and in rendering all of it."""
    block_key, key = SigningKey.generate(), MediaKey(b"k" * 16, b"s" * 12)
    tune = _tune(len(sounds), block_key.public_key)
    packets = _packets(tune, key, block_key, sounds)
    playout = Playout(_origin)
    receiver = playout.tune(bytes(16), tune, now_ns=START_NS, late=False, make=BroadcastReceiver)
    assert receiver is not None
    receiver.set_key(key)
    grid = FrameGrid(tune.start_ns, 0, 0, FRAME)
    receive_ns = render_ns = 0
    frame, local_ns = 0, START_NS
    while len(playout):
        origin_ns = _origin(local_ns).origin_ns
        at_ns = time.process_time_ns()
        while frame < len(sounds) and grid.due_ns(frame) <= origin_ns:
            for packet in packets[frame]:
                receiver.receive(packet, origin_ns, local_ns)
            frame += 1
        receiver.nacks(origin_ns, local_ns, 10_000_000)
        between_ns = time.process_time_ns()
        playout.render(local_ns, FRAME, 48_000)
        render_ns += time.process_time_ns() - between_ns
        receive_ns += between_ns - at_ns
        local_ns += BLOCK_NS
    if receiver.counters.played != len(sounds):
        raise RuntimeError(f"{receiver.counters.played} of {len(sounds)} frames were played")
    return receive_ns, render_ns


def _origin(local_ns: int) -> ClockEstimate:
    return ClockEstimate(local_ns + (local_ns - START_NS) * DRIFT_PPM // 1_000_000, 100_000, DRIFT_PPM * 1000, 100)


def _tune(frames: int, block_key: bytes) -> Tune:
    return Tune(
        broadcast_id=bytes(16),
        generation=1,
        ssrc=1,
        block_ssrc=2,
        index0=0,
        timestamp0=0,
        epoch=bytes(8),
        start_ns=START_NS,
        play_delay_ms=PLAY_DELAY_MS,
        frame_samples=FRAME,
        priority=100,
        volume=100,
        fade_ms=0,
        secret_serial=1,
        block_key=block_key,
        block_frames=BLOCK_FRAMES,
        end_index=frames,
    )


def _packets(tune: Tune, key: MediaKey, block_key: SigningKey, sounds: list[bytes]) -> list[list[bytes]]:
    """What leaves the origin with each frame: a block before the first of those that it covers."""
    context = SrtpContext(key.key, key.salt)
    headers = [
        RtpHeader(PT_OPUS, i & 0xFFFF, i * FRAME & 0xFFFF_FFFF, tune.ssrc, marker=i == 0).pack()
        for i in range(len(sounds))
    ]
    made: list[list[bytes]] = []
    for i, (header, sound) in enumerate(zip(headers, sounds, strict=True)):
        made.append([context.protect(header, sound, i)])
        if i % BLOCK_FRAMES == 0:
            number, after = i // BLOCK_FRAMES, min(i + BLOCK_FRAMES, len(sounds))
            hashes = [block_wire.frame_hash(headers[j], sounds[j]) for j in range(i, after)]
            block = block_wire.seal_block(block_key, tune.ssrc, i, hashes)
            over = RtpHeader(PT_BLOCK, number & 0xFFFF, i * FRAME & 0xFFFF_FFFF, tune.block_ssrc).pack()
            made[-1].insert(0, context.protect(over, block, number))
    return made
