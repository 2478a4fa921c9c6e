"""Everything on: links, statuses, clock probes, lost packets asked for again, receipts, the API asked meanwhile.

The generator stands on the same cores as the core: what it takes is told beside it.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks import Figure
from benchmarks.city import City
from loa.app.api_client import ApiClient, ApiError
from loa.app.load.plan import LoadPlan
from loa.app.load.run import LoadRun, Options

ENDPOINTS = 4_000
SAMPLE = 100
LOSS = 0.01
REQUESTS_PER_S = 50
SECONDS = 30.0


class Quiet:
    """Shows nothing; knows when measuring begins and ends."""

    def __init__(self) -> None:
        self.measuring = asyncio.Event()
        self.over = asyncio.Event()

    def phase(self, vietnamese: str, english: str) -> None:
        """See Show."""
        if english == "measuring":
            self.measuring.set()
        elif self.measuring.is_set():
            self.over.set()

    def progress(self, done: float, wanted: float, gauges: Counter[str], counts: Counter[str]) -> None:
        """See Show."""


def measure() -> list[Figure]:
    """One core, 4,000 endpoints in two processes, and this process that asks."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        city = City(stack, folder, 0)
        return asyncio.run(_measure(city, folder))


async def _measure(city: City, folder: Path) -> list[Figure]:
    show = Quiet()
    plan = LoadPlan(ENDPOINTS, processes=2, sample=SAMPLE, loss=LOSS, nack=LOSS)
    run = LoadRun(Options(city.url, city.token, plan, folder / "state", seconds=SECONDS, area_id=city.area), show)
    asking = asyncio.create_task(_ask(city, show))
    try:
        figures = (await run.run()).to_json()
        show.over.set()
        took_ms, refusals = await asking
    finally:
        asking.cancel()
    if figures["errors"]:
        raise RuntimeError(figures["errors"])
    note = f"{ENDPOINTS:,} endpoints, {len(took_ms) / SECONDS:.0f} API requests/s, {LOSS:.0%} loss, {SECONDS:.0f} s"
    return [
        Figure(
            "endpoints with everything on", figures["endpoints"]["bound"], "endpoints", note, at_least=ENDPOINTS
        ),
        *of_run(figures),
        Figure("API answers other than 2xx", refusals.total(), "answers", str(dict(refusals) or ""), at_most=0),
        Figure("an API request, p50", took_ms[len(took_ms) // 2], "ms"),
        Figure("an API request, p99", took_ms[len(took_ms) * 99 // 100], "ms"),
    ]


def of_run(figures: Mapping[str, Any]) -> list[Figure]:
    """The figures of a load run that others want too."""
    core, ms, frames = figures["core_figures"], figures["ms"], figures["frames"]
    generator = [each["cpu"] or 0.0 for each in figures["generator"]["processes"]]
    checks = {check["name"]: check["measured"] for check in figures["checks"]}
    ticks, sent = f"of {core['ticks']:.0f}", f"of {core['frames_sent']:.0f}"
    arrivals = f"{ms['order_first']['count']:,} arrivals"
    heard = ", ".join(f"{name} {frames[name]:,}" for name in ("repaired", "concealed", "unsigned", "late"))
    sampled = f"{figures['endpoints']['sampled']} heard in full, kernel time stamps"
    return [
        Figure("ticks more than 20 ms late", core["ticks_late_20ms"], "ticks", ticks, at_most=0),
        Figure("ticks more than 2 ms late", core["ticks_late_2ms"], "ticks", ticks),
        Figure("frames the core left out", core["frames_skipped"], "frames", sent, at_most=0),
        Figure("packets that never came", frames["missing"], "packets", f"of {frames['packets']:,}", at_most=0),
        Figure("frames concealed", checks["concealed_percent"] or 0.0, "%", heard),
        Figure("spread of a frame, p50", ms["spread"]["p50"], "ms", sampled),
        Figure("spread of a frame, p99", ms["spread"]["p99"], "ms"),
        Figure("join, p99", ms["join"]["p99"], "ms", f"all within {figures['seconds']['join']:.1f} s"),
        Figure("order at the endpoint, p99", ms["order_first"]["p99"], "ms", arrivals),
        Figure("receipt stored, p99", ms["order_acknowledged"]["p99"], "ms", at_most=5_000),
        Figure("links lost", figures["links"]["lost"], "links", at_most=0),
        Figure("processor of the core", core["cpu"], "cores"),
        Figure("processor of its media process", core["media_cpu"], "cores"),
        Figure("processor of the generator", sum(generator), "cores", f"{len(generator)} processes"),
    ]


async def _ask(city: City, show: Quiet) -> tuple[list[float], Counter[str]]:
    """Ask REQUESTS_PER_S while it is measured: how long each took, ms, ascending; and answers other than 2xx."""
    took_ms: list[float] = []
    refusals: Counter[str] = Counter()
    await show.measuring.wait()
    async with ApiClient(city.url, city.token) as api:
        paths = ("endpoints?limit=50", "broadcasts?limit=20", f"areas/{city.area}", "areas?limit=50&sort=name")

        async def one(number: int) -> None:
            began_s = time.perf_counter()
            try:
                await api.call("GET", f"/api/v1/{paths[number % len(paths)]}")
            except ApiError as error:
                refusals[f"{error.status} {error.slug}"] += 1
            took_ms.append((time.perf_counter() - began_s) * 1000)

        async with asyncio.TaskGroup() as group:
            began_s = time.perf_counter()
            number = 0
            while not show.over.is_set():
                group.create_task(one(number))
                number += 1
                await asyncio.sleep(max(0.0, began_s + number / REQUESTS_PER_S - time.perf_counter()))
    return sorted(took_ms), refusals
