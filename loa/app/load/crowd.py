"""Many endpoints from few processes, as whoever starts them holds them.

async with Crowd("http://127.0.0.1:8080", LoadPlan(10_000, processes=2), Path("state")) as crowd:
    await crowd.enrol(api, area_id)
    await crowd.join()
    …
    tally = await crowd.report()
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from loa.app.api_client import ApiClient
from loa.app.load.enrolling import CLAIMS_AT_ONCE, make_codes, name_of
from loa.app.load.identities import Enrolled, Register
from loa.app.load.plan import MAX_LINE_BYTES, LoadPlan, files_needed, shares
from loa.app.load.sink_sockets import SHARED_BY
from loa.app.load.tally import Tally
from loa.app.open_files import raise_file_limit
from loa.codecs.enrolment_wire import to_base64
from loa.errors import ConfigError, LoaError

START_S = 60.0
ANSWER_S = 60.0
END_S = 5.0
CLAIM_S = 900.0

Told = Callable[[Counter[str], Counter[str]], None]
"""Hears how things stand (gauges) and what was counted, of all processes together."""


class _Child:
    """One generating process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.gauges: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        self.answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.claimed: list[tuple[Enrolled, bytes, bytes]] = []
        self.reader = asyncio.create_task(self._read())

    async def command(self, **command: Any) -> None:
        """Send a command."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(command).encode() + b"\n")
            await self.process.stdin.drain()
        except ConnectionError as error:
            raise LoaError("a generating process has ended") from error

    async def answer(self, event: str, timeout_s: float) -> dict[str, Any]:
        """The next event that is no progress; LoaError when it is another, or none comes."""
        try:
            async with asyncio.timeout(timeout_s):
                told = await self.answers.get()
        except TimeoutError:
            raise LoaError(f"a generating process did not answer in {timeout_s:.0f} s") from None
        if told["event"] != event:
            raise LoaError(f"a generating process: {told.get('error', told['event'])}")
        return told

    async def _read(self) -> None:
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            told = json.loads(line)
            if told["event"] == "progress":
                self.gauges, self.counts = Counter(told["gauges"]), Counter(told["counts"])
            elif told["event"] == "claimed":
                enrolled = Enrolled.from_json(told["endpoint"])
                self.claimed.append((enrolled, bytes.fromhex(told["root"]), bytes.fromhex(told["key_list"])))
            else:
                await self.answers.put(told)
        await self.answers.put({"event": "ended", "error": "it has ended"})

    async def end(self) -> None:
        """End it; nothing stays behind."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            async with asyncio.timeout(END_S):
                await self.process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()
        self.reader.cancel()
        await asyncio.gather(self.reader, return_exceptions=True)


class Crowd:
    """The endpoints of a load run."""

    def __init__(self, core_url: str, plan: LoadPlan, state: Path) -> None:
        """`state`: a folder of mode 0700 that keeps who they are. ConfigError when this machine cannot hold them,
        and for a state folder that is damaged or open to others."""
        self.core_url = core_url
        self.plan = plan
        self.register = Register(state)
        self.shares = shares(plan)
        self._children: list[_Child] = []
        self._started = False
        self._require_files()

    async def __aenter__(self) -> Self:
        try:
            for _ in self.shares:
                self._children.append(_Child(await _spawn()))
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_error: object) -> None:
        await asyncio.gather(*(child.end() for child in self._children))
        self._children.clear()

    @property
    def gauges(self) -> Counter[str]:
        """How things stand in all processes, at most a second ago."""
        return sum((child.gauges for child in self._children), Counter())

    @property
    def counts(self) -> Counter[str]:
        """What all processes have counted, at most a second ago."""
        return sum((child.counts for child in self._children), Counter())

    @property
    def pids(self) -> list[int]:
        """The generating processes."""
        return [child.process.pid for child in self._children]

    async def enrol(
        self, api: ApiClient, area_id: str, told: Callable[[int, int], object] = lambda done, wanted: None
    ) -> int:
        """Enrol those who are not yet; how many that were. `told` hears how many are done, of how many.

        ApiError; LoaError when a claim is refused. What was enrolled until then is kept.
        """
        missing = [n for share in self.shares for n in share.numbers if n not in self.register.endpoints]
        if not missing:
            return 0
        names = {name_of(self.register.tag, number): number for number in missing}
        told(0, len(missing))
        codes = await make_codes(api, area_id, names)
        if len(codes) < len(missing):
            raise LoaError(f"the core gave {len(codes)} codes for {len(missing)} endpoints")
        claiming = self._children[:CLAIMS_AT_ONCE]
        at_once = CLAIMS_AT_ONCE // len(claiming)
        for at, child in enumerate(claiming):
            mine = codes[at :: len(claiming)]
            await child.command(do="claim", core=self.core_url, codes=mine, at_once=at_once)
        waiting = [asyncio.create_task(child.answer("claims_done", CLAIM_S)) for child in claiming]
        try:
            pending = set(waiting)
            while pending:
                _, pending = await asyncio.wait(pending, timeout=0.25, return_when=asyncio.FIRST_EXCEPTION)
                self._write_claimed()
                told(sum(number in self.register.endpoints for number in missing), len(missing))
                for each in waiting:
                    if each.done():
                        each.result()
        finally:
            for each in waiting:
                each.cancel()
            self._write_claimed()
        return len(missing)

    async def start(self) -> None:
        """Give each process its endpoints; they do not come yet. LoaError."""
        for child, share in zip(self._children, self.shares, strict=True):
            await child.command(
                do="start",
                core=self.core_url,
                plan=self.plan.to_json(),
                at_once=share.at_once,
                root=to_base64(self.register.root_key),
                key_list=to_base64(self.register.key_list),
                endpoints=[self.register.endpoints[number].to_json() for number in share.numbers],
                sampled=share.sampled,
            )
        for child in self._children:
            await child.answer("started", START_S)
        self._started = True

    async def join(
        self, timeout_s: float, told: Told = lambda gauges, counts: None, *, share: float = 1.0
    ) -> float:
        """Let all come, and wait until `share` of them are linked and bound; how long that took, s.

        LoaError, with what was counted, when they have not come in time.
        """
        await self.start()
        began_s = time.monotonic()
        for child in self._children:
            await child.command(do="join")
        wanted = self.plan.endpoints * share
        while True:
            gauges, counts = self.gauges, self.counts
            told(gauges, counts)
            took_s = time.monotonic() - began_s
            if gauges["bound"] >= wanted:
                return took_s
            if took_s > timeout_s:
                why = ", ".join(f"{name}: {n}" for name, n in counts.most_common() if ": " in name)
                raise LoaError(
                    f"{gauges['bound']:,} of {self.plan.endpoints:,} endpoints came in {took_s:.0f} s"
                    + (f" ({why})" if why else "")
                )
            self.check_alive()
            await asyncio.sleep(0.1)

    async def mark(self) -> None:
        """What is measured begins now: whether the generating processes kept up before does not count."""
        for child in self._children:
            await child.command(do="mark")

    async def churn(self, per_s: float) -> None:
        """From now on so many a second leave, and come back a little later. The sample stays."""
        deaf = sum(len(share.numbers) for share in self.shares if not share.sampled)
        for child, share in zip(self._children, self.shares, strict=True):
            if not share.sampled:
                await child.command(do="churn", per_s=per_s * len(share.numbers) / deaf)

    async def report(self) -> Tally:
        """All that was counted until now; nothing before `start`."""
        whole = Tally()
        if not self._started:
            return whole
        for child in self._children:
            await child.command(do="report")
        for at, child in enumerate(self._children):
            tally = Tally.from_json((await child.answer("report", ANSWER_S))["tally"])
            tally.gauges[f"cpu_ms_of_process_{at}"] = tally.gauges["cpu_ms"]
            whole.merge(tally)
        return whole

    async def leave(self) -> None:
        """All who came say goodbye."""
        if not self._started:
            return
        for child in self._children:
            await child.command(do="leave")
        for child in self._children:
            await child.answer("left", ANSWER_S)

    def check_alive(self) -> None:
        """LoaError when a process has ended or failed."""
        for child in self._children:
            if not child.answers.empty():
                told = child.answers.get_nowait()
                raise LoaError(f"a generating process: {told.get('error', told['event'])}")

    def _write_claimed(self) -> None:
        for child in self._children:
            claimed, child.claimed = child.claimed, []
            if claimed:
                self.register.add(claimed[0][1], claimed[0][2], [each[0] for each in claimed])

    def _require_files(self) -> None:
        have = raise_file_limit()
        need = max(files_needed(share, shared_by=SHARED_BY) for share in self.shares)
        if need > have:
            raise ConfigError(
                f"mỗi tiến trình cần {need} tệp mở, máy này cho {have}: tăng --processes hoặc ulimit -n · "
                f"each process needs {need} open files, and may have {have}: raise --processes or ulimit -n"
            )


async def _spawn() -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "loa.app.load.child",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=MAX_LINE_BYTES,
        env=dict(os.environ),
    )
