"""From "now" to the last of thousands: orders by both ways, the first sound, receipts, and silence after a stop."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import Figure, Measured
from benchmarks.city import Child, City
from loa.app.api_client import ApiClient, Json
from tests import sounds

ENDPOINTS = 10_000
ROUNDS = 3
SOUND_S = 30.0
PRIORITY = 255
PATIENCE_MS = 20_000.0
SETTLED_S = 5.0
"""After a stop its receipts are written down too."""
PLAY_DELAY_MS = 400


@dataclass
class Rounds:
    """In ms from the call, a value for each round."""

    by_datagram: list[float] = field(default_factory=list)
    by_link: list[float] = field(default_factory=list)
    first_sound: list[float] = field(default_factory=list)
    receipts: list[float] = field(default_factory=list)
    stop: list[float] = field(default_factory=list)
    last_sound: list[float] = field(default_factory=list)
    missing: int = 0


def measure() -> Measured:
    """The core, and a crowd of endpoints with real links and addresses, on the same machine."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        city = City(stack, folder / "city", ENDPOINTS)
        crowd = Child(stack, ["-m", "benchmarks.link_crowd"], folder)
        city.connect(crowd)
        crowd.ask(do="bind")
        said = asyncio.run(_rounds(city, crowd, folder))
    note = f"the worst of {ROUNDS} rounds, {ENDPOINTS:,} endpoints; median {{:.0f}}"
    rows: list[tuple[str, list[float], str, float]] = [
        ("order at the last endpoint, by the way that is sooner", said.by_datagram, "ms", 100.0),
        ("order at the last endpoint, by link alone", said.by_link, "ms", 500.0),
        ("first packet of sound", said.first_sound, "ms", 40.0),
        ("receipts of all are stored", said.receipts, "ms", 5_000.0),
        ("stop: order at the last endpoint", said.stop, "ms", 500.0),
        ("stop: last packet of sound", said.last_sound, "ms", 500.0),
    ]
    return [
        *(
            Figure(name, max(values), unit, note.format(statistics.median(values)), at_most=wanted)
            for name, values, unit, wanted in rows
        ),
        Figure("endpoints that an order did not reach", said.missing, "endpoints", "by either way", at_most=0),
    ]


async def _rounds(city: City, crowd: Child, folder: Path) -> Rounds:
    said = Rounds()
    async with ApiClient(city.url, city.token) as api:
        sound = folder / "sound.wav"
        sound.write_bytes(sounds.wav(sounds.siren(SOUND_S)))
        programme = await api.upload("Còi thử", sound, "emergency")
        await _round(api, crowd, city, programme["id"], Rounds(), deaf=False)  # warms up
        for number in range(2 * ROUNDS):
            await _round(api, crowd, city, programme["id"], said, deaf=number % 2 == 1)
    return said


async def _round(api: ApiClient, crowd: Child, city: City, programme: str, said: Rounds, *, deaf: bool) -> None:
    """A broadcast is started and stopped. `deaf`: no order by datagram is heard, so that all come by link."""
    crowd.ask(do="forget", deaf=deaf)
    began_ns = time.time_ns()
    broadcast = await api.start(programme, areas=[city.area], priority=PRIORITY, play_delay_ms=PLAY_DELAY_MS)
    answered_ms = await _all_answered(api, broadcast, began_ns)
    stopped_ns = time.time_ns()
    await api.call("POST", f"/api/v1/broadcasts/{broadcast['id']}/stop")
    await asyncio.sleep(SETTLED_S)
    report = crowd.ask(do="orders")
    for order in report["orders"]:
        said.missing += order["missed"]
        if order["action"] == "Tune":
            (said.by_link if deaf else said.by_datagram).append((order["last_ns"] - began_ns) / 1e6)
        elif not deaf:
            said.stop.append((order["last_ns"] - stopped_ns) / 1e6)
    if not deaf:
        said.receipts.append(answered_ms)
        said.first_sound.append((report["sound_ns"][0] - began_ns) / 1e6)
        said.last_sound.append((report["sound_ns"][-1] - stopped_ns) / 1e6)


async def _all_answered(api: ApiClient, broadcast: Json, began_ns: int) -> float:
    """When the receipts of all endpoints are in the store, in ms from the call."""
    while True:
        shown = await api.call("GET", f"/api/v1/broadcasts/{broadcast['id']}")
        took_ms = (time.time_ns() - began_ns) / 1e6
        if sum(shown["receipts"].values()) >= ENDPOINTS or took_ms > PATIENCE_MS:
            return took_ms
        await asyncio.sleep(0.1)
