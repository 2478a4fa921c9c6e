"""Processor against endpoints, 100 to 20,000 at 20 ms: what an endpoint costs, and whether the line is straight."""

from __future__ import annotations

import numpy as np

from benchmarks import Figure, Measured, Plot, media_run

COUNTS = (100, 1_000, 2_000, 5_000, 10_000, 15_000, 20_000)
SECONDS = 5.0


def measure() -> Measured:
    """A run for each count."""
    runs = [(count, media_run.run(count, SECONDS)) for count in COUNTS]
    kept = [(float(count), ran.cores) for count, ran in runs if not ran.counters["frames_skipped"]]
    xs, ys = np.array([x for x, _ in kept]), np.array([y for _, y in kept])
    slope, base = np.polyfit(xs, ys, 1)
    off = float(np.max(np.abs(ys - (slope * xs + base)))) if len(kept) > 2 else 0.0
    return [
        *(
            Figure(
                f"{count:,} endpoints",
                ran.cores,
                "cores",
                f"{ran.cpu_us:.2f} µs a packet, spread p50 {ran.spread_ms(0.5):.1f} ms, "
                f"{ran.counters['frames_skipped']} frames skipped",
            )
            for count, ran in runs
        ),
        Figure("for each 1,000 endpoints", float(slope) * 1_000, "cores", "of those that kept every tick"),
        Figure("farthest from the straight line", off, "cores"),
        Plot("Processor against endpoints", "endpoints", "cores", {"loa, media process": kept}),
    ]
