"""A day's work at a core, in a process of its own that may be killed in the middle of it.

What was acknowledged is written to a file at once, a line each, as a caller would remember it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loa.broadcast.air.director import Director
from loa.broadcast.air.epoch import EpochSecrets
from loa.broadcast.air.generation import Request
from loa.broadcast.air.hub import Hub
from loa.broadcast.air.media_local import MediaLocal
from loa.broadcast.air.media_port import AirEnded, AirProgress
from loa.broadcast.content.audio_folder import AudioFolder
from loa.broadcast.content.library import Draft, Library
from loa.broadcast.content.scratch import own_scratch
from loa.broadcast.content.worker import IngestPool
from loa.broadcast.journal.act import Act
from loa.broadcast.orders.book import OrderBook
from loa.broadcast.orders.keyring import KeyRing
from loa.broadcast.orders.receipts import Receipts
from loa.broadcast.people.passwords import Passwords
from loa.broadcast.people.person import Language
from loa.broadcast.people.rights import EVERYWHERE, Grant, Principal, Role
from loa.broadcast.people.users import UserChange, Users
from loa.broadcast.registry.areas import Areas
from loa.broadcast.registry.endpoints import Endpoints
from loa.broadcast.registry.enrolment import Enrolments
from loa.broadcast.store.broadcasts import Broadcasts
from loa.broadcast.store.database import Database
from loa.broadcast.store.programmes import Programmes
from loa.broadcast.store.tokens import Tokens
from loa.control_api.bearer import BearerTokens
from loa.model import EndpointKind, id_text
from loa.timing.clock import SystemClock
from tests import sounds
from tests.crash.points import Points

EPOCH = b"epoch-of"
ROOT = Principal("user:tester", "Thử", (EVERYWHERE,))


@dataclass
class Rooms:
    """The rooms of a core over one store and one folder, with the media process's twin inside."""

    db: Database
    areas: Areas
    enrolments: Enrolments
    programmes: Programmes
    library: Library
    broadcasts: Broadcasts
    director: Director
    book: OrderBook
    tokens: BearerTokens
    users: Users
    clock: SystemClock


@contextlib.asynccontextmanager
async def rooms(url: str, folder: Path) -> AsyncIterator[Rooms]:
    """Open them all, as a core does at its start."""
    clock = SystemClock()
    db = await Database.open(url)
    keyring = KeyRing.open(folder / "keys", clock.utc_ns() // 1_000_000_000)
    areas, endpoints, receipts, broadcasts = Areas(db), Endpoints(db), Receipts(db), Broadcasts(db)
    passwords = Passwords(time_cost=1, memory_kib=8)
    audio = folder / "audio"
    pool = IngestPool(lambda _: ThreadPoolExecutor(1))
    stack = contextlib.ExitStack()
    library = Library(db, await AudioFolder.open(audio), stack.enter_context(own_scratch(audio / "tmp")), pool)
    hub = Hub(endpoints=endpoints, receipts=receipts, keyring=keyring, clock=clock)
    book = OrderBook(db, keyring)
    director = Director(
        hub=hub, book=book, broadcasts=broadcasts, endpoints=endpoints, library=library, clock=clock
    )
    media = MediaLocal(clock=clock, send_datagram=lambda _data, _to: None, epoch=EPOCH, nonce_key=bytes(32))
    epoch = EpochSecrets(EPOCH)
    hub.open_epoch(media, 0, epoch, director)
    await director.chronicle.recover()
    director.open_epoch(media, epoch)
    tasks = [asyncio.create_task(director.chronicle.scribe.run()), asyncio.create_task(_follow(media, director))]
    tasks.append(asyncio.create_task(_tick(media)))
    try:
        yield Rooms(
            db,
            areas,
            Enrolments(db, keyring),
            Programmes(db),
            library,
            broadcasts,
            director,
            book,
            BearerTokens(Tokens(db)),
            Users(db, passwords),
            clock,
        )
    finally:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):
                await director.chronicle.scribe.settled()
        for task in tasks:
            task.cancel()
        passwords.close()
        await receipts.close()
        await db.close()
        stack.close()


async def _tick(media: MediaLocal) -> None:
    while True:
        media.tick()
        await asyncio.sleep(0.005)


async def _follow(media: MediaLocal, director: Director) -> None:
    async for event in media.events():
        if isinstance(event, AirProgress):
            director.progress(event)
        elif isinstance(event, AirEnded):
            director.air_ended(event)


async def work(at: Rooms, acknowledge: Any, round_: str) -> None:
    """Everything that changes something, one after the other. `acknowledge(kind, subject)` after each."""

    def act(key: str) -> Act:
        now_ms = at.clock.utc_ns() // 1_000_000
        return Act("user:tester", "Thử", now_ms, key=f"{round_}-{key}", fingerprint=bytes(32))

    area = await at.areas.create(None, "Phường An Biên", "commune", None, act("area"))
    acknowledge("area", area.id)
    enrolment, _ = await at.enrolments.create(area.id, EndpointKind.SPEAKER, "Loa", act("enrolment"), 3600)
    acknowledge("enrolment", enrolment.id)
    token, _ = await at.tokens.create("máy", Role.OFFICER, act("token"))
    acknowledge("token", token.id)
    await at.tokens.revoke(token.id, act("revoke"))
    acknowledge("revoked", token.id)
    user, _ = await at.users.create(
        ROOT,
        act("user"),
        login=f"lan.{round_}",
        name="Lan",
        language=Language.VI,
        grants=[Grant(Role.OFFICER, area.id)],
    )
    acknowledge("user", user.id)
    await at.users.change(ROOT, act("disable"), user.id, user.version, UserChange(disabled=True))
    acknowledge("disabled", user.id)

    async def chunks() -> AsyncIterator[bytes]:
        yield sounds.wav(sounds.siren(0.3))

    programme = await at.library.add(chunks(), Draft("Còi thử"), act("upload"), 1 << 20)
    acknowledge("programme", programme.id)
    request = Request(programme, (area.id,), (), priority=64, volume=100, play_delay_ms=400)
    broadcast = await at.director.start(request, act("start"))
    acknowledge("broadcast", broadcast.id)
    await at.director.stop(broadcast.id, act("stop"))
    acknowledge("stopped", broadcast.id)
    await at.director.chronicle.scribe.settled()
    acknowledge("settled", broadcast.id)


def run(url: str, folder: str, kill_at: int, round_: str) -> None:
    """The day in this process; `folder` gets `acknowledged`, and, when it was not killed, `points`."""
    path = Path(folder)
    points = Points()
    points.install()
    lines = os.open(path / "acknowledged", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def acknowledge(kind: str, subject: bytes) -> None:
        os.write(lines, (json.dumps([kind, id_text(subject)]) + "\n").encode())

    async def day() -> None:
        async with rooms(url, path) as at:
            points.arm(kill_at)
            await work(at, acknowledge, round_)

    asyncio.run(day())
    (path / "points").write_text(str(points.passed))
