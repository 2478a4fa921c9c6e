"""What a link costs the core: idle, while its endpoint tells how it is, and when all come back at once."""

from __future__ import annotations

import asyncio
import ssl
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from benchmarks import Figure, Measured
from benchmarks.city import Child, City, media_counters
from loa.app.api_client import ApiClient
from tests import sounds

LINKS = 2_000
WATCHED_S = 3.0
BACK_WITHIN_S = 30.0
SOUND_S = 60.0


def measure() -> Measured:
    """Core and crowd are processes of their own; a bare aiohttp server holds as many sockets in the same run."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        plain = _core(stack, folder / "plain", tls=False)
        tls = _core(stack, folder / "tls", tls=True)
        bare = Child(stack, ["-m", "benchmarks.bare_links"], folder)
        bare_bytes, bare_us = _bare(stack, bare, folder)
    return [
        *plain,
        *tls,
        Figure("memory for a bare aiohttp WebSocket", bare_bytes / 1000, "kB", f"{LINKS:,} of them"),
        Figure("a bare aiohttp WebSocket comes up", bare_us, "µs CPU"),
    ]


def _bare(stack: ExitStack, server: Child, folder: Path) -> tuple[float, float]:
    url = server.line()
    crowd = Child(stack, ["-m", "benchmarks.link_crowd"], folder)
    rss, cpu_s = server.rss_bytes(), server.cpu_s()
    crowd.ask(do="connect", url=url, count=LINKS)
    grown, used_s = server.rss_bytes() - rss, server.cpu_s() - cpu_s
    crowd.end()
    server.end()
    return grown / LINKS, 1e6 * used_s / LINKS


def _core(stack: ExitStack, folder: Path, *, tls: bool) -> list[Figure]:
    city = City(stack, folder, LINKS, tls=tls)
    trust = {"SSL_CERT_FILE": str(folder / "ca.pem")} if tls else {}
    crowd = Child(stack, ["-m", "benchmarks.link_crowd"], folder, **trust)
    core, what = city.core, " by TLS" if tls else ""
    city.connect(crowd, 50)  # what is loaded once is loaded
    crowd.ask(do="drop")
    time.sleep(1)
    rss, cpu_s = core.rss_bytes(), core.cpu_s()
    came = city.connect(crowd)
    used_s = core.cpu_s() - cpu_s
    time.sleep(1)
    each = (core.rss_bytes() - rss) / LINKS
    figures = [
        Figure(f"memory for a link{what}", each / 1000, "kB", f"{LINKS:,} links", at_most=None if tls else 24.0),
        Figure(f"a link comes up{what}", 1e6 * used_s / LINKS, "µs CPU", f"all at once: {came['took_s']:.1f} s"),
    ]
    if not tls:
        for every_s, name in ((5, "tell how they are every 5 s"), (1, "tell it every second")):
            crowd.ask(do="statuses", every_s=every_s)
            time.sleep(0.5)
            figures.append(Figure(f"{LINKS:,} links {name}", 100 * _load(core), "% of a core"))
        crowd.ask(do="statuses", every_s=0)
    return figures + asyncio.run(_storm(city, crowd, folder, what))


def _load(core: Child) -> float:
    began_s, cpu_s = time.monotonic(), core.cpu_s()
    time.sleep(WATCHED_S)
    return (core.cpu_s() - cpu_s) / (time.monotonic() - began_s)


async def _storm(city: City, crowd: Child, folder: Path, what: str) -> list[Figure]:
    """All are on air, lose their links, and come back."""
    trust = ssl.create_default_context(cafile=str(folder / "ca.pem")) if what else None
    async with ApiClient(city.url, city.token, trust) as api:
        sound = folder / "sound.wav"
        sound.write_bytes(sounds.wav(sounds.siren(SOUND_S)))
        programme = await api.upload("Còi thử", sound)
        broadcast = await api.start(programme["id"], areas=[city.area])
        await asyncio.to_thread(crowd.ask, do="drop")
        came = await asyncio.to_thread(lambda: city.connect(crowd, spread=True))
        counted = await media_counters(api)
        missed = counted["ticks_late_20ms"] + counted["frames_skipped"]  # since its start
        await api.call("POST", f"/api/v1/broadcasts/{broadcast['id']}/stop")
    note = f"on air; half of them after {came['median_s']:.1f} s, {came['attempts'] / LINKS:.2f} attempts each"
    return [
        Figure(f"{LINKS:,} links back{what}", came["took_s"], "s", note, at_most=BACK_WITHIN_S),
        Figure(f"ticks missed meanwhile{what}", missed, "ticks", "20 ms late, or not sent", at_most=0),
    ]
