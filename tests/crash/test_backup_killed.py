"""A backup or a restore that is killed anywhere: nothing half is taken for whole, and the next one gets through."""

from __future__ import annotations

import asyncio
import multiprocessing
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from loa.broadcast.backup.contents import BackupFile
from loa.broadcast.backup.target import in_the_way, unfinished
from loa.broadcast.orders.keyring import KeyRing
from loa.broadcast.store.address import sqlite_address
from tests.broadcast.backup.standing import NOW_S, SOUNDS, Standing, content, files, standing
from tests.broadcast.store.full_store import dump
from tests.crash import backup_day

SPREAD = 3
LAST = 64
"""So many points before the end everything is ready, and begins to be put in its place."""
STEP = 5

Context = multiprocessing.context.ForkServerContext


@pytest.fixture(scope="module")
def processes() -> Context:
    """A server that forks processes in which everything is imported and no thread runs."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.crash.backup_day"])
    return context


def run(context: Context, target: Any, *given: object, kill_at: int) -> None:
    process = context.Process(target=target, args=given)
    process.start()
    process.join(60)
    assert process.exitcode == (-signal.SIGKILL if kill_at else 0), f"point {kill_at}: {process.exitcode}"


def instants(count: Path) -> list[int]:
    """A few of all points, and more of the last ones, at which things come to their places."""
    points = int(count.read_text())
    assert points > LAST
    spread = {1 + round(n * (points - 1) / (SPREAD - 1)) for n in range(SPREAD)}
    return sorted(spread | set(range(points - LAST, points + 1, STEP)))


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Standing:
    folder = tmp_path_factory.mktemp("core")
    return asyncio.run(standing(sqlite_address(folder / "a" / "loa.sqlite"), folder / "a"))


@pytest.fixture(scope="module")
def archive(core: Standing) -> Path:
    path = core.folder.parent / "whole.tar"
    asyncio.run(core.back_up(path))
    return path


def test_a_backup_appears_whole_or_not_at_all(processes: Context, core: Standing, tmp_path: Path) -> None:
    def back_up(path: Path, kill_at: int) -> None:
        given = (core.url, str(core.folder), str(path), kill_at, str(tmp_path / "points"))
        run(processes, backup_day.back_up, *given, kill_at=kill_at)

    back_up(tmp_path / "0.tar", 0)
    before = files(core.folder)
    appeared = []
    for kill_at in instants(tmp_path / "points"):
        path = tmp_path / f"{kill_at}.tar"
        back_up(path, kill_at)
        if path.exists():
            appeared.append(kill_at)
            with BackupFile(path).opened() as reader:
                assert len(list(reader.parts())) > 10
        else:
            back_up(path, 0)
        assert list(tmp_path.glob(f"{path.name}*")) == [path], "what was half written is gone"
    assert len(appeared) <= 4, "it appears at the end"
    assert {name: data for name, data in files(core.folder).items() if "sqlite-" not in name} == {
        name: data for name, data in before.items() if "sqlite-" not in name
    }


@pytest.fixture(scope="module")
def before(core: Standing) -> dict[str, list[bytes]]:
    """The rows of the core that was backed up."""
    return asyncio.run(core.rows())


def _whole(core: Standing, before: dict[str, list[bytes]], folder: Path, url: str) -> None:
    """The folder holds all of the backup, and a core could start on it."""
    assert not unfinished(folder)
    after = asyncio.run(dump(url))
    assert after["area"] == before["area"]
    assert after["audit"][:-1] == before["audit"]
    assert len(after["audit"]) == len(before["audit"]) + 1
    assert KeyRing.open(folder / "keys", NOW_S).order_key.seed == content(core.folder / "keys" / "order.key")
    assert all(content(Standing(url, folder).sound(number)) == sound for number, sound in enumerate(SOUNDS))
    assert files(folder / "audit") == files(core.folder / "audit")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("where", ["inside", "elsewhere"])
def test_a_restore_is_whole_or_to_be_done_again(
    where: str,
    processes: Context,
    core: Standing,
    before: dict[str, list[bytes]],
    archive: Path,
    tmp_path: Path,
) -> None:
    def place(name: object) -> tuple[Path, str | None]:
        folder = tmp_path / str(name)
        folder.mkdir(mode=0o700)
        return folder, None if where == "inside" else sqlite_address(tmp_path / f"{name}.db")

    def restore(folder: Path, url: str | None, kill_at: int) -> None:
        given = (str(folder), url, str(archive), kill_at, str(tmp_path / "points"), False)
        run(processes, backup_day.restore, *given, kill_at=kill_at)

    folder, url = place(0)
    restore(folder, url, 0)
    _whole(core, before, folder, url or sqlite_address(folder / "loa.sqlite"))
    for kill_at in instants(tmp_path / "points"):
        folder, url = place(kill_at)
        restore(folder, url, kill_at)
        if unfinished(folder) or not in_the_way(folder):
            restore(folder, url, 0)
        _whole(core, before, folder, url or sqlite_address(folder / "loa.sqlite"))
        shutil.rmtree(folder)


@pytest.mark.timeout(300)
def test_what_was_there_is_there_or_put_aside(
    processes: Context, core: Standing, before: dict[str, list[bytes]], archive: Path, tmp_path: Path
) -> None:
    old = asyncio.run(standing(sqlite_address(tmp_path / "old" / "loa.sqlite"), tmp_path / "old"))
    (old.folder / "admin.token").write_text("mine")
    shutil.rmtree(old.folder / "audit")  # not all that comes takes something's place
    mine = {name: data for name, data in files(old.folder).items() if not name.startswith("audio/")}

    def restore(folder: Path, kill_at: int) -> None:
        given = (str(folder), None, str(archive), kill_at, str(tmp_path / "points"), True)
        run(processes, backup_day.restore, *given, kill_at=kill_at)

    shutil.copytree(old.folder, tmp_path / "0")
    restore(tmp_path / "0", 0)
    for kill_at in instants(tmp_path / "points"):
        folder = tmp_path / str(kill_at)
        shutil.copytree(old.folder, folder)
        restore(folder, kill_at)
        there = {name: data for name, data in files(folder).items() if not name.startswith("audio/")}
        if (not unfinished(folder) and there == mine) or unfinished(folder):
            restore(folder, 0)
        _whole(core, before, folder, sqlite_address(folder / "loa.sqlite"))
        (aside,) = folder.glob("before-restore-*")
        assert files(aside) == mine
        shutil.rmtree(folder)
