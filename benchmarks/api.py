"""The API while a broadcast is on air to 500 speakers, and one device beside a bare aiohttp handler."""

from __future__ import annotations

import asyncio
import json
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import aiohttp

from benchmarks import Figure
from benchmarks.city import Child, City, media_counters
from loa.app.api_client import ApiClient
from loa.app.load import Crowd, LoadPlan
from tests import sounds

SPEAKERS = 500
REQUESTS_PER_S = 200
SECONDS = 20.0
SOUND_S = 60.0
JOIN_S = 60.0
TURNS = 5
TURN_S = 1.5
CONNECTIONS = 8


def measure() -> list[Figure]:
    """Real processes: the core, a crowd of endpoints, a bare handler; this one asks."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        return asyncio.run(_measure(stack, City(stack, folder, 0), folder))


async def _measure(stack: ExitStack, city: City, folder: Path) -> list[Figure]:
    url, area = city.url, city.area
    async with ApiClient(url, city.token) as api, AsyncExitStack() as speakers:
        sound = folder / "sound.wav"
        sound.write_bytes(sounds.wav(sounds.siren(SOUND_S)))
        programme = await api.upload("Còi thử", sound)
        crowd = await speakers.enter_async_context(
            Crowd(url, LoadPlan(SPEAKERS, processes=1, sample=0), folder / "crowd")
        )
        await crowd.enrol(api, area)
        await crowd.join(JOIN_S)
        device = (await api.call("GET", "/api/v1/endpoints?limit=1"))["items"][0]
        shown = json.dumps(await api.call("GET", f"/api/v1/endpoints/{device['id']}"))
        broadcast = await api.start(programme["id"], areas=[area])
        await asyncio.sleep(1)
        before = await media_counters(api)
        took_ms, answers = await _mixed(api, area, device["id"], broadcast["id"])
        after = await media_counters(api)
        await api.call("POST", f"/api/v1/broadcasts/{broadcast['id']}/stop")
        bare_url = Child(stack, ["-m", "benchmarks.bare_http"], folder, BODY=shown).line()
        ours, theirs = [], []
        for _ in range(TURNS):
            ours.append(await _flat_out(api, f"{url}/api/v1/endpoints/{device['id']}"))
            theirs.append(await _flat_out(api, f"{bare_url}/device/{device['id']}"))
    grown = {name: after[name] - value for name, value in before.items()}
    if grown["frames_sent"] < 0.9 * SECONDS * 50:
        raise RuntimeError("the broadcast was not on air")
    took_ms.sort()
    mine, bare_rate = statistics.median(ours), statistics.median(theirs)
    on_air = f"{SPEAKERS} speakers, {len(took_ms) / SECONDS:.0f} requests/s, {SECONDS:.0f} s"
    return [
        Figure("ticks more than 20 ms late", grown["ticks_late_20ms"], "ticks", on_air),
        Figure("ticks more than 2 ms late", grown["ticks_late_2ms"], "ticks", f"of {grown['ticks']:.0f}"),
        Figure("frames not sent", grown["frames_skipped"], "frames", f"of {grown['frames_sent']:.0f}"),
        Figure(
            "answers other than 2xx", sum(n for s, n in answers.items() if s >= 300), "answers", str(dict(answers))
        ),
        Figure("a request, p50", took_ms[len(took_ms) // 2], "ms"),
        Figure("a request, p99", took_ms[len(took_ms) * 99 // 100], "ms"),
        Figure("GET one device", mine, "requests/s", f"{CONNECTIONS} connections, median of {TURNS}"),
        Figure("a bare aiohttp handler, the same JSON", bare_rate, "requests/s"),
        Figure("share of the bare handler", mine / bare_rate, "×"),
    ]


async def _mixed(api: ApiClient, area: str, device: str, broadcast: str) -> tuple[list[float], Counter[int]]:
    """REQUESTS_PER_S, eight in ten reading: how long each took, and how it was answered."""
    took_ms: list[float] = []
    answers: Counter[int] = Counter()

    async def one(number: int) -> None:
        kinds: tuple[Callable[[], Awaitable[aiohttp.ClientResponse]], ...] = (
            lambda: api._session.get(f"{api.url}/api/v1/endpoints/{device}"),
            lambda: api._session.get(f"{api.url}/api/v1/endpoints?limit=50"),
            lambda: api._session.get(f"{api.url}/api/v1/broadcasts/{broadcast}"),
            lambda: api._session.get(f"{api.url}/api/v1/areas?limit=50&sort=name"),
            lambda: api._session.post(
                f"{api.url}/api/v1/areas",
                json={"name": f"Thôn {number}", "level": "hamlet", "parent_id": area},
                headers={"Idempotency-Key": f"bench-{number}"},
            ),
        )
        began = time.perf_counter()
        answer = await kinds[number % len(kinds)]()
        await answer.read()
        took_ms.append((time.perf_counter() - began) * 1000)
        answers[answer.status] += 1

    async with asyncio.TaskGroup() as group:
        began = time.perf_counter()
        for number in range(int(REQUESTS_PER_S * SECONDS)):
            await asyncio.sleep(max(0.0, began + number / REQUESTS_PER_S - time.perf_counter()))
            group.create_task(one(number))
    return took_ms, answers


async def _flat_out(api: ApiClient, url: str) -> float:
    """Requests a second over CONNECTIONS connections, each asking as soon as it is answered."""
    done = 0
    end = time.perf_counter() + TURN_S

    async def ask() -> None:
        nonlocal done
        while time.perf_counter() < end:
            async with api._session.get(url) as answer:
                if answer.status != 200:
                    raise RuntimeError(await answer.text())
                await answer.read()
            done += 1

    await asyncio.gather(*(ask() for _ in range(CONNECTIONS)))
    return done / TURN_S
