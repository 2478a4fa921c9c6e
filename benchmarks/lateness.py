"""How late ticks are while others would take all of the machine, and how long it takes to change an audience."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from benchmarks import Figure, media_run
from benchmarks.media_run import run
from loa.broadcast.air.media_core import MediaCore
from loa.broadcast.air.media_port import AddChannel, Audience, Frames, StartAir
from loa.codecs import channel_wire
from loa.codecs.channel_wire import Type, padded

ENDPOINTS, SECONDS = 2_000, 10.0
BUSY = 2
CHANGED = 10_000
TURNS = 11
_SPIN = "import json\nwhile True: json.dumps(list(range(1000)))"


def measure() -> list[Figure]:
    """Both."""
    busy = [subprocess.Popen([sys.executable, "-c", _SPIN]) for _ in range(BUSY)]
    try:
        ran = run(ENDPOINTS, SECONDS)
    finally:
        for process in busy:
            process.kill()
            process.wait()
    ticks = ran.counters["ticks"]
    note = f"of {ticks:,}; {ENDPOINTS:,} endpoints, {BUSY} processes that never wait"
    took_ms = _changes_ms()
    return [
        Figure(
            "ticks over 2 ms late on a busy machine", 100 * ran.counters["ticks_late_2ms"] / ticks, "%", note, 1.0
        ),
        Figure("ticks over 20 ms late on a busy machine", 100 * ran.counters["ticks_late_20ms"] / ticks, "%"),
        Figure(
            f"{CHANGED:,} listeners leave, others join",
            statistics.median(took_ms),
            "ms",
            f"median of {TURNS}, commands and the next frame's table",
            at_most=5,
        ),
    ]


def _changes_ms() -> list[float]:
    secret, every = bytes(32), [n.to_bytes(8, "big") for n in range(CHANGED)]
    core = MediaCore(epoch=bytes(8), address=("::", 0), clock=time.monotonic_ns, nonce_key=bytes(32))
    for n, channel in enumerate(every):
        core.handle(AddChannel(channel, secret), 0)
        home = (f"10.1.{n // 250}.{n % 250}", 9)
        [(challenge, _)] = core.receive(
            channel_wire.encode(Type.KEEPALIVE, channel, 0, padded(b""), secret), home, 0
        )
        nonce = channel_wire.parse(challenge).payload
        core.receive(channel_wire.encode(Type.ECHO, channel, 1, nonce, secret), home, 0)
    ids = (bytes(16), b"x" * 16)
    for k, broadcast in enumerate(ids):
        start = StartAir(broadcast, 1, 2 * k + 1, 2 * k + 2, 0, 0, 0, 960, bytes([k]) * 16, bytes(12), b"", 5, None)
        core.handle(start, 0)
        core.handle(Audience(broadcast, tuple(every) if k == 0 else ()), 0)
        core.handle(Frames(broadcast, 0, tuple(bytes(media_run.PAYLOAD_BYTES) for _ in range(TURNS + 1))), 0)
    core.due(0)
    took_ms = []
    for turn in range(1, TURNS + 1):
        low, high = ids[(turn + 1) % 2], ids[turn % 2]
        at_ns = turn * 20_000_000
        began_ns = time.perf_counter_ns()
        core.handle(Audience(low, (), tuple(every)), at_ns)
        core.handle(Audience(high, tuple(every)), at_ns)
        batches = core.due(at_ns)
        took_ms.append((time.perf_counter_ns() - began_ns) / 1e6)
        assert [len(batch.table) for batch in batches] == [CHANGED]
    return took_ms
