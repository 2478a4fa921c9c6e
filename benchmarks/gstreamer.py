"""The peer: GStreamer's `multiudpsink`, which sends plain RTP to a list of addresses, from one thread."""

from __future__ import annotations

import shutil
import subprocess
import time
from dataclasses import dataclass

from benchmarks.ears import Ears, quantile, spreads_ms
from benchmarks.media_run import FRAME_S
from benchmarks.processor import cpu_s

_SETTLES_S = 2.0


@dataclass(frozen=True, slots=True)
class Peer:
    """What a run has shown; as `media_run.Run`."""

    cpu_us: float
    cores: float
    spreads_ms: list[float]

    def spread_ms(self, share: float) -> float:
        """A quantile of the first-to-last spreads."""
        return quantile(self.spreads_ms, share)


def run(count: int, seconds: float) -> Peer | None:
    """Opus of 64 kb/s in 20 ms frames to `count` endpoints for so long; None where there is no GStreamer."""
    if shutil.which("gst-launch-1.0") is None:
        return None
    with Ears(count, b"") as ears:
        ears.deafen()
        clients = ",".join(f"{host}:{port}" for host, port in ears.addresses)
        pipeline = (
            "audiotestsrc is-live=true samplesperbuffer=960 ! audio/x-raw,rate=48000,channels=1 ! "
            f"opusenc bitrate=64000 frame-size=20 ! rtpopuspay ! multiudpsink sync=false clients={clients}"
        )
        command = ["gst-launch-1.0", "-q", *pipeline.split()]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                time.sleep(_SETTLES_S)
                cpu_before, began = cpu_s(process.pid), time.monotonic()
                time.sleep(seconds)
                cpu, took = cpu_s(process.pid) - cpu_before, time.monotonic() - began
            finally:
                process.terminate()
        heard = ears.heard()
        kept_pace = len(heard) >= 0.9 * (seconds + _SETTLES_S - 1) / FRAME_S
        sent = took / FRAME_S * count
        spreads, _ = spreads_ms(heard, ears.sampled)
        return Peer(cpu / sent * 1e6 if kept_pace else float("nan"), cpu / took, spreads)
