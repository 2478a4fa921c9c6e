"""`make demo`: the system's main job on real sound, and the proof that it was done."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from importlib import resources
from pathlib import Path

from rich.console import Console
from rich.live import Live

from loa.app.api_client import Json
from loa.app.demo.check import SpeakerCheck
from loa.app.demo.stage import BadLine, SpeakerPlan, Stage
from loa.app.demo.table import check_table, live_table
from loa.app.demo.verdict import Recording, judge, reference, spread_ms
from loa.errors import LoaError

BAD = BadLine(delay_ms=20, jitter_ms=5, loss=0.03, reorder=0.02)
CITY = "Thành phố Hải Phòng"
TREE = (
    ("Khu vực Cát Hải", ("Xã Phù Long", "Xã Xuân Đám")),
    ("Khu vực Kiến An", ("Phường Phù Liễn",)),
)
COMMUNES = [commune for _district, communes in TREE for commune in communes]
PLANS = (
    SpeakerPlan("Cụm loa Bến Gót", 0, 3600, 80),
    SpeakerPlan("Cụm loa Ngoài", 0, -3600, -80, BAD),
    SpeakerPlan("Cụm loa Nam", 0, 1234, 35),
    SpeakerPlan("Cụm loa Chợ Xuân Đám", 1, -777, 60, BAD),
    SpeakerPlan("Cụm loa Trường học", 1, 12, -25),
    SpeakerPlan("Cụm loa Đình làng", 1, 2999, -60, BAD),
    SpeakerPlan("Cụm loa Tổ dân phố 3", 2, -45, 5),
    SpeakerPlan("Cụm loa Tổ dân phố 7", 2, 600, 80, BAD),
)
FOLLOW_S = 0.25
FINISH_GRACE_S = 20.0


async def run_demo(folder: Path, console: Console, once: bool) -> bool:
    """Play the demo in `folder`; whether every speaker passed. Without `once` it stays up until it is interrupted.

    SIGINT and SIGTERM end it with all the processes it started; before the check is done that is a CancelledError.
    """
    task = asyncio.current_task()
    if task is not None:
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    async with Stage(folder) as stage:
        passed = await _perform(stage, console)
        if not once:
            token = folder / "core" / "admin.token"
            console.print(
                f"\nVẫn đang chạy · still up: [bold]{stage.url}[/] (dừng bằng Ctrl-C · Ctrl-C ends it)\n"
                f'  curl -H "Authorization: Bearer $(cat {token})" {stage.url}/api/v1/endpoints',
                soft_wrap=True,
            )
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
        return passed


async def _perform(stage: Stage, console: Console) -> bool:
    began = time.monotonic()

    def say(vietnamese: str, english: str) -> None:
        console.print(f"[dim]{time.monotonic() - began:5.1f} s[/]  {vietnamese} · {english}")

    say("khởi động máy chủ", "starting the core")
    await stage.open_core()
    await stage.build_areas(CITY, TREE)
    say(f"đăng ký {len(PLANS)} loa bằng mã một lần", f"enrolling {len(PLANS)} speakers by one-time codes")
    upload = asyncio.create_task(_upload(stage))
    await asyncio.gather(*(stage.add_speaker(plan) for plan in PLANS))
    programme = await upload
    say("chờ đồng hồ của các loa", "waiting for the speakers' clocks")
    await wait_for_clocks(stage)
    broadcast = await stage.api.start(programme["id"], areas=[stage.city])
    say(f"phát: {programme['title']}", f"on air: {programme['duration_s']:.1f} s, listen at")
    console.print(f"         {stage.url}/listen/{broadcast['id']}.ogg")
    await _follow(stage, broadcast, console)
    say("so từng khung 20 ms với bản gốc", "comparing every 20 ms frame with the programme")
    checks = await _check(stage, broadcast)
    console.print(check_table(checks))
    good = [check for check in checks if check.passed]
    told = all(check.max_error_ns is not None for check in checks) and len(checks) == len(PLANS)
    difference = f"{spread_ms(checks):.2f} ms" if told else "unknown"
    console.print(
        f"{len(good)} of {len(PLANS)} speakers played the bulletin; "
        f"largest difference between two speakers {difference}",
        highlight=False,
        soft_wrap=True,
    )
    return len(good) == len(PLANS)


async def _upload(stage: Stage) -> Json:
    with resources.as_file(resources.files("loa") / "assets" / "bulletin.ogg") as file:
        return await stage.api.upload("Bản tin thử nghiệm", file)


async def wait_for_clocks(stage: Stage, timeout_s: float = 60.0) -> None:
    """Wait until each speaker is linked, has its media address bound, and knows the time.

    How well it knows it is its own figure; over a bad line the bound is honestly wide.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        stage.check_alive()
        rows = await stage.endpoints()
        waiting = [row["name"] for row in rows if not _ready(row)]
        if not waiting and len(rows) >= len(stage.speakers):
            return
        if time.monotonic() > deadline:
            raise LoaError(f"these speakers did not get ready: {', '.join(waiting) or 'some never came'}")
        await asyncio.sleep(FOLLOW_S)


def _ready(row: Json) -> bool:
    status = row["status"]
    return bool(row["linked"] and row["media_bound"] and status and status["clock_error_ms"] is not None)


async def _follow(stage: Stage, broadcast: Json, console: Console) -> None:
    """Show the table until every speaker's receipt says finished."""
    path = f"/api/v1/broadcasts/{broadcast['id']}"
    deadline = time.monotonic() + broadcast["frames_total"] * 0.02 + FINISH_GRACE_S
    with Live(console=console, refresh_per_second=4, transient=not console.is_terminal) as live:
        while time.monotonic() < deadline:
            stage.check_alive()
            receipts = await stage.api.items(f"{path}/receipts")
            state = {row["endpoint_id"]: row["state"] for row in receipts}
            live.update(live_table(await stage.endpoints(), state, PLANS, COMMUNES))
            if len(state) >= len(PLANS) and set(state.values()) <= {"finished", "refused"}:
                return
            await asyncio.sleep(FOLLOW_S)


async def _check(stage: Stage, broadcast: Json) -> list[SpeakerCheck]:
    ref = await reference(stage.api, broadcast)
    recordings = [await Recording.load(stage.wav_folder(plan.name), broadcast["id"]) for plan in PLANS]
    return await asyncio.to_thread(
        lambda: [judge(ref, plan, recording) for plan, recording in zip(PLANS, recordings, strict=True)]
    )
