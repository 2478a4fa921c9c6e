"""Which failed sign-ins get an entry of their own in the audit log, so that nobody can fill it by failing. Pure.

A failure is written down when none of the same subject was in the last EACH_MS, and as long as there are
entries left for all (BURST at once, one more in EVERY_S). The others are counted, and told with the next entry
of their subject.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from loa.timing.token_bucket import TokenBucket

EACH_MS = 60_000
EVERY_S = 10
BURST = 30
KEPT = 10_000
"""Subjects that are counted one by one; beyond, the one untouched for the longest is counted as OTHERS."""
OTHERS = "user:others"

_NS_PER_MS = 1_000_000


@dataclass(slots=True)
class _Subject:
    untold: int = 0
    told_ms: int | None = None


class FailureTally:
    """Failures by subject ("user:<uuid>", or one word for all logins that nobody has)."""

    def __init__(self) -> None:
        self._subjects: OrderedDict[str, _Subject] = OrderedDict()
        self._entries = TokenBucket(1 / EVERY_S, BURST)

    def failed(self, subject: str, now_ms: int) -> int:
        """One more failure: how many the entry to be written now tells of, or 0 when none is to be written."""
        known = self._subjects.setdefault(subject, _Subject())
        self._subjects.move_to_end(subject)
        known.untold += 1
        self._bound()
        return self._tell(known, now_ms)

    def untold(self, subject: str) -> int:
        """The failures that no entry tells of."""
        known = self._subjects.get(subject)
        return 0 if known is None else known.untold

    def forget(self, subject: str) -> None:
        """The subject has succeeded, and the entry of that tells of what was untold."""
        self._subjects.pop(subject, None)

    def due(self, now_ms: int) -> list[tuple[str, int]]:
        """What was counted and can be written down now. Subjects of whom nothing is left to tell are forgotten."""
        told = []
        for subject, known in list(self._subjects.items()):
            if known.untold and (count := self._tell(known, now_ms)):
                told.append((subject, count))
            elif not known.untold and known.told_ms is not None and now_ms - known.told_ms >= EACH_MS:
                del self._subjects[subject]
        return told

    def _tell(self, known: _Subject, now_ms: int) -> int:
        # A clock that was set back makes nobody silent for longer than EACH_MS.
        if known.told_ms is not None and 0 <= now_ms - known.told_ms < EACH_MS:
            return 0
        if not self._entries.take(now_ms * _NS_PER_MS):
            return 0
        count, known.untold, known.told_ms = known.untold, 0, now_ms
        return count

    def _bound(self) -> None:
        while len(self._subjects) > KEPT:
            _, known = self._subjects.popitem(last=False)
            if known.untold:
                others = self._subjects.setdefault(OTHERS, _Subject())
                others.untold += known.untold
                self._subjects.move_to_end(OTHERS)
