"""A folder is worked in by one at a time, and free again when that one is gone, however it went."""

from __future__ import annotations

from pathlib import Path

import pytest

from loa.broadcast.orders import key_files
from loa.errors import ConfigError, FolderBusy
from loa.folder_lock import folder_lock
from tests.crashes import died_at


def test_a_second_holder_is_refused_and_the_first_leaves_no_trace(tmp_path: Path) -> None:
    with folder_lock(tmp_path), pytest.raises(FolderBusy, match="another process"), folder_lock(tmp_path, 0.05):
        pass
    with folder_lock(tmp_path):
        assert list(tmp_path.iterdir()) == []


def test_a_holder_that_was_killed_holds_nothing(tmp_path: Path) -> None:
    def hold_and_die() -> None:
        with folder_lock(tmp_path):
            (tmp_path / "file").unlink(missing_ok=True)

    assert died_at(2, hold_and_die), "after the lock was taken"
    with folder_lock(tmp_path):
        pass


def test_there_is_no_lock_without_a_folder(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"), folder_lock(tmp_path / "nowhere"):
        pass
    with pytest.raises(ConfigError, match="cannot be used"), key_files.alone(tmp_path / "nowhere"):
        pass
