"""Ten minutes of a whole city: 10,000 endpoints, 50 that leave and 50 that come each second, an alert every 10 s.

`make soak`; LOA_SOAK_S and LOA_SOAK_ENDPOINTS make it shorter or smaller for a trial.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks import Figure, Measured, Plot
from benchmarks.city import City
from benchmarks.everything import Quiet, of_run
from loa.app.api_client import ApiClient
from loa.app.load import core_metrics
from loa.app.load.plan import LoadPlan
from loa.app.load.run import LoadRun, Options

ENDPOINTS = int(os.environ.get("LOA_SOAK_ENDPOINTS", "10000"))
SECONDS = float(os.environ.get("LOA_SOAK_S", "600"))
SAMPLE = 100
CHURN_PER_S = 50.0
ALERT_EVERY_S = 10.0
LOOK_S = 5.0
WARM_SHARE = 0.2
"""Caches and windows fill in the first fifth; the slope is of what follows."""
FLAT_MIB_PER_MIN = 1.0
MIB = 2**20
MEMORY = {
    "core": "process_resident_memory_bytes",
    "media process": "loa_media_process_resident_memory_bytes",
}


def measure() -> Measured:
    """One core, 10,000 endpoints in three processes."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        city = City(stack, folder, 0)
        return asyncio.run(_measure(city, folder))


async def _measure(city: City, folder: Path) -> Measured:
    show = Quiet()
    plan = LoadPlan(ENDPOINTS, processes=3, sample=SAMPLE, churn=CHURN_PER_S)
    options = Options(
        city.url,
        city.token,
        plan,
        folder / "state",
        seconds=SECONDS,
        area_id=city.area,
        preempt_every_s=ALERT_EVERY_S,
    )
    looking = asyncio.create_task(_look(city, show))
    try:
        figures = (await LoadRun(options, show).run()).to_json()
        show.over.set()
        memory = await looking
    finally:
        looking.cancel()
    if figures["errors"]:
        raise RuntimeError(figures["errors"])
    links, note = figures["links"], f"{ENDPOINTS:,} endpoints, {SECONDS:.0f} s"
    steady = {
        name: [point for point in line if point[0] >= WARM_SHARE * SECONDS / 60] for name, line in memory.items()
    }
    return [
        Figure(
            "endpoints at the end", figures["endpoints"]["bound"] + figures["endpoints"]["away"], "endpoints", note
        ),
        Figure("left and came back", links["leaves"], "endpoints", f"{links['joins']:,} joins in all"),
        Figure(
            "alerts above the broadcast", len(figures["broadcasts"]) - 1, "alerts", f"each {ALERT_EVERY_S:.0f} s"
        ),
        *of_run(figures),
        *(
            Figure(
                f"memory of the {name}, growth",
                slope(line),
                "MiB/min",
                f"{line[0][1]:.0f} MiB to {line[-1][1]:.0f} MiB after the first fifth",
                at_most=FLAT_MIB_PER_MIN,
            )
            for name, line in steady.items()
            if len(line) > 1
        ),
        Plot("soak-memory", "minutes", "MiB", memory),
    ]


async def _look(city: City, show: Quiet) -> dict[str, list[tuple[float, float]]]:
    """Memory of core and media process while it is measured: (minutes, MiB)."""
    await show.measuring.wait()
    began_s = time.monotonic()
    lines: dict[str, list[tuple[float, float]]] = {name: [] for name in MEMORY}
    async with ApiClient(city.url, city.token) as api:
        while not show.over.is_set():
            told = await core_metrics.read(api)
            at_min = (time.monotonic() - began_s) / 60
            for name, metric in MEMORY.items():
                if metric in told:
                    lines[name].append((at_min, told[metric] / MIB))
            await asyncio.sleep(LOOK_S)
    return lines


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Of the straight line with the least squares through the points, which are two or more."""
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
