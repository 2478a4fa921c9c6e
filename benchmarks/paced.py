"""Processor for one packet to one of 2,000 endpoints at 20 ms: the real media process, a loop in C, GStreamer."""

from __future__ import annotations

import statistics
import subprocess
import tempfile
from pathlib import Path

from benchmarks import Figure, fanout, gstreamer, media_run
from benchmarks.ears import Ears

ENDPOINTS = 2_000
SECONDS = 6.0
TURNS = 3


def measure() -> list[Figure]:
    """Turns of each, one after the other, so that a busy moment meets all."""
    loa: list[float] = []
    c: list[float] = []
    peer: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        program = fanout.compiled(Path(folder))
        for _ in range(TURNS):
            loa.append(media_run.run(ENDPOINTS, SECONDS).cpu_us)
            c.append(_c(program))
            if (ran := gstreamer.run(ENDPOINTS, SECONDS)) is not None:
                peer.append(ran.cpu_us)
    ours, limit = statistics.median(loa), statistics.median(c)
    note = f"median of {TURNS}; {ENDPOINTS:,} endpoints, SRTP, signed blocks, keep-alives, all of the process"
    figures = [
        Figure("loa, a packet to one address, paced", ours, "µs", note),
        Figure(
            "limit: C sendmmsg loop, paced",
            limit,
            "µs",
            "the same endpoints and socket options, no keep-alives",
        ),
        Figure("loa / limit", ours / limit, "×", at_most=1.10),
    ]
    if peer:
        theirs = statistics.median(peer)
        figures += [
            Figure("peer: GStreamer multiudpsink, paced", theirs, "µs", "plain RTP, its encoder included"),
            Figure("loa / peer", ours / theirs, "×", at_most=1.00),
        ]
    return figures


def _c(program: Path) -> float:
    """To endpoints as the others have them: what it costs to receive at the sampled ones is in all three."""
    rounds = round(SECONDS / media_run.FRAME_S)
    period_us = round(media_run.FRAME_S * 1e6)
    numbers = (0, ENDPOINTS, rounds, fanout.PACKET_BYTES, period_us)
    with Ears(ENDPOINTS, b"") as ears:
        ears.deafen()
        receivers = "".join(f"{host} {port}\n" for host, port in ears.addresses)
        command = [str(program), *map(str, numbers)]
        said = subprocess.run(command, input=receivers, check=True, capture_output=True, text=True).stdout
    return int(said.split()[1]) / 1e3 / (rounds * ENDPOINTS)
