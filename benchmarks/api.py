"""The API while a broadcast is on air to 500 speakers, and one device beside a bare aiohttp handler."""

from __future__ import annotations

import asyncio
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import aiohttp

from benchmarks import Figure
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
        core = _start(stack, ["-m", "loa", "serve", "--data-dir", str(folder / "core"), "--http-port", "0"], folder)
        url = re.findall(r"http://\S+", core.stdout.readline() if core.stdout else "")[0]
        token = (folder / "core" / "admin.token").read_text().strip()
        return asyncio.run(_measure(stack, url, token, folder))


def _start(stack: ExitStack, arguments: list[str], folder: Path, **environment: str) -> subprocess.Popen[str]:
    more = {"LOA_API_REQUESTS_PER_S": "100000", "LOA_API_BURST": "1000000", **environment}
    log = stack.enter_context((folder / f"{arguments[1].replace('/', '-')}.log").open("w"))
    process = subprocess.Popen(
        [sys.executable, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        env=os.environ | more,
    )

    def end() -> None:
        process.terminate()
        process.communicate(timeout=30)

    stack.callback(end)
    return process


async def _measure(stack: ExitStack, url: str, token: str, folder: Path) -> list[Figure]:
    async with ApiClient(url, token) as api, AsyncExitStack() as speakers:
        area = await api.create_area("Phường thử", "commune")
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
        before = await _counters(api)
        took_ms, answers = await _mixed(api, area, device["id"], broadcast["id"])
        after = await _counters(api)
        await api.call("POST", f"/api/v1/broadcasts/{broadcast['id']}/stop")
        bare = _start(stack, ["-m", "benchmarks.bare_http"], folder, BODY=shown)
        assert bare.stdout is not None
        bare_url = bare.stdout.readline().strip()
        ours, theirs = [], []
        for _ in range(TURNS):
            ours.append(await _flat_out(api, f"{url}/api/v1/endpoints/{device['id']}"))
            theirs.append(await _flat_out(api, f"{bare_url}/device/{device['id']}"))
    grown = {name: after[name] - before[name] for name in before}
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


async def _counters(api: ApiClient) -> dict[str, float]:
    await asyncio.sleep(6)  # the media process is asked every five seconds
    async with api._session.get(f"{api.url}/metrics") as answer:
        text = await answer.text()
    names = ("ticks", "ticks_late_2ms", "ticks_late_20ms", "frames_skipped", "frames_sent")
    found = {name: re.search(rf"^loa_media_{name}(?:_total)? (\S+)$", text, re.MULTILINE) for name in names}
    return {name: float(match[1]) for name, match in found.items() if match is not None}


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
