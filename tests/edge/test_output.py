"""The virtual card: its pace, its under-runs, what it writes."""

from __future__ import annotations

import json
import wave
from pathlib import Path

import numpy as np

from loa.edge.speaker.frame_counters import Counters
from loa.edge.speaker.output import BLOCK_NS, BLOCK_SAMPLES, LEAD_NS, Block, VirtualCard
from loa.edge.speaker.playout import BroadcastKey, Started, Summary
from loa.edge.speaker.wav_output import WavOutput
from loa.model import id_text
from loa.timing.clock import VirtualClock
from tests.edge.origin import BROADCAST, tune

MS = 1_000_000
ONE: BroadcastKey = (BROADCAST, 1)
TWO: BroadcastKey = (BROADCAST, 2)


class Script:
    """A source that says what is audible, and remembers when it was asked."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.audible: tuple[BroadcastKey, ...] = ()
        self.summaries: tuple[Summary, ...] = ()

    def __call__(self, local_ns: int, n: int, rate_hz: int) -> Block:
        assert (n, rate_hz) == (BLOCK_SAMPLES, 48_000)
        self.asked.append(local_ns)
        summaries, self.summaries = self.summaries, ()
        return Block(np.full(n, 0.5, dtype=np.float32), self.audible, summaries, 777)


def summary(generation: int, reason: str = "end") -> Summary:
    started = Started((b"o" * 16,), 42, 65_500, 1)
    counters = Counters(played=5, concealed=2, unsigned=1)
    return Summary(tune(generation=generation), 65_600, counters, (3, 4), started, reason)


def run(card: VirtualCard, script: Script, clock: VirtualClock, ms: int) -> None:
    for _ in range(ms // 10):
        card.pump(script)
        clock.advance(10 * MS)


def test_blocks_are_asked_for_in_order_and_never_further_ahead_than_the_lead() -> None:
    clock, script = VirtualClock(5_000 * MS), Script()
    card = VirtualCard(clock)
    for _ in range(50):
        card.pump(script)
        assert script.asked[-1] - clock.monotonic_ns() <= LEAD_NS
        clock.advance(7 * MS)
    steps = {b - a for a, b in zip(script.asked, script.asked[1:], strict=False)}
    assert steps == {BLOCK_NS}
    assert card.underruns == 0


def test_what_comes_too_late_is_an_under_run_and_the_rest_keeps_its_time() -> None:
    clock, script = VirtualClock(), Script()
    card = VirtualCard(clock)
    run(card, script, clock, 100)
    last_ns = script.asked[-1]
    clock.advance(500 * MS)
    card.pump(script)
    later = next(at for at in script.asked if at > last_ns)
    assert later >= clock.monotonic_ns()
    assert card.underruns == (later - last_ns) // BLOCK_NS - 1
    assert (later - last_ns) % BLOCK_NS == 0


def test_a_recording_spans_the_first_to_the_last_audible_block_and_its_sidecar_says_when(tmp_path: Path) -> None:
    clock, script = VirtualClock(7 * MS), Script()
    card = WavOutput(clock, tmp_path)
    run(card, script, clock, 50)
    script.audible = (ONE,)
    first_ns = script.asked[-1] + BLOCK_NS
    run(card, script, clock, 100)
    clock.advance(300 * MS)  # a stall: some blocks are missed
    run(card, script, clock, 100)
    last_ns = script.asked[-1]
    script.audible, script.summaries = (), (summary(1),)
    run(card, script, clock, 50)
    card.finish()

    path = tmp_path / f"{id_text(BROADCAST)}.wav"
    sidecar = json.loads(path.with_suffix(".json").read_text())
    with wave.open(str(path)) as file:
        pcm = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
    assert len(pcm) == sidecar["samples"] == (last_ns + BLOCK_NS - first_ns) * 48 // MS
    assert sidecar["wav_local_ns"] == first_ns
    assert np.count_nonzero(pcm == 0) == card.underruns * BLOCK_SAMPLES > 0
    assert sidecar["clock_error_ns"] == 777
    assert sidecar["concealed_frames"] == [3, 4]
    assert sidecar["started_presented_ns"] == 42
    assert (sidecar["index0"], sidecar["end_index"], sidecar["generation"]) == (65_500, 65_600, 1)


def test_a_further_generation_gets_a_file_of_its_own_and_closing_writes_what_ended_last(tmp_path: Path) -> None:
    clock, script = VirtualClock(), Script()
    card = WavOutput(clock, tmp_path)
    script.audible = (ONE,)
    run(card, script, clock, 50)
    script.audible, script.summaries = (TWO,), (summary(1, "pre_empted"),)
    run(card, script, clock, 50)
    card.take(Block(np.zeros(BLOCK_SAMPLES, dtype=np.float32), (), (summary(2, "shutdown"),)), script.asked[-1])
    card.close()
    name = id_text(BROADCAST)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [f"{name}.json", f"{name}.wav", f"{name}-2.json", f"{name}-2.wav"]
    )
    assert json.loads((tmp_path / f"{name}-2.json").read_text())["finished_reason"] == "shutdown"
