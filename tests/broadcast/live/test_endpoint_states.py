"""How endpoints are, from the core to other processes: known as the core knows it, or not known; never wrong."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loa.broadcast.air.door import Door
from loa.broadcast.air.session import Session
from loa.broadcast.live import shared_states
from loa.broadcast.live.endpoint_states import GONE, EndpointState
from loa.broadcast.live.redis_line import RedisLine
from loa.broadcast.live.shared_states import CHUNK, KEY, SharedStates, StatesTeller
from loa.broadcast.records import Endpoint
from loa.codecs.link_wire import Status
from loa.errors import LiveError, WireError
from loa.model import EndpointKind
from tests.valkey import ValkeyServer

SAID = Status(clock_error_ns=1_000_000, drift_ppb=-12_000, broadcast_id=bytes(16), played=500, volume=80)


@dataclass
class Link:
    """What the teller looks at of a session."""

    endpoint: Endpoint
    channel_id: bytes = b"c" * 8
    live: bool = True
    heard_by: Door | None = None
    status: Status | None = None


def link(number: int) -> Link:
    endpoint_id = number.to_bytes(16, "big")
    return Link(Endpoint(endpoint_id, EndpointKind.SPEAKER, "Loa", bytes(16), bytes(32), 0, None, 1))


@dataclass
class City:
    """A core's sessions."""

    links: dict[int, Link] = field(default_factory=dict)

    def sessions(self) -> list[Session]:
        return cast(list[Session], list(self.links.values()))


async def known(line: RedisLine, *numbers: int) -> list[EndpointState] | None:
    """What another process knows of endpoints."""
    ids = [number.to_bytes(16, "big") for number in numbers]
    states = await SharedStates(line).of(ids)
    return None if states is None else [states[each] for each in ids]


async def test_other_processes_know_what_the_core_knows(line: RedisLine) -> None:
    city = City({1: link(1), 2: link(2)})
    teller = StatesTeller(line, city.sessions)
    assert await known(line, 1) is None
    await teller.tell()
    linked = EndpointState(linked=True, door=None, status=None)
    assert await known(line, 1, 2, 3) == [linked, linked, GONE]
    city.links[1].heard_by, city.links[1].status = Door.GROUP, SAID
    city.links[2].live = False
    city.links[3] = link(3)
    await teller.tell()
    assert await known(line, 3, 2, 1) == [linked, GONE, EndpointState(linked=True, door=Door.GROUP, status=SAID)]
    del city.links[1]
    await teller.tell()
    assert await known(line, 1, 3) == [GONE, linked]
    await teller.end()
    assert await known(line, 1) is None


async def test_a_whole_city_is_told_and_then_only_what_changes(line: RedisLine) -> None:
    city = City({number: link(number) for number in range(3 * CHUNK + 7)})
    teller = StatesTeller(line, city.sessions)
    await teller.tell()
    assert await line.ask("HLEN", KEY) == len(city.links) + 2
    before = await commands(line)
    for number in (0, CHUNK, 3 * CHUNK):
        city.links[number].status = SAID
    await teller.tell()
    assert await commands(line) - before == 3
    states = await known(line, *range(3 * CHUNK + 7))
    assert states is not None
    assert sum(state.status == SAID for state in states) == 3


async def commands(line: RedisLine) -> int:
    """How many fields Redis was ever told."""
    said = await line.ask("INFO", "commandstats")
    return int(said["cmdstat_hset"]["calls"])


async def test_what_a_core_left_expires(line: RedisLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_states, "EXPIRE_S", 0.05)
    await StatesTeller(line, City({1: link(1)}).sessions).tell()
    while True:
        if await known(line, 1) is None:
            break
        await asyncio.sleep(0.01)


async def test_without_redis_nothing_is_known_and_when_it_is_back_everything(
    line: RedisLine, valkey: ValkeyServer
) -> None:
    city = City({number: link(number) for number in range(CHUNK + 5)})
    teller = StatesTeller(line, city.sessions)
    await teller.tell()
    valkey.kill()
    assert await known(line, 1) is None
    city.links[1].status = SAID
    with pytest.raises(LiveError):
        await teller.tell()
    valkey.start()
    while await known(line, 1) is None:
        try:
            await teller.tell()
        except LiveError:
            await asyncio.sleep(0.01)
    states = await known(line, *range(CHUNK + 5))
    assert states is not None
    assert [state.status for state in states if state.status] == [SAID]
    assert all(state.linked for state in states)


async def test_a_redis_that_lost_everything_says_that_nothing_is_known_until_all_is_told(line: RedisLine) -> None:
    city = City({number: link(number) for number in range(5)})
    teller = StatesTeller(line, city.sessions)
    await teller.tell()
    await line.ask("FLUSHALL")
    city.links[4].status = SAID
    await teller.tell()  # finds that it is gone, and writes nothing by halves
    assert await known(line, 1) is None
    await teller.tell()
    assert await known(line, 0) == [EndpointState(linked=True, door=None, status=None)]


async def test_a_newer_core_is_not_talked_over(line: RedisLine) -> None:
    old, new = City({1: link(1)}), City({2: link(2)})
    first, second = StatesTeller(line, old.sessions), StatesTeller(line, new.sessions)
    await first.tell()
    await second.tell()
    old.links[3] = link(3)
    await first.tell()
    await first.end()
    assert await known(line, 1, 3) == [GONE, GONE]


async def test_what_no_core_has_written_is_not_believed(line: RedisLine) -> None:
    await line.ask("HSET", KEY, "whole", "1", bytes(16), b"\xff")
    assert await known(line, 0) is None


@given(st.binary(max_size=64))
def test_bytes_are_a_state_or_refused(data: bytes) -> None:
    try:
        state = EndpointState.decode(data)
    except WireError:
        return
    assert EndpointState.decode(state.encode()) == state


@given(st.booleans(), st.sampled_from([None, *Door]), st.sampled_from([None, SAID]))
def test_a_state_comes_through_as_it_was(linked: bool, door: Door | None, status: Status | None) -> None:
    state = EndpointState(linked, door, status)
    assert EndpointState.decode(state.encode()) == state
