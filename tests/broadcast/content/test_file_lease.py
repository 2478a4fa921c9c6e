"""Copying and removing of audio files keep out of each other's way."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from loa.broadcast.content.file_lease import copying, removing
from loa.errors import StoreError

_HOLDER = """
import sys
from pathlib import Path
from loa.broadcast.content.file_lease import copying
with copying(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_many_copy_at_once_and_nothing_is_removed_meanwhile(tmp_path: Path) -> None:
    with copying(tmp_path), copying(tmp_path), removing(tmp_path) as may:
        assert not may
    with removing(tmp_path) as may:
        assert may


def test_who_copies_waits_for_a_round_of_removing(tmp_path: Path) -> None:
    with removing(tmp_path) as may:
        assert may
        with pytest.raises(StoreError, match="being removed"), copying(tmp_path, wait_s=0.1):
            pass
    with copying(tmp_path, wait_s=0):
        pass


def test_what_a_killed_process_held_is_free(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with removing(tmp_path) as may:
            assert not may
        holder.kill()
        holder.wait()
    with removing(tmp_path) as may:
        assert may


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be used"), copying(tmp_path / "none"):
        pass
