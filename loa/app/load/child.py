"""A generating process: `python -m loa.app.load.child`, commands on its input, events on its output, JSON lines.

It ends with its input: whoever started it may be killed at any time, and nothing stays behind.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import signal
import sys
from typing import Any

from loa.app.load.enrolling import claim_all
from loa.app.load.generator import Generator, Task
from loa.app.load.identities import Enrolled
from loa.app.load.plan import MAX_LINE_BYTES, LoadPlan
from loa.app.logs import log_to_stderr
from loa.app.open_files import raise_file_limit
from loa.codecs.enrolment_wire import from_base64
from loa.errors import LoaError

PROGRESS_S = 0.5
_PR_SET_PDEATHSIG = 1


def say(event: str, **fields: Any) -> None:
    """Tell the parent."""
    sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")
    sys.stdout.flush()


class Child:
    """Obeys commands until there are no more."""

    def __init__(self) -> None:
        self._generator: Generator | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """From the first command to the last."""
        reader = asyncio.StreamReader(limit=MAX_LINE_BYTES)
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        try:
            while line := await reader.readline():
                await self._obey(json.loads(line))
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _obey(self, command: dict[str, Any]) -> None:
        generator = self._generator
        match command["do"]:
            case "claim":
                self._start(self._claim(command["core"], command["codes"], command["at_once"]))
            case "start":
                made = self._generator = Generator(_task(command))
                self._start(made.run())
                self._start(self._tell_progress(made))
                say("started")
            case "join" if generator is not None:
                generator.join_all()
            case "mark" if generator is not None:
                generator.mark()
            case "churn" if generator is not None:
                generator.churn_per_s = float(command["per_s"])
            case "report" if generator is not None:
                say("report", tally=generator.report())
            case "leave" if generator is not None:
                await generator.leave_all()
                say("left")

    def _start(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, work: Any) -> None:
        """What goes wrong ends the process, and the parent hears why."""
        try:
            await work
        except LoaError as error:
            say("failed", error=str(error))
        except Exception as error:
            say("failed", error=f"{type(error).__name__}: {error}")
            raise

    async def _claim(self, core_url: str, codes: list[tuple[int, str, str]], at_once: int) -> None:
        async for enrolled, root_key, key_list in claim_all(core_url, codes, at_once):
            say("claimed", endpoint=enrolled.to_json(), root=root_key.hex(), key_list=key_list.hex())
        say("claims_done")

    async def _tell_progress(self, generator: Generator) -> None:
        while True:
            await asyncio.sleep(PROGRESS_S)
            counts = generator.tally.counts
            say(
                "progress",
                gauges=generator.gauges(),
                counts={name: count for name, count in counts.items() if not name.startswith("sample_")},
            )


def _task(command: dict[str, Any]) -> Task:
    return Task(
        core_url=command["core"],
        plan=LoadPlan(**command["plan"]),
        at_once=command["at_once"],
        root_key=from_base64(command["root"]),
        key_list=from_base64(command["key_list"]),
        endpoints=[Enrolled.from_json(each) for each in command["endpoints"]],
        sampled=command["sampled"],
    )


def main() -> None:
    """The process."""
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        return  # it was killed before it could be followed
    # Ctrl-C is for the parent, which asks for a last report.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise_file_limit()
    log_to_stderr("error", "json")
    try:
        import uvloop
    except ImportError:  # the core's speed-up; a box without the core has asyncio's own loop
        asyncio.run(Child().run())
    else:
        uvloop.run(Child().run())


if __name__ == "__main__":
    main()
