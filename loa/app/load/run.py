"""A load run from enrolment to verdict."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections import Counter
from collections.abc import Awaitable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from loa.app.api_client import ApiClient
from loa.app.load import core_metrics
from loa.app.load.acceptance import Limits
from loa.app.load.crowd import Crowd
from loa.app.load.on_air import EMERGENCY_S, EMERGENCY_TITLE, TITLE, OnAir, bulletin
from loa.app.load.outcome import Observed, Outcome, outcome
from loa.app.load.place import Belongings, clean_up, own_area, require_only_ours
from loa.app.load.plan import MAX_SECONDS, LoadPlan, is_loopback
from loa.app.load.tally import Tally
from loa.errors import ConfigError, LoaError
from loa.model import parse_id

SETTLE_S = 6.0
"""Before and after what is measured: clocks find the time, and the core hears of its media process every 5 s."""
LOOK_S = 0.5
JOIN_S = 600.0
SOUND_MORE_S = 30.0


@dataclass(frozen=True, slots=True)
class Options:
    """What a run is told. `programme_id`, `emergency_id`: of the core's library; empty: the run brings its own.

    `preempt_every_s`: an emergency above everything so often; 0: none.
    """

    core_url: str
    token: str
    plan: LoadPlan
    state: Path
    seconds: float = 60.0
    area_id: str = ""
    programme_id: str = ""
    emergency_id: str = ""
    preempt_every_s: float = 0.0
    limits: Limits = field(default_factory=Limits)
    owns_network: bool = False
    others_may_hear: bool = False
    clean_up: bool = False
    join_s: float = JOIN_S
    settle_s: float = SETTLE_S

    def __post_init__(self) -> None:
        """ConfigError for what must not be run."""
        if not 1 <= self.seconds <= MAX_SECONDS:
            raise ConfigError(f"--seconds: {self.seconds} is not in 1 to {MAX_SECONDS:,}")
        if self.preempt_every_s and not 2 * EMERGENCY_S <= self.preempt_every_s <= MAX_SECONDS:
            raise ConfigError(f"--preempt-every: {self.preempt_every_s} is not 0 or {2 * EMERGENCY_S:g} s and more")
        for name, text in (
            ("area", self.area_id),
            ("broadcast", self.programme_id),
            ("emergency", self.emergency_id),
        ):
            try:
                if text:
                    parse_id(text)
            except ValueError as error:
                raise ConfigError(f"--{name}: {text[:60]!r} is no identifier") from error
        if not is_loopback(self.core_url) and not self.owns_network:
            raise ConfigError(
                f"{self.core_url} không ở máy này: thêm --i-own-this-network nếu mạng và máy chủ là của bạn · "
                f"{self.core_url} is not this machine: add --i-own-this-network if network and core are yours"
            )


class Show(Protocol):
    """Whoever watches."""

    def phase(self, vietnamese: str, english: str) -> None:
        """Something else begins."""

    def progress(self, done: float, wanted: float, gauges: Counter[str], counts: Counter[str]) -> None:
        """How far it is."""


class LoadRun:
    """One run. `run` gives the outcome, also of a run that was interrupted or could not go on."""

    def __init__(self, options: Options, show: Show) -> None:
        """ConfigError when this machine cannot do it."""
        self._options = options
        self._show = show
        self._crowd = Crowd(options.core_url, options.plan, options.state)
        self._belongings = Belongings(options.state)
        self._seen = Observed(options.core_url, started_at=datetime.now(UTC).isoformat(timespec="seconds"))
        self._tally = Tally()
        self._measuring = False

    async def run(self) -> Outcome:
        """Enrol, join, measure, judge. LoaError when it could not even begin; nothing is left running."""
        options, seen = self._options, self._seen
        loop = asyncio.get_running_loop()
        async with ApiClient(options.core_url, options.token) as api, self._crowd:
            work = loop.create_task(self._work(api))
            loop.add_signal_handler(signal.SIGINT, work.cancel)
            loop.add_signal_handler(signal.SIGTERM, work.cancel)
            try:
                await work
            except asyncio.CancelledError:
                seen.interrupted = True
                self._show.phase("dừng theo yêu cầu", "interrupted")
            except LoaError as error:
                if not self._measuring:
                    raise
                seen.errors.append(str(error))
            finally:
                # A second Ctrl-C ends it at once: the generating processes end with this one.
                loop.remove_signal_handler(signal.SIGINT)
                loop.remove_signal_handler(signal.SIGTERM)
            with contextlib.suppress(LoaError):
                self._tally = await self._crowd.report()
                await self._crowd.leave()
            if options.clean_up:
                self._show.phase("dọn dẹp", "cleaning up")
                await clean_up(
                    api,
                    self._crowd.register,
                    self._belongings,
                    lambda done, wanted: self._show.progress(done, wanted, Counter(), Counter()),
                )
        return outcome(options.plan, self._tally, seen, options.limits)

    async def _work(self, api: ApiClient) -> None:
        options, seen, crowd, show = self._options, self._seen, self._crowd, self._show
        area_id = options.area_id or await own_area(api, self._belongings)
        began_s = time.monotonic()
        show.phase("đăng ký thiết bị", "enrolling endpoints")
        seen.enrolled = await crowd.enrol(
            api, area_id, lambda done, wanted: show.progress(done, wanted, Counter(), Counter())
        )
        seen.enrol_s = time.monotonic() - began_s
        if not options.others_may_hear:
            await require_only_ours(api, area_id, crowd.register)
        on_air = OnAir(api, area_id)
        programme_id, emergency_id = await self._programmes(on_air)
        show.phase("kết nối", "joining")
        endpoints = options.plan.endpoints
        began_s = time.monotonic()
        seen.join_s = await crowd.join(
            options.join_s, lambda gauges, counts: show.progress(gauges["bound"], endpoints, gauges, counts)
        )
        show.phase("chờ đồng hồ", "letting clocks settle")
        await self._watch(options.settle_s)
        seen.core_before = await core_metrics.read(api)
        show.phase("đo", "measuring")
        measured_from_s = time.monotonic()
        emergencies: asyncio.Task[None] | None = None
        self._measuring = True
        await crowd.mark()
        whole = False
        try:
            await on_air.start(programme_id)
            await crowd.churn(options.plan.churn)
            if emergency_id:
                emergencies = asyncio.create_task(on_air.emergencies(emergency_id, options.preempt_every_s))
            await self._watch(options.seconds)
            whole = True
        finally:
            await self._end(api, on_air, emergencies, measured_from_s, began_s, whole=whole)

    async def _end(
        self,
        api: ApiClient,
        on_air: OnAir,
        emergencies: asyncio.Task[None] | None,
        measured_from_s: float,
        joined_from_s: float,
        *,
        whole: bool,
    ) -> None:
        """Stop what is on air, and gather what can be known, also of a run that was cut off."""
        seen = self._seen
        if emergencies is not None:
            emergencies.cancel()
            await asyncio.gather(emergencies, return_exceptions=True)
        await self._crowd.churn(0)
        await on_air.stop_all()
        if whole:
            self._show.phase("chờ biên nhận", "waiting for receipts")
            await self._watch(self._options.settle_s)
        seen.core_after = await core_metrics.read(api)
        seen.measured_s = time.monotonic() - measured_from_s
        seen.ran_s = time.monotonic() - joined_from_s
        await on_air.receipts()
        seen.broadcasts = on_air.broadcasts
        seen.errors += on_air.failures

    async def _programmes(self, on_air: OnAir) -> tuple[str, str]:
        """What goes on air: the programme, and the emergency or nothing. Own ones are uploaded."""
        options = self._options
        programme_id, emergency_id = options.programme_id, options.emergency_id
        if not programme_id:
            self._show.phase("tải bản tin lên", "uploading the bulletin")
            sound = await asyncio.to_thread(bulletin, options.seconds + SOUND_MORE_S)
            programme_id = await self._own(on_air.upload(TITLE, sound, "routine"))
        if not options.preempt_every_s:
            return programme_id, ""
        if not emergency_id:
            sound = await asyncio.to_thread(bulletin, EMERGENCY_S, siren=True)
            emergency_id = await self._own(on_air.upload(EMERGENCY_TITLE, sound, "emergency"))
        return programme_id, emergency_id

    async def _own(self, upload: Awaitable[str]) -> str:
        made = await upload
        self._belongings.programmes.append(made)
        self._belongings.keep()
        return made

    async def _watch(self, seconds: float) -> None:
        """Let time pass, and show what happens."""
        began_s = time.monotonic()
        while (passed_s := time.monotonic() - began_s) < seconds:
            self._show.progress(passed_s, seconds, self._crowd.gauges, self._crowd.counts)
            self._crowd.check_alive()
            await asyncio.sleep(min(LOOK_S, seconds - passed_s))
