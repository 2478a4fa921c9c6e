"""What a core forgets, and after how long."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from loa.broadcast.content.library import Library
from loa.broadcast.journal.ledger import Ledger
from loa.broadcast.orders.folding import Folding
from loa.broadcast.registry.enrolment import Enrolments
from loa.broadcast.retention.housekeeper import BATCH, Breathe, Chore
from loa.broadcast.store.tokens import Tokens

HOUR_S, DAY_S = 3_600, 86_400
DAY_MS = DAY_S * 1000


@dataclass(frozen=True, slots=True)
class Kept:
    """For how long what is kept. `receipts_days`: until receipts become figures; 0 keeps them as they are."""

    events_days: int
    keys_hours: int
    enrolments_days: int
    tokens_days: int
    receipts_days: int
    programmes_days: int


def chores(
    kept: Kept, *, ledger: Ledger, enrolments: Enrolments, tokens: Tokens, folding: Folding, library: Library
) -> Mapping[str, Chore]:
    """All chores of a core."""

    def forgetting(what: str, kept_ms: int, forget: Callable[[int, int], Awaitable[int]]) -> Chore:
        """`forget` removes what is from before a time, so many at most, and says how many."""

        async def run(now_ms: int, breathe: Breathe, removed: Counter[str]) -> None:
            while True:
                count = await forget(now_ms - kept_ms, BATCH)
                removed[what] += count
                if count < BATCH:
                    return
                await breathe()

        return Chore(DAY_S, run)

    async def fold(now_ms: int, breathe: Breathe, removed: Counter[str]) -> None:
        async for count in folding.run(now_ms - kept.receipts_days * DAY_MS, now_ms):
            removed["receipts"] += count
            await breathe()

    async def collect(now_ms: int, breathe: Breathe, removed: Counter[str]) -> None:
        async for gone in library.collect(now_ms, kept.programmes_days * DAY_MS):
            removed["sounds"] += gone.files
            removed["sound_bytes"] += gone.size_bytes
            await breathe()

    made = {
        "events": forgetting("events", kept.events_days * DAY_MS, ledger.forget_events),
        "keys": forgetting("keys", kept.keys_hours * HOUR_S * 1000, ledger.forget_keys),
        "enrolments": forgetting("enrolments", kept.enrolments_days * DAY_MS, enrolments.forget),
        "tokens": forgetting("tokens", kept.tokens_days * DAY_MS, tokens.forget),
        "sounds": Chore(6 * HOUR_S, collect),
    }
    return made if kept.receipts_days == 0 else {**made, "receipts": Chore(DAY_S, fold)}
