"""How far the making of a programme is: never backwards within a stage, and told about the right work."""

from __future__ import annotations

from concurrent.futures import Executor
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from loa.broadcast.content.ingest import Recipe, Room, ingest
from loa.broadcast.content.progress import Passes, SharedProgress, Stage
from loa.broadcast.content.worker import IngestPool, spawn_process
from tests.broadcast.content.sound_files import KINDS, write
from tests.broadcast.content.test_ingest import clicks
from tests.sounds import siren

Told = list[tuple[Stage, float]]


def rising(told: Told) -> bool:
    return all(0 <= share <= 1 for _, share in told) and told == sorted(told)


@given(
    st.lists(st.lists(st.integers(1, 900), max_size=6), min_size=1, max_size=5),
    st.one_of(st.none(), st.integers(1, 10_000)),
)
def test_shares_rise_whatever_was_expected(passes: list[list[int]], expected: int | None) -> None:
    told: Told = []
    following = Passes(lambda stage, share: told.append((stage, share)), expected)
    for sizes in passes:
        pieces = [np.zeros(size, dtype=np.float32) for size in sizes]
        assert [len(piece) for piece in following.measuring(iter(pieces))] == sizes
        assert following.samples == sum(sizes)
    assert rising(told)
    assert told[-1] == (Stage.MEASURING, 1 - 2.0 ** -len(passes))
    list(following.encoding(iter([np.zeros(5, dtype=np.float32)])))
    assert rising(told)
    assert told[-1] == (Stage.ENCODING, 1.0)


@given(st.integers(1, (1 << 32) - 1), st.sampled_from(Stage), st.floats(-1, 2), st.integers(1, (1 << 32) - 1))
def test_what_is_shared_says_which_work_it_is_about(work: int, stage: Stage, share: float, other: int) -> None:
    shared = SharedProgress()
    assert shared.of(work) == (Stage.QUEUED, 0.0)
    shared.tell(work, stage, share)
    said = shared.of(work)
    assert said[0] is stage
    assert abs(said[1] - min(max(share, 0.0), 1.0)) < 1e-6
    if other != work:
        assert shared.of(other) == (Stage.QUEUED, 0.0)


def test_every_kind_of_file_tells_how_far_it_is(tmp_path: Path) -> None:
    for kind in KINDS:
        told: Told = []
        path = write(tmp_path / f"sound.{kind}", siren(3.0), kind)
        ingest(path, tmp_path / f"{kind}.out", tell=lambda *said, to=told: to.append(said))
        assert rising(told), kind
        assert told[0] == (Stage.MEASURING, 0.0), kind
        assert told[-1] == (Stage.ENCODING, 1.0), kind
        assert any(0.1 < share < 0.4 for stage, share in told if stage is Stage.MEASURING), kind
        assert any(0.2 < share < 0.8 for stage, share in told if stage is Stage.ENCODING), kind


def test_sound_that_must_be_limited_is_measured_more_than_once(tmp_path: Path) -> None:
    told: Told = []
    ingest(write(tmp_path / "in.wav", clicks(3.0)), tmp_path / "out", tell=lambda *said: told.append(said))
    assert rising(told)
    assert max(share for stage, share in told if stage is Stage.MEASURING) > 0.5


def test_a_worker_process_tells_how_far_it_is_and_what_waits_is_queued(tmp_path: Path) -> None:
    made: list[Executor] = []

    def make(shared: SharedProgress) -> Executor:
        made.append(spawn_process(shared))
        return made[-1]

    pool = IngestPool(make)
    path = write(tmp_path / "in.wav", siren(2.0))
    one, two = (pool.submit(path, tmp_path / f"{number}.ogg", Recipe(), Room()) for number in (1, 2))
    assert two.progress() == (Stage.QUEUED, 0.0)
    one.future.result()
    two.future.result()
    assert two.progress() == (Stage.ENCODING, 1.0)
    assert one.progress() == (Stage.QUEUED, 0.0)
    pool.close()
    assert len(made) == 1
