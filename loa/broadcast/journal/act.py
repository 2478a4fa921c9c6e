"""Who does something, from where and when: what every change is told, so that it can be traced."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Act:
    """One request, or one thing the system does by itself.

    `actor` is stable ("token:<uuid>", "user:<uuid>", "device:<uuid>", "system", "shell:<name>"), `name` is for
    people. `origin` is the address it came from, or nothing. `key` and `fingerprint` are those of an
    `Idempotency-Key`, for an act that must happen once however often it is asked for.
    """

    actor: str
    name: str
    now_ms: int
    origin: str = ""
    request_id: str = ""
    key: str = ""
    fingerprint: bytes = b""


def system(now_ms: int) -> Act:
    """What the system does by itself."""
    return Act("system", "Loa", now_ms)
