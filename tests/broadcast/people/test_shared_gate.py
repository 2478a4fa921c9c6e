"""The lock-out over several processes says what one process would say, and without Redis each says it alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from loa.broadcast.live import redis_line
from loa.broadcast.live.redis_address import parse
from loa.broadcast.live.redis_line import RedisLine
from loa.broadcast.people.lockout import RULES, Attempt, Gate, Lane, LocalGate, Ticket, lanes
from loa.broadcast.people.shared_gate import PREFIX, SharedGate
from tests.valkey import ValkeyServer, valkey_server

NOW_MS = 1_790_000_000_000
STRANGER = Attempt("lan", "203.0.113.7")
ATTEMPTS = [
    STRANGER,
    replace(STRANGER, account="mai"),
    replace(STRANGER, address="2001:db8::1"),
    replace(STRANGER, protected=True),
    replace(STRANGER, known_address=True),
    replace(STRANGER, device=b"d" * 16),
    replace(STRANGER, pardoned_ms=NOW_MS + 60_000),
]


@pytest.fixture
async def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[ValkeyServer, RedisLine]]:
    monkeypatch.setattr(redis_line, "RETRY_S", 0.01)
    with valkey_server(tmp_path) as server:
        line = RedisLine(parse(server.url))
        yield server, line
        await line.close()


async def step(gate: Gate, code: bool, attempt: Attempt, now_ms: int, end: int) -> int | None:
    """One attempt, and how it ends; how long it has to wait, or nothing."""
    said = await (gate.begin_code if code else gate.begin)(attempt, now_ms)
    if not isinstance(said, Ticket):
        return said
    if end == 0:
        await gate.succeeded(said)
    elif end == 1:
        await gate.undecided(said)
    return None


@pytest.mark.parametrize("seed", range(4))
async def test_many_processes_say_what_one_would(served: tuple[ValkeyServer, RedisLine], seed: int) -> None:
    random, now_ms = Random(seed), NOW_MS
    one, many = LocalGate(), [SharedGate(served[1]) for _ in range(3)]
    waits = 0
    for _ in range(250):
        now_ms += random.choice((0, 1, 500, 30_000))
        chosen = random.choice(ATTEMPTS), now_ms, random.choice((0, 1, 2, 2, 2, 2, 2, 2))
        code = random.randrange(4) == 0
        expected = await step(one, code, *chosen)
        assert await step(random.choice(many), code, *chosen) == expected
        waits += expected is not None
    assert 20 < waits < 230


async def test_a_hundred_at_once_at_many_processes_are_a_hundred(served: tuple[ValkeyServer, RedisLine]) -> None:
    gates = [SharedGate(served[1]) for _ in range(4)]
    said = await asyncio.gather(*(gates[n % 4].begin(STRANGER, NOW_MS) for n in range(100)))
    assert 0 < sum(isinstance(each, Ticket) for each in said) <= RULES[Lane.PLACE].free
    assert all(each > 0 for each in said if not isinstance(each, Ticket))


async def test_what_is_counted_goes_by_itself(served: tuple[ValkeyServer, RedisLine]) -> None:
    _, line = served
    await SharedGate(line).begin(STRANGER, NOW_MS)
    keys = await line.ask("KEYS", f"{PREFIX}*")
    assert len(keys) == 3
    for key in keys:
        assert 0 < await line.ask("PTTL", key) <= max(rule.wear_ms for rule in RULES.values())


async def test_without_redis_each_counts_by_itself(served: tuple[ValkeyServer, RedisLine]) -> None:
    server, line = served
    one, two = SharedGate(line), SharedGate(line)
    open_ticket = await one.begin(STRANGER, NOW_MS)
    assert isinstance(open_ticket, Ticket)
    server.kill()
    for gate in (one, two):
        said = [await gate.begin(STRANGER, NOW_MS) for _ in range(8)]
        assert [isinstance(each, Ticket) for each in said] == [True] * 5 + [False] * 3
        assert isinstance(said[4], Ticket)
        await gate.undecided(said[4])
        assert isinstance(await gate.begin(STRANGER, NOW_MS), Ticket)
    await one.succeeded(open_ticket)  # nobody hears it, and nothing breaks
    server.start()
    while not line.up:
        await two.begin(replace(STRANGER, account="mai"), NOW_MS)
    assert await line.ask("KEYS", f"{PREFIX}*mai")


async def test_what_no_gate_has_written_counts_for_nothing(served: tuple[ValkeyServer, RedisLine]) -> None:
    _, line = served
    for lane, name in lanes(STRANGER):
        await line.ask("SET", f"{PREFIX}{lane}:{name}", b"\xff 1 2")
    assert isinstance(await SharedGate(line).begin(STRANGER, NOW_MS), Ticket)
