"""A core that is killed at any instant has lost nothing that it acknowledged, and goes on where it was."""

from __future__ import annotations

import asyncio
import hashlib
import json
import multiprocessing
import signal
from pathlib import Path

import pytest

from loa.broadcast.journal import chain
from loa.broadcast.journal.ledger import Ledger
from loa.codecs.order_wire import Action
from loa.errors import Conflict
from loa.model import BroadcastState, id_text, parse_id
from tests.broadcast.conftest import NewStore
from tests.crash import day

INSTANTS = 100
PARTS = 4
"""Tests that share the instants, so that several processes can."""


@pytest.fixture(scope="module")
def processes() -> multiprocessing.context.ForkServerContext:
    """A server that forks processes in which everything is imported and no thread runs."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.crash.day"])
    return context


def killed(
    context: multiprocessing.context.ForkServerContext, url: str, folder: Path, kill_at: int
) -> list[tuple[str, bytes]]:
    """A day that is killed at this point; what was acknowledged until then."""
    folder.mkdir(parents=True)
    process = context.Process(target=day.run, args=(url, str(folder), kill_at, "first"))
    process.start()
    process.join(60)
    assert process.exitcode == (-signal.SIGKILL if kill_at else 0), f"point {kill_at}: {process.exitcode}"
    return acknowledged(folder)


def acknowledged(folder: Path) -> list[tuple[str, bytes]]:
    path = folder / "acknowledged"
    lines = path.read_text().splitlines() if path.exists() else []
    return [(kind, parse_id(subject)) for kind, subject in map(json.loads, lines)]


async def check(at: day.Rooms, folder: Path, told: list[tuple[str, bytes]]) -> None:
    """Everything that was told is there, and whole."""
    for kind, subject in told:
        if kind == "area":
            assert (await at.areas.get(subject)).name == "Phường An Biên"
        elif kind == "enrolment":
            await at.enrolments.get(subject)
        elif kind == "token":
            await at.tokens.get(subject)
        elif kind == "revoked":
            assert (await at.tokens.get(subject)).revoked_ms is not None
        elif kind == "user":
            assert (await at.users.get(subject)).grants != ()
        elif kind == "disabled":
            assert not (await at.users.get(subject)).active
        elif kind == "programme":
            programme = await at.programmes.get(subject)
            assert len(await at.library.packets(programme)) == programme.frames
        elif kind == "broadcast":
            assert (await at.broadcasts.get(subject)).state not in (BroadcastState.PREPARING, BroadcastState.ON_AIR)
        elif kind == "stopped":
            assert (await at.book.of_broadcast(subject))[-1].stored.action == Action.STOP
        elif kind == "settled":
            assert (await at.broadcasts.get(subject)).state is BroadcastState.STOPPED
    for broadcast in await at.broadcasts.list():  # none without the order that started it
        assert (await at.book.of_broadcast(broadcast.id))[0].stored.action == Action.TUNE
    for programme in await at.programmes.list():
        data = (await at.library.file(programme)).read_bytes()
        assert hashlib.sha256(data).digest() == programme.sha256
    (scratch,) = [path for path in (folder / "audio" / "tmp").iterdir() if path.is_dir()]
    assert list(scratch.iterdir()) == []
    last = None
    subjects: set[str] = set()
    async for links in Ledger(at.db).links():
        last = chain.verify(links, last)
        subjects |= {json.loads(link.entry)["subject"] for link in links}
    named = {"revoked": "token", "disabled": "user", "stopped": "broadcast", "settled": "broadcast"}
    for kind, subject in told:
        assert f"{named.get(kind, kind)}:{id_text(subject)}" in subjects


async def after(url: str, folder: Path, told: list[tuple[str, bytes]]) -> None:
    """The next start finds all of it, makes nothing twice, and can do another day's work."""
    async with day.rooms(url, folder) as at:
        await check(at, folder, told)
        if told:
            with pytest.raises(Conflict):
                await day.work(at, lambda *_: None, "first")
        again: list[tuple[str, bytes]] = []
        await day.work(at, lambda kind, subject: again.append((kind, subject)), "second")
        await check(at, folder, told + again)


def instants(points: int) -> list[int]:
    """INSTANTS of the points, the first and the last among them."""
    return sorted({1 + round(n * (points - 1) / (INSTANTS - 1)) for n in range(INSTANTS)})


@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", range(PARTS))
async def test_nothing_acknowledged_is_lost_wherever_it_is_killed(
    part: int, processes: multiprocessing.context.ForkServerContext, new_store: NewStore, tmp_path: Path
) -> None:
    async with new_store() as url:
        whole = await asyncio.to_thread(killed, processes, url, tmp_path / "whole", 0)
    assert whole[-1][0] == "settled"
    points = int((tmp_path / "whole" / "points").read_text())
    assert points >= INSTANTS
    for kill_at in instants(points)[part::PARTS]:
        folder = tmp_path / f"at-{kill_at}"
        async with new_store() as url:
            told = await asyncio.to_thread(killed, processes, url, folder, kill_at)
            await after(url, folder, told)
