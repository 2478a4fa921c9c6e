"""Processor for one packet to one of 2,000 endpoints at 20 ms: the real media process, a loop in C, GStreamer."""

from __future__ import annotations

import statistics
import subprocess
import tempfile
from pathlib import Path

from benchmarks import Figure, fanout, gstreamer, media_run

ENDPOINTS = 2_000
SECONDS = 6.0
TURNS = 3


def measure() -> list[Figure]:
    """Turns of each, one after the other, so that a busy moment meets all."""
    loa: list[float] = []
    c: list[float] = []
    peer: list[float] = []
    with tempfile.TemporaryDirectory() as folder, fanout.sink() as drain:
        program = fanout.compiled(Path(folder))
        for _ in range(TURNS):
            loa.append(media_run.run(ENDPOINTS, SECONDS).cpu_us)
            c.append(_c(program, drain.getsockname()[1]))
            if (ran := gstreamer.run(ENDPOINTS, SECONDS)) is not None:
                peer.append(ran.cpu_us)
    ours, limit = statistics.median(loa), statistics.median(c)
    note = f"median of {TURNS}; {ENDPOINTS:,} endpoints, SRTP, signed blocks, keep-alives, all of the process"
    figures = [
        Figure("loa, a packet to one address, paced", ours, "µs", note),
        Figure("limit: C sendmmsg loop, paced", limit, "µs", "the same socket options"),
        Figure("loa / limit", ours / limit, "×", at_most=1.10),
    ]
    if peer:
        theirs = statistics.median(peer)
        figures += [
            Figure("peer: GStreamer multiudpsink, paced", theirs, "µs", "plain RTP, its encoder included"),
            Figure("loa / peer", ours / theirs, "×", at_most=1.00),
        ]
    return figures


def _c(program: Path, port: int) -> float:
    rounds = round(SECONDS / media_run.FRAME_S)
    period_us = round(media_run.FRAME_S * 1e6)
    numbers = (port, ENDPOINTS, rounds, fanout.PACKET_BYTES, period_us)
    said = subprocess.run([str(program), *map(str, numbers)], check=True, capture_output=True, text=True).stdout
    return int(said.split()[1]) / 1e3 / (rounds * ENDPOINTS)
