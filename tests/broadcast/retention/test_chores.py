"""What a core forgets, over weeks of virtual time: in its time, in small steps, and nothing that is needed."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from loa.broadcast.content.audio_folder import AudioFolder
from loa.broadcast.content.library import Library
from loa.broadcast.content.worker import IngestPool
from loa.broadcast.journal import journal
from loa.broadcast.journal.act import Act, system
from loa.broadcast.journal.ledger import Ledger
from loa.broadcast.orders.folding import Folding
from loa.broadcast.orders.keyring import KeyRing
from loa.broadcast.people.rights import Role
from loa.broadcast.records import Token
from loa.broadcast.registry.areas import Areas
from loa.broadcast.registry.enrolment import Enrolments
from loa.broadcast.retention.chores import DAY_MS, Kept, chores
from loa.broadcast.retention.housekeeper import BATCH, Chore, Housekeeper
from loa.broadcast.retention.plan import NS_PER_S
from loa.broadcast.store import journal as stored_journal
from loa.broadcast.store.database import Database
from loa.broadcast.store.paging import Page
from loa.broadcast.store.programmes import Programmes
from loa.broadcast.store.tokens import Tokens
from loa.model import EndpointKind, new_id
from loa.timing.clock import VirtualClock
from tests.broadcast.conftest import NOW_MS
from tests.broadcast.orders.standing import a_programme

HOUR_MS = 3_600_000
KEPT = Kept(events_days=30, keys_hours=24, enrolments_days=10, tokens_days=20, receipts_days=90, programmes_days=5)


@dataclass
class Stage:
    """All chores over one store, in time that the test moves."""

    db: Database
    folder: Path
    ledger: Ledger
    enrolments: Enrolments
    tokens: Tokens
    library: Library
    clock: VirtualClock
    chores: dict[str, Chore]

    async def days(self, count: float) -> None:
        """So many days of a core's life, as far as the housekeeper sees them."""
        end_ns = self.clock.monotonic_ns() + round(count * 86_400 * NS_PER_S)

        async def sleep(seconds: float) -> None:
            self.clock.advance(round(seconds * NS_PER_S))
            if self.clock.monotonic_ns() >= end_ns:
                raise asyncio.CancelledError
            await asyncio.sleep(0)

        with pytest.raises(asyncio.CancelledError):
            await Housekeeper(self.chores, self.ledger, self.clock, sleep).run()

    async def run(self, name: str, now_ms: int) -> tuple[Counter[str], int]:
        """One chore at this time: what it has removed, and in how many steps."""
        removed: Counter[str] = Counter()
        steps = 1

        async def breathe() -> None:
            nonlocal steps
            steps += 1

        await self.chores[name].run(now_ms, breathe, removed)
        return +removed, steps


@pytest.fixture
async def stage(db: Database, tmp_path: Path, keyring: KeyRing) -> AsyncIterator[Stage]:
    ledger, tokens, enrolments = Ledger(db), Tokens(db), Enrolments(db, keyring)
    pool = IngestPool(lambda _: ThreadPoolExecutor(1))
    library = Library(db, await AudioFolder.open(tmp_path / "audio"), tmp_path / "audio" / "tmp", pool)
    made = chores(KEPT, ledger=ledger, enrolments=enrolments, tokens=tokens, folding=Folding(db), library=library)
    clock = VirtualClock(0, NOW_MS * 1_000_000)
    yield Stage(db, tmp_path, ledger, enrolments, tokens, library, clock, dict(made))
    await library.close()


async def tell(db: Database, at_ms: int, count: int = 1) -> None:
    async with db.write() as connection:
        for number in range(count):
            await journal.tell(connection, at_ms, "test", f"area:{number}")


async def test_events_go_in_their_time_some_at_once_and_never_the_newest(stage: Stage) -> None:
    await tell(stage.db, NOW_MS, 2 * BATCH + 3)
    await tell(stage.db, NOW_MS + DAY_MS, 2)
    assert await stage.run("events", NOW_MS + 30 * DAY_MS) == (Counter(), 1)
    gone, steps = await stage.run("events", NOW_MS + 30 * DAY_MS + 1)
    assert (gone, steps) == (Counter(events=2 * BATCH + 3), 3)
    assert (await stage.run("events", NOW_MS + 99 * DAY_MS))[0] == Counter(events=1)
    async with stage.db.read() as connection:
        assert await stored_journal.event_range(connection) == (2 * BATCH + 5, 2 * BATCH + 5)


async def test_an_event_with_a_time_from_a_wrong_clock_holds_up_no_other(stage: Stage) -> None:
    await tell(stage.db, NOW_MS + 400 * DAY_MS)
    await tell(stage.db, NOW_MS, 5)
    assert (await stage.run("events", NOW_MS + 31 * DAY_MS))[0] == Counter(events=4)


async def test_a_key_stands_for_its_act_for_a_day(stage: Stage) -> None:
    for number in range(BATCH + 1):
        act = Act(f"token:{number % 3}", "máy", NOW_MS + number, key=f"k-{number}", fingerprint=bytes(32))
        async with stage.db.write() as connection:
            await stored_journal.insert_key(connection, act.actor, act.key, act.fingerprint, "area:x", act.now_ms)
    assert await stage.run("keys", NOW_MS + 24 * HOUR_MS + 7) == (Counter(keys=7), 1)
    assert await stage.ledger.done("token:0", "k-6") is None
    assert await stage.ledger.done("token:1", "k-7") is not None
    assert await stage.run("keys", NOW_MS + 48 * HOUR_MS) == (Counter(keys=BATCH - 6), 1)


async def test_codes_and_tokens_are_shown_for_a_while_after_their_end(stage: Stage) -> None:
    area = await Areas(stage.db).create(None, "Phù Liễn", "commune", None, system(NOW_MS))
    _, long = [
        (await stage.enrolments.create(area.id, EndpointKind.SPEAKER, "Loa", system(NOW_MS), valid_s))[0]
        for valid_s in (60, 3 * 86_400)
    ]

    async def token(number: int, expires_ms: int | None = None) -> Token:
        digest = hashlib.sha256(bytes([number])).digest()
        made = Token(new_id(NOW_MS + number), "máy", Role.VIEWER, digest, NOW_MS, expires_ms)
        await stage.tokens.create(made, system(NOW_MS))
        return made

    await token(1, NOW_MS + 60_000)
    revoked, good = await token(2), await token(3)
    await stage.tokens.revoke(revoked.id, system(NOW_MS + DAY_MS))
    assert (await stage.run("enrolments", NOW_MS + 10 * DAY_MS + 60_000))[0] == Counter()
    assert (await stage.run("enrolments", NOW_MS + 10 * DAY_MS + 60_001))[0] == Counter(enrolments=1)
    assert [each.id for each in await stage.enrolments.list()] == [long.id]
    assert (await stage.run("tokens", NOW_MS + 20 * DAY_MS + 60_001))[0] == Counter(tokens=1)
    assert {each.id for each in await stage.tokens.list()} == {revoked.id, good.id}
    assert (await stage.run("tokens", NOW_MS + 21 * DAY_MS + 1))[0] == Counter(tokens=1)
    await stage.tokens.revoke(good.id, system(NOW_MS + DAY_MS))
    # Without any token a core would take itself for a new one, and make a first token.
    assert (await stage.run("tokens", NOW_MS + 99 * DAY_MS))[0] == Counter()
    assert [each.id for each in await stage.tokens.list()] == [good.id]


async def test_a_core_forgets_in_its_daily_life_and_tells_each_time(stage: Stage) -> None:
    sound = stage.folder / "fresh"
    sound.write_bytes(b"sound")
    digest = hashlib.sha256(b"sound").digest()
    store = AudioFolder(stage.folder / "audio")
    await store.put(digest, sound, NOW_MS)
    programme = await a_programme(stage.db, sha256=digest)
    await tell(stage.db, NOW_MS, 3)
    await stage.days(4)
    assert await store.exists(digest)
    await Programmes(stage.db).delete(programme.id, system(stage.clock.utc_ns() // 1_000_000))
    await stage.days(4)
    assert await store.exists(digest)
    await stage.days(2)
    assert not await store.exists(digest)
    assert await told(stage) == [{"sound_bytes": 5, "sounds": 1}]
    await stage.days(25)
    # The three events, and those of the programme's making and of its end; then one day that of the telling.
    assert sum(each.get("events", 0) for each in await told(stage)) == 5


async def told(stage: Stage) -> list[dict[str, int]]:
    entries = await stage.ledger.entries(Page(limit=500, by="seq"))
    found = [json.loads(entry.entry) for entry in entries if entry.action == "retention.forget"]
    return [entry["after"] for entry in found]


async def test_receipts_can_be_kept_as_they_are(stage: Stage, db: Database) -> None:
    made = chores(
        replace(KEPT, receipts_days=0),
        ledger=stage.ledger,
        enrolments=stage.enrolments,
        tokens=stage.tokens,
        folding=Folding(db),
        library=stage.library,
    )
    assert set(made) == set(stage.chores) - {"receipts"}
