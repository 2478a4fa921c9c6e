"""How late sound comes to thousands who listen by link, at 20 ms; the limit is a bare aiohttp server that sends."""

from __future__ import annotations

import asyncio
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from benchmarks import Figure, Measured
from benchmarks.city import Child, City
from loa.app.api_client import ApiClient
from tests import sounds

LISTENERS = 2_000
SOUND_S = 8.0
LAG_MS = 100.0


def measure() -> Measured:
    """One listener in twenty is looked at. Lag: from the instant a frame is due to its being read, the reading of a
    crowd on the same machine with it."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ours, came, core_load = _loa(stack, folder)
        theirs, bare_came, bare_load = _bare(stack, folder)
    note = f"{LISTENERS:,} listeners, {SOUND_S:.0f} s, 20 ms frames and signed blocks"
    frames = round(SOUND_S / 0.02)
    return [
        Figure("sound by link, lag p50", ours[len(ours) // 2], "ms", note),
        Figure("sound by link, lag p99", ours[len(ours) * 99 // 100], "ms", at_most=LAG_MS),
        Figure("frames that did not come", max(0, frames - min(came)), "frames", "at the worst of them", at_most=0),
        Figure("the control process meanwhile", 100 * core_load, "% of a core"),
        Figure("a bare aiohttp server, lag p50", theirs[len(theirs) // 2], "ms", "one message of 200 B each 20 ms"),
        Figure("a bare aiohttp server, lag p99", theirs[len(theirs) * 99 // 100], "ms"),
        Figure("its messages that did not come", frames - min(bare_came), "messages"),
        Figure("the bare server meanwhile", 100 * bare_load, "% of a core"),
    ]


Heard = tuple[list[float], list[int], float]


def _loa(stack: ExitStack, folder: Path) -> Heard:
    city = City(stack, folder / "city", LISTENERS)
    crowd = Child(stack, ["-m", "benchmarks.link_crowd"], folder)
    city.connect(crowd)
    crowd.ask(do="listen")
    load = asyncio.run(_on_air(city, folder))
    return _heard(crowd, load)


async def _on_air(city: City, folder: Path) -> float:
    """How much of a core the control process takes while it sends."""
    async with ApiClient(city.url, city.token) as api:
        sound = folder / "sound.wav"
        sound.write_bytes(sounds.wav(sounds.siren(SOUND_S)))
        programme = await api.upload("Còi thử", sound)
        await api.start(programme["id"], areas=[city.area], play_delay_ms=1000)
        cpu_s = city.core.cpu_s()
        await asyncio.sleep(SOUND_S)
        load = (city.core.cpu_s() - cpu_s) / SOUND_S
        await asyncio.sleep(1.5)
        return load


def _bare(stack: ExitStack, folder: Path) -> Heard:
    server = Child(stack, ["-m", "benchmarks.bare_links"], folder)
    url = server.line()
    crowd = Child(stack, ["-m", "benchmarks.link_crowd"], folder)
    crowd.ask(do="connect", url=url, count=LISTENERS)
    cpu_s = server.cpu_s()
    server.tell_line(str(SOUND_S))
    time.sleep(SOUND_S)
    load = (server.cpu_s() - cpu_s) / SOUND_S
    time.sleep(1.5)
    return _heard(crowd, load)


def _heard(crowd: Child, load: float) -> Heard:
    said = crowd.ask(do="heard")
    crowd.end()
    return sorted(said["lags_ms"]), said["came"], load
