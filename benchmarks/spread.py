"""How far apart the first and the last of thousands of endpoints get a frame, and whether every tick is kept."""

from __future__ import annotations

from benchmarks import Figure, gstreamer, media_run
from benchmarks.ears import SAMPLED

BESIDE_PEER, BESIDE_PEER_S = 5_000, 10.0
MANY, MANY_S = 10_000, 60.0


def measure() -> list[Figure]:
    """5,000 beside the peer, then 10,000 for a minute."""
    note = f"kernel time stamps at {SAMPLED} sampled endpoints, the first and the last among them"
    few = media_run.run(BESIDE_PEER, BESIDE_PEER_S)
    peer = gstreamer.run(BESIDE_PEER, BESIDE_PEER_S)
    figures = [
        Figure(f"{BESIDE_PEER:,} endpoints: spread p50", few.spread_ms(0.5), "ms", note),
        Figure(f"{BESIDE_PEER:,} endpoints: spread p99", few.spread_ms(0.99), "ms"),
        Figure(f"{BESIDE_PEER:,} endpoints: cores", few.cores, ""),
    ]
    if peer is not None:
        figures += [
            Figure("peer, the same: spread p50", peer.spread_ms(0.5), "ms", "GStreamer multiudpsink, plain RTP"),
            Figure("peer, the same: spread p99", peer.spread_ms(0.99), "ms"),
            Figure("peer, the same: cores", peer.cores, ""),
            Figure("loa / peer, p99", few.spread_ms(0.99) / peer.spread_ms(0.99), "×", at_most=0.6),
        ]
    many = media_run.run(MANY, MANY_S)
    counted = many.counters
    return [
        *figures,
        Figure(f"{MANY:,} endpoints, {MANY_S:.0f} s: spread p50", many.spread_ms(0.5), "ms", at_most=14),
        Figure(f"{MANY:,} endpoints: spread p99", many.spread_ms(0.99), "ms", at_most=20),
        Figure(f"{MANY:,} endpoints: cores", many.cores, ""),
        Figure(f"{MANY:,} endpoints: missed ticks", counted["frames_skipped"], "", "frames not sent", at_most=0),
        Figure(f"{MANY:,} endpoints: ticks over 20 ms late", counted["ticks_late_20ms"], "", at_most=0),
        Figure(
            f"{MANY:,} endpoints: ticks over 2 ms late", counted["ticks_late_2ms"], "", f"of {counted['ticks']:,}"
        ),
        Figure(f"{MANY:,} endpoints: refused by the kernel", counted["send_refused"], "", at_most=0),
        Figure(f"{MANY:,} endpoints: missing at the sampled ones", many.missing, "packets"),
    ]
