"""`loa load` as a whole: real links in real processes against a real core, and nothing left of them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from loa.app.demo.stage import Stage
from loa.app.load.acceptance import with_limits
from loa.app.load.plan import LoadPlan
from loa.app.load.run import LoadRun, Options
from loa.errors import ConfigError

ENDPOINTS, SAMPLE = 30, 5
# How fast this machine is today is not what is tested.
LIMITS = with_limits(
    [
        f"{name}=none"
        for name in (
            "join_p99_ms",
            "concealed_percent",
            "spread_p99_ms",
            "jitter_p99_ms",
            "order_p99_ms",
            "receipt_p99_ms",
            "ticks_late",
            "frames_skipped",
            "generator_late_percent",
        )
    ]
)


class _Unseen:
    """Shows nothing; keeps the phases."""

    def __init__(self) -> None:
        self.phases: list[str] = []

    def phase(self, vietnamese: str, english: str) -> None:
        self.phases.append(english)

    def progress(self, done: float, wanted: float, gauges: Counter[str], counts: Counter[str]) -> None:
        assert 0 <= done <= wanted


def _options(stage: Stage, *, area_id: str = "", clean_up: bool = False) -> Options:
    token = (stage.folder / "core" / "admin.token").read_text(encoding="utf-8").strip()
    return Options(
        stage.url,
        token,
        LoadPlan(ENDPOINTS, processes=2, sample=SAMPLE, nack=0.05, loss=0.02),
        stage.folder / "load",
        seconds=3,
        area_id=area_id,
        limits=LIMITS,
        clean_up=clean_up,
        settle_s=2,
    )


@pytest.mark.timeout(120)
async def test_thirty_endpoints_in_two_processes_hear_a_bulletin(stage: Stage) -> None:
    show = _Unseen()
    result = await LoadRun(_options(stage, clean_up=True), show).run()
    told = json.loads(json.dumps(result.to_json()))
    assert told["passed"], told["checks"]
    assert told["enrolled"] == ENDPOINTS
    assert told["endpoints"] == {"endpoints": 30, "linked": 30, "bound": 30, "away": 0, "sampled": SAMPLE}
    assert (told["links"]["joins"], told["links"]["lost"], told["links"]["refused"]) == (ENDPOINTS, 0, 0)
    # Two orders, a tune and a stop, each at every endpoint and acknowledged by every one.
    assert told["orders"] == 2
    assert told["ms"]["order_first"]["count"] == told["ms"]["order_acknowledged"]["count"] == 2 * ENDPOINTS
    assert told["ms"]["order_link"]["count"] == 2 * ENDPOINTS
    # Whoever answered by its link before the first datagram left is sent none.
    assert 0 < told["ms"]["order_datagram"]["count"] <= 2 * ENDPOINTS
    frames = told["frames"]
    assert frames["missing"] == 0
    assert frames["played"] > 0
    assert frames["repaired"] > 0
    assert frames["packets"] == frames["distinct"] * SAMPLE
    assert told["ms"]["spread"]["count"] == frames["distinct"]
    # The kernel has counted what it dropped for the others: each frame, and the signed blocks beside it.
    assert told["sink_packets"] >= frames["distinct"] * (ENDPOINTS - SAMPLE)
    assert told["sent"]["nacks"] > 0
    (broadcast,) = told["broadcasts"]
    assert broadcast["state"] == "stopped"
    assert sum(broadcast["receipts"].values()) == ENDPOINTS
    assert show.phases[0] == "enrolling endpoints"
    assert show.phases[-1] == "cleaning up"
    # Nothing is left: not here, and at the core nothing that may speak.
    assert not (stage.folder / "load" / "endpoints.jsonl").exists()
    assert await stage.api.items("/api/v1/endpoints", revoked="false") == []
    assert await stage.api.items("/api/v1/programmes") == []


@pytest.mark.timeout(60)
async def test_where_other_devices_stand_nothing_is_broadcast(stage: Stage) -> None:
    from loa.app.load import Crowd

    other = LoadPlan(1, processes=1, sample=1)
    async with Crowd(stage.url, other, stage.folder / "other") as crowd:
        await crowd.enrol(stage.api, stage.communes[0])
    with pytest.raises(ConfigError, match="other devices stand in the area"):
        await LoadRun(_options(stage, area_id=stage.communes[0]), _Unseen()).run()
    assert await stage.api.items("/api/v1/broadcasts") == []


PARENT = """
import asyncio, pathlib, sys
from loa.app.load import Crowd, LoadPlan

async def main():
    async with Crowd("http://127.0.0.1:1", LoadPlan(4, processes=2, sample=2), pathlib.Path(sys.argv[1])) as crowd:
        print(*crowd.pids, flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.mark.timeout(60)
async def test_generating_processes_end_with_who_started_them(tmp_path: Path) -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, str(tmp_path / "state"), stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    pids = [int(each) for each in (await parent.stdout.readline()).split()]
    assert len(pids) == 2
    parent.kill()
    await parent.wait()
    end_s = time.monotonic() + 30
    while any(_runs(pid) for pid in pids):
        assert time.monotonic() < end_s
        await asyncio.sleep(0.05)


def _runs(pid: int) -> bool:
    """Whether it still does something; one that ended and was not collected yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.timeout(60)
async def test_a_run_that_is_interrupted_before_anybody_has_come_ends_at_once(stage: Stage) -> None:
    class Interrupting(_Unseen):
        def progress(self, done: float, wanted: float, gauges: Counter[str], counts: Counter[str]) -> None:
            os.kill(os.getpid(), signal.SIGINT)

    async with asyncio.timeout(20):
        result = await LoadRun(_options(stage), Interrupting()).run()
    assert result.figures["interrupted"]
    assert not result.passed
