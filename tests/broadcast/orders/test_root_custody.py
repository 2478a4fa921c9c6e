"""The root key is made, taken away and brought back, and is somewhere at every moment."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from loa.broadcast.orders.key_files import read_root
from loa.broadcast.orders.keyring import KeyRing
from loa.broadcast.orders.root_custody import bring_back, create_root, take_away
from loa.codecs.signed import SigningKey
from loa.errors import ConfigError
from tests.crashes import crashes

NOW_S = 1_790_000_000


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """The folder of a core's keys, the root among them."""
    folder = tmp_path / "loa-data" / "keys"
    KeyRing.open(folder, NOW_S)
    return folder


@pytest.fixture
def stick(tmp_path: Path) -> Path:
    folder = tmp_path / "stick"
    folder.mkdir()
    return folder


def test_a_root_is_made_once(tmp_path: Path) -> None:
    public = create_root(tmp_path / "root")
    assert (tmp_path / "root").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "root" / "root.key").stat().st_mode & 0o777 == 0o600
    assert read_root(tmp_path / "root").public_key == public == (tmp_path / "root" / "root.pub").read_bytes()
    with pytest.raises(ConfigError, match="already"):
        create_root(tmp_path / "root")
    assert create_root(tmp_path / "root", read_root(tmp_path / "root")) == public
    with pytest.raises(ConfigError, match="another"):
        create_root(tmp_path / "root", SigningKey.generate())


def test_a_core_whose_root_is_elsewhere_gets_no_second_one(keys: Path, stick: Path) -> None:
    take_away(keys, [stick])
    with pytest.raises(ConfigError, match="not the key of"):
        create_root(keys)
    assert not (keys / "root.key").exists()


def test_making_a_root_that_is_killed_at_any_step_can_be_made_again(tmp_path: Path) -> None:
    def prepare() -> Callable[[], object]:
        shutil.rmtree(tmp_path / "root", ignore_errors=True)
        return lambda: create_root(tmp_path / "root")

    for step in crashes(prepare):
        if (tmp_path / "root" / "root.pub").exists():
            assert read_root(tmp_path / "root").public_key == (tmp_path / "root" / "root.pub").read_bytes(), step
        else:
            assert create_root(tmp_path / "root") == read_root(tmp_path / "root").public_key


def test_taken_away_and_brought_back(keys: Path, stick: Path, tmp_path: Path) -> None:
    seed = (keys / "root.key").read_bytes()
    second = tmp_path / "safe.key"
    assert take_away(keys, [stick, second]) == [stick / "root.key", second]
    for place in (stick / "root.key", second):
        assert (place.read_bytes(), place.stat().st_mode & 0o777) == (seed, 0o600)
    assert sorted(file.name for file in keys.iterdir()) == ["key_list", "order.key", "root.pub"]
    KeyRing.open(keys, NOW_S)
    with pytest.raises(ConfigError, match="taken away"):
        take_away(keys, [stick])
    bring_back(keys, second)
    assert ((keys / "root.key").read_bytes(), (keys / "root.key").stat().st_mode & 0o777) == (seed, 0o600)
    KeyRing.open(keys, NOW_S).rotate(NOW_S)


def test_another_key_is_not_brought_back(keys: Path, stick: Path, tmp_path: Path) -> None:
    take_away(keys, [stick])
    create_root(tmp_path / "other")
    with pytest.raises(ConfigError, match="not the key"):
        bring_back(keys, tmp_path / "other")
    with pytest.raises(ConfigError, match="no root key"):
        bring_back(keys, tmp_path)
    (stick / "root.key").chmod(0o644)
    with pytest.raises(ConfigError, match="0600"):
        bring_back(keys, stick)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="no core"):
        bring_back(tmp_path / "empty", tmp_path / "other")
    assert not (keys / "root.key").exists()


def test_a_copy_that_cannot_be_made_leaves_the_key_where_it_is(keys: Path, stick: Path, tmp_path: Path) -> None:
    (stick / "root.key").write_bytes(bytes(32))
    (stick / "root.key").chmod(0o600)
    (tmp_path / "inside").symlink_to(keys)
    for places, says in (
        ([], "at least one"),
        ([stick], "is not this key"),
        ([tmp_path / "nowhere" / "root.key"], "cannot be written"),
        ([keys.parent / "root.key"], "not away"),
        ([tmp_path / "inside" / "copy.key"], "not away"),
        ([tmp_path / "good.key", tmp_path / "nowhere" / "root.key"], "cannot be written"),
    ):
        with pytest.raises(ConfigError, match=says):
            take_away(keys, places)
        assert (keys / "root.key").exists()


def test_a_file_system_without_modes_is_no_place(keys: Path, stick: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    true_open = os.open

    def as_on_a_stick(path: Path, flags: int, mode: int = 0o777) -> int:
        descriptor = true_open(path, flags, mode)
        if flags & os.O_CREAT:
            os.fchmod(descriptor, 0o755)
        return descriptor

    monkeypatch.setattr(os, "open", as_on_a_stick)
    with pytest.raises(ConfigError, match="keeps no modes"):
        take_away(keys, [stick])
    monkeypatch.undo()
    assert list(stick.iterdir()) == []
    assert (keys / "root.key").exists()


def test_taking_away_that_is_killed_at_any_step_loses_nothing(keys: Path, tmp_path: Path) -> None:
    seed = (keys / "root.key").read_bytes()
    before, stick = tmp_path / "before", tmp_path / "stick"
    shutil.copytree(keys, before)
    gone = 0

    def prepare() -> Callable[[], object]:
        for folder in (keys, stick):
            shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(before, keys)
        stick.mkdir()
        return lambda: take_away(keys, [stick])

    for step in crashes(prepare):
        here, there = keys / "root.key", stick / "root.key"
        assert (here.exists() and here.read_bytes() == seed) or (there.exists() and there.read_bytes() == seed), (
            step
        )
        KeyRing.open(keys, NOW_S)
        if here.exists():
            take_away(keys, [stick])
        else:
            gone += 1
        assert there.read_bytes() == seed
        assert not any(file.read_bytes() == seed for file in keys.iterdir()), "nor under any other name"
    assert gone > 1


def test_bringing_back_that_is_killed_at_any_step_can_be_done_again(keys: Path, stick: Path) -> None:
    take_away(keys, [stick])

    def prepare() -> Callable[[], object]:
        (keys / "root.key").unlink(missing_ok=True)
        return lambda: bring_back(keys, stick)

    for _ in crashes(prepare):
        KeyRing.open(keys, NOW_S)
        bring_back(keys, stick)
        KeyRing.open(keys, NOW_S).renew(NOW_S)
