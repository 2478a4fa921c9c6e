"""Scratch folders of processes that share a folder: nobody's work is removed but that of who is gone."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from loa.broadcast.content.scratch import own_scratch
from loa.errors import StoreError

_HOLD = """
import sys
from pathlib import Path
from loa.broadcast.content.scratch import own_scratch
with own_scratch(Path(sys.argv[1])) as own:
    (own / "upload").write_bytes(b"half")
    print(own, flush=True)
    sys.stdin.read()
"""


def holder(shared: Path) -> tuple[subprocess.Popen[str], Path]:
    """Another process with a folder of its own in `shared`."""
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(shared)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def there(shared: Path) -> list[Path]:
    return sorted(path for path in shared.iterdir() if path.is_dir())


def test_what_a_killed_process_left_goes_and_what_a_living_one_makes_stays(tmp_path: Path) -> None:
    living, its = holder(tmp_path)
    killed, left = holder(tmp_path)
    with own_scratch(tmp_path) as own:
        assert there(tmp_path) == sorted((own, its, left))
    killed.kill()
    killed.communicate()
    with own_scratch(tmp_path) as own:
        assert there(tmp_path) == sorted((own, its))
        assert (its / "upload").read_bytes() == b"half"
    living.communicate()
    assert there(tmp_path) == []
    with own_scratch(tmp_path) as own:
        assert {path.name for path in tmp_path.iterdir()} == {"all.lock", own.name, f"{own.name}.lock"}


def test_what_no_process_holds_is_removed(tmp_path: Path) -> None:
    (tmp_path / "tmpabc").mkdir()
    (tmp_path / "tmpabc" / "upload").write_bytes(b"half")
    (tmp_path / "loose").write_bytes(b"half")
    (tmp_path / "gone.lock").write_bytes(b"")
    with own_scratch(tmp_path) as own:
        assert there(tmp_path) == [own]
    assert [path.name for path in tmp_path.iterdir()] == ["all.lock"]


def test_many_that_begin_at_once_do_not_remove_each_others(tmp_path: Path) -> None:
    with ExitStack() as stack, ThreadPoolExecutor(8) as threads:
        opened = list(threads.map(lambda _: stack.enter_context(own_scratch(tmp_path / "new")), range(40)))
        assert there(tmp_path / "new") == sorted(opened)


def test_a_folder_that_cannot_be_used_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="cannot be used"), own_scratch(tmp_path / "file"):
        pass
