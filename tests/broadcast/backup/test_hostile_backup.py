"""Backups that somebody has made to do harm: each is refused in one line, and nothing is changed."""

from __future__ import annotations

import gzip
import hashlib
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from loa.broadcast.store.address import sqlite_address
from loa.errors import LoaError
from tests.broadcast.backup.archives import raw
from tests.broadcast.backup.standing import Standing, files, restored, standing

Files = list[tuple[str, bytes]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def whole(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """A good backup, file by file, without its hashes."""
    folder = tmp_path_factory.mktemp("whole")
    core = await standing(sqlite_address(folder / "a.db"), folder / "a")
    return await _files_of(core, folder / "good.tar")


async def _files_of(core: Standing, path: Path) -> Files:
    await core.back_up(path)
    with tarfile.open(path) as archive:
        opened = [(info.name, archive.extractfile(info)) for info in archive.getmembers()]
        return [(name, file.read()) for name, file in opened if file is not None and name != "SHA256SUMS"]


def _manifest(change: Callable[[dict[str, Any]], None]) -> Callable[[Files], Files]:
    def changed(given: Files) -> Files:
        said = json.loads(given[0][1])
        change(said)
        return [("manifest.json", json.dumps(said).encode()), *given[1:]]

    return changed


def _rows(table: str, change: Callable[[bytes], bytes]) -> Callable[[Files], Files]:
    return lambda given: [
        (name, gzip.compress(change(gzip.decompress(data)), mtime=0) if name.startswith(f"rows/{table}/") else data)
        for name, data in given
    ]


def _table(said: dict[str, Any], name: str) -> dict[str, Any]:
    return next(table for table in said["tables"] if table["name"] == name)


def _add_table(said: dict[str, Any]) -> None:
    said["tables"].append({"name": "sqlite_master", "rows": 0, "columns": [["sql", "text"]]})


def _insert(name: str, data: bytes) -> Callable[[Files], Files]:
    def inserted(given: Files) -> Files:
        order = ["manifest.json", "rows/", "keys/", "audit/", "audio/"]
        kind = next(at for at, prefix in enumerate(order) if name.startswith(prefix))
        at = sum(1 for each, _ in given if next(n for n, p in enumerate(order) if each.startswith(p)) <= kind)
        return [*given[:at], (name, data), *given[at:]]

    return inserted


def _without(prefix: str) -> Callable[[Files], Files]:
    return lambda given: [(name, data) for name, data in given if not name.startswith(prefix)]


def _other_sound(given: Files) -> Files:
    return [(name, data + b"!" if name.startswith("audio/") else data) for name, data in given]


def _second_hash(line: bytes) -> bytes:
    return line.replace(b"thing:1", b"thing:9")


STRANGE = hashlib.sha256(b"strange").hexdigest()
CASES: dict[str, tuple[Callable[[Files], Files], str]] = {
    "a newer form": (_manifest(lambda said: said.update(schema="9999")), "take a newer Loa"),
    "a newer format": (_manifest(lambda said: said.update(version=2)), "take a newer Loa"),
    "an unknown table": (_manifest(_add_table), "table sqlite_master is unknown"),
    "a table less": (_manifest(lambda said: said["tables"].pop(0)), "table area is missing"),
    "an unknown column": (
        _manifest(lambda said: _table(said, "token")["columns"].append(["is_admin", "bool"])),
        r"column token\.is_admin is unknown",
    ),
    "a column less": (
        _manifest(lambda said: _table(said, "token")["columns"].pop()),
        r"column token\.\w+ is missing",
    ),
    "another kind": (
        _manifest(lambda said: _table(said, "area")["columns"].__setitem__(0, ["id", "text"])),
        r"area\.id holds text where bytes belongs",
    ),
    "more rows than there are": (
        _manifest(lambda said: _table(said, "area").update(rows=1 << 62)),
        "area has 3 rows where the manifest says",
    ),
    "fewer rows than there are": (_manifest(lambda said: _table(said, "area").update(rows=1)), "area has 3 rows"),
    "no rows of a table": (_without("rows/area/"), "area has 0 rows"),
    "a row of another kind": (_rows("area", lambda data: b"[1,2,3]\n" * 3), "area: a line that is no row"),
    "a row twice": (
        lambda given: _manifest(lambda said: _table(said, "token").update(rows=6))(
            _rows("token", lambda data: data + data)(given)
        ),
        "the store refuses it",
    ),
    "a reference to nothing": (
        lambda given: _manifest(lambda said: _table(said, "area").update(rows=0))(_without("rows/area/")(given)),
        "refer",
    ),
    "a bomb": (
        _rows("area", lambda data: b"[" + b" " * (32 << 20) + b"]\n"),
        "area: rows of more than",
    ),
    "a key that is none": (_insert("keys/authorized_keys", b"ssh-rsa"), "not those that the manifest names"),
    "a key less": (_without("keys/order.key"), "not those that the manifest names"),
    "a digest less": (_without("audit/"), "not those that the manifest names"),
    "sound of nobody": (_insert(f"audio/{STRANGE[:2]}/{STRANGE}.ogg", b"strange"), "no programme names"),
    "other sound": (_other_sound, "not what its name says"),
    "a log that was changed": (_rows("audit", _second_hash), "entry 2 is not what was written"),
    "a log that was cut off": (
        lambda given: _manifest(lambda said: _table(said, "audit").update(rows=5))(
            _rows("audit", lambda data: b"".join(data.splitlines(keepends=True)[:5]))(given)
        ),
        "does not end where the manifest says",
    ),
    "more sound than the disk has room for": (
        _manifest(lambda said: said["audio"].update(size_bytes=1 << 60)),
        "has room for",
    ),
}


@pytest.mark.parametrize("case", CASES)
async def test_it_is_refused_and_nothing_is_changed(case: str, whole: Files, tmp_path: Path) -> None:
    change, why = CASES[case]
    path = tmp_path / "evil.tar"
    path.write_bytes(raw(change(whole)))
    with pytest.raises(LoaError, match=why) as caught:
        await restored(None, tmp_path / "b", path, keep_order_key=True)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300
    assert list((tmp_path / "b").iterdir()) == []


async def test_the_same_without_a_change_is_restored(whole: Files, tmp_path: Path) -> None:
    path = tmp_path / "good-again.tar"
    path.write_bytes(raw(whole))
    await restored(None, tmp_path / "b", path, keep_order_key=True)
    assert "loa.sqlite" in files(tmp_path / "b")


async def test_a_backup_that_is_exchanged_while_it_is_read_is_refused(
    whole: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from loa.broadcast.backup import restore

    path = tmp_path / "exchanged.tar"
    path.write_bytes(raw(whole))
    take = restore._take_sound

    def exchange(*given: Any) -> list[bytes]:
        path.write_bytes(raw(_rows("area", lambda data: data.replace(b"3 ", b"4 "))(whole)))
        return take(*given)

    monkeypatch.setattr(restore, "_take_sound", exchange)
    with pytest.raises(LoaError, match="exchanged"):
        await restored(None, tmp_path / "b", path, keep_order_key=True)
    assert list((tmp_path / "b").iterdir()) == []
