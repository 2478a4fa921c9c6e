"""How far a backup has come is shown on stderr once it takes long, and on stdout never."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from loa.app.backup import progress_bars
from loa.broadcast.backup.progress import Step


def test_what_is_quick_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bars.progress_bars() as progress:
        progress(Step.ROWS, 1, 2)
        progress(Step.ROWS, 2, 2)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("terminal", [True, False])
def test_what_takes_long_has_a_bar_a_step_for_who_looks(terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_bars, "QUIET_S", 0.0)
    out = io.StringIO()
    with progress_bars.progress_bars(Console(file=out, force_terminal=terminal, width=100)) as progress:
        progress(Step.ROWS, 1, 4)
        progress(Step.ROWS, 4, 4)
        progress(Step.AUDIO, 0, 0)
    if terminal:
        assert "Ghi dữ liệu · Writing rows" in out.getvalue()
        assert "Chép âm thanh · Copying sound" in out.getvalue()
    else:
        assert out.getvalue() == ""
