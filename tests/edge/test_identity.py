"""The speaker's files."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from loa.edge.speaker import identity
from loa.edge.speaker.state_folder import StateFolder
from loa.errors import ConfigError, StoreError
from tests.edge.origin import ENDPOINT, Authorities


def test_a_folder_without_identity_is_not_enrolled(tmp_path: Path) -> None:
    assert identity.load(tmp_path / "state") is None


def test_all_is_private_to_the_owner(tmp_path: Path) -> None:
    me = Authorities().enrolled(tmp_path)
    assert stat.S_IMODE(me.folder.path.stat().st_mode) == 0o700
    modes = {stat.S_IMODE(path.stat().st_mode) for path in me.folder.path.iterdir()}
    assert modes == {0o600}


def test_an_identity_comes_back_as_it_was_written(tmp_path: Path) -> None:
    by = Authorities()
    me = by.enrolled(tmp_path)
    assert me.endpoint_id == ENDPOINT
    assert me.device_key.seed == by.device.seed
    assert me.authority.root_public_key == by.root.public_key


@pytest.mark.parametrize("name", [identity.DEVICE_KEY, identity.ROOT_KEY])
def test_a_file_that_others_can_read_is_refused(tmp_path: Path, name: str) -> None:
    me = Authorities().enrolled(tmp_path)
    (me.folder.path / name).chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        identity.load(me.folder.path)


def test_a_folder_that_others_can_read_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with pytest.raises(ConfigError, match="chmod 700"):
        identity.load(tmp_path)


def test_a_key_list_of_another_root_is_a_damaged_folder(tmp_path: Path) -> None:
    by = Authorities()
    me = by.enrolled(tmp_path)
    me.folder.write(identity.KEY_LIST, by.key_list(root=by.order_key))
    with pytest.raises(ConfigError, match="damaged"):
        identity.load(me.folder.path)


def test_only_a_higher_serial_replaces_the_placement(tmp_path: Path) -> None:
    by = Authorities()
    me = by.enrolled(tmp_path)
    assert me.take_placement(by.placement(serial=3, trim_us=-250))
    assert not me.take_placement(by.placement(serial=2))
    reloaded = identity.load(me.folder.path)
    assert reloaded is not None
    assert (reloaded.placement.serial, reloaded.placement.trim_us) == (3, -250)


def test_the_device_key_is_made_once(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path / "state")
    assert identity.device_key(folder).seed == identity.device_key(folder).seed


def test_a_write_that_fails_leaves_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = StateFolder(tmp_path / "state")
    folder.write("orders", b"old")

    def broken(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", broken)
        with pytest.raises(StoreError, match="No space"):
            folder.write("orders", b"new")
    assert folder.read("orders") == b"old"
