"""A small city on one machine: a core, and speakers with wrong clocks, some behind bad lines. Real processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from loa.app.api_client import ApiClient, Json
from loa.errors import LoaError

READY_S = 60.0
END_S = 8.0


@dataclass(frozen=True, slots=True)
class BadLine:
    """What `loa impair` does to a speaker's datagrams, each way."""

    delay_ms: float
    jitter_ms: float
    loss: float
    reorder: float

    def arguments(self) -> list[str]:
        """Options of `loa impair`."""
        return [
            f"--delay-ms={self.delay_ms}",
            f"--jitter-ms={self.jitter_ms}",
            f"--loss={self.loss}",
            f"--reorder={self.reorder}",
        ]


@dataclass(frozen=True, slots=True)
class SpeakerPlan:
    """One speaker: its name, its area (an index into the stage's communes), its clock, its line.

    `media`: host:port that it sends its datagrams to instead of the core's; then `line` is not used.
    """

    name: str
    commune: int
    offset_s: int
    rate_ppm: int
    line: BadLine | None = None
    media: str | None = None


class Process:
    """A child process that announces itself with one line on stdout, and whose log goes to a file."""

    def __init__(self, name: str, child: asyncio.subprocess.Process, log: Path) -> None:
        self.name = name
        self.log = log
        self._child = child

    @classmethod
    async def start(cls, name: str, arguments: Sequence[str], folder: Path) -> Process:
        """`python -m loa …` with its log in `folder`."""
        log = folder / f"{name}.log"
        with log.open("ab") as opened:
            child = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "loa",
                *arguments,
                stdout=asyncio.subprocess.PIPE,
                stderr=opened,
                stdin=asyncio.subprocess.DEVNULL,
                start_new_session=True,
                env={k: v for k, v in os.environ.items() if not k.startswith("LOA_")} | {"PYTHONUNBUFFERED": "1"},
            )
        return cls(name, child, log)

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._child.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._child.returncode is None

    async def line(self, beginning: str) -> str:
        """The rest of the first line that begins so; LoaError with the log's end when the process ends first."""
        if self._child.stdout is None:
            raise LoaError(f"{self.name}: its output is not read")
        try:
            async with asyncio.timeout(READY_S):
                while raw := await self._child.stdout.readline():
                    text = raw.decode(errors="replace").strip()
                    if text.startswith(beginning):
                        return text[len(beginning) :].strip()
        except TimeoutError:
            raise LoaError(f"{self.name} did not get ready in {READY_S:.0f} s{self._last_words()}") from None
        raise LoaError(f"{self.name} ended before it was ready{self._last_words()}")

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-12:]
        return ":\n" + "\n".join(lines) if lines else ""

    async def wait(self) -> int:
        """Wait until it has ended by itself; its exit code."""
        return await self._child.wait()

    def kill(self) -> None:
        """kill -9, now."""
        if self.running:
            self._child.kill()

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL for who does not hear it."""
        if self.running:
            self._child.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(self._child.wait(), END_S)
            except TimeoutError:
                self._child.kill()
        # To the end of its output too: only then are its pipes closed.
        await self._child.communicate()


def free_udp_port() -> int:
    """A UDP port of 127.0.0.1 that nobody uses now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Stage:
    """`async with Stage(folder) as stage:` then `open_core`, `build_areas`, `add_speaker`."""

    def __init__(self, folder: Path, core_options: Sequence[str] = (), lead_ms: int = 100) -> None:
        """`lead_ms`: how far ahead the virtual cards ask for their sound; many of them on few cores need more."""
        self.folder = folder
        self._lead_ms = lead_ms
        self.url = ""
        self.media_port = 0
        self.http_port = 0
        self.core: Process | None = None
        self.communes: list[str] = []
        self.city = ""
        self.speakers: dict[str, Process] = {}
        self._folders: dict[str, str] = {}
        self._arguments: dict[str, list[str]] = {}
        self._others: list[Process] = []
        self._lines: dict[BadLine, str] = {}
        self._lines_lock = asyncio.Lock()
        self._core_options = list(core_options)
        self._stack = contextlib.AsyncExitStack()
        self._api: ApiClient | None = None

    async def __aenter__(self) -> Stage:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self

    async def __aexit__(self, *_error: object) -> None:
        await asyncio.gather(*(process.stop() for process in self.speakers.values()))
        if self.core is not None:
            await self.core.stop()
        await asyncio.gather(*(process.stop() for process in self._others))
        await self._stack.aclose()

    @property
    def api(self) -> ApiClient:
        """The public API, with the administrator's token."""
        if self._api is None:
            raise LoaError("the core has not been opened")
        return self._api

    async def open_core(self) -> None:
        """Start the core (again: on the same folder and ports)."""
        self.media_port = self.media_port or free_udp_port()
        data = self.folder / "core"
        self.core = await Process.start(
            "core",
            [
                "serve",
                f"--data-dir={data}",
                f"--http-port={self.http_port}",
                f"--media-port={self.media_port}",
                *self._core_options,
            ],
            self.folder,
        )
        self.url = await self.core.line("loa: ready on ")
        self.http_port = int(self.url.rpartition(":")[2])
        if self._api is None:
            token = (data / "admin.token").read_text(encoding="utf-8").strip()
            self._api = await self._stack.enter_async_context(ApiClient(self.url, token))

    async def build_areas(self, city: str, tree: Sequence[tuple[str, Sequence[str]]]) -> None:
        """A city, its districts, and their communes (gathered in order in `communes`)."""
        self.city = await self.api.create_area(city, "city")
        for district, communes in tree:
            district_id = await self.api.create_area(district, "district", self.city)
            for commune in communes:
                self.communes.append(await self.api.create_area(commune, "commune", district_id))

    async def add_speaker(self, plan: SpeakerPlan) -> None:
        """Enrol and start one speaker, behind `loa impair` when its line is bad."""
        self._folders[plan.name] = f"speaker-{len(self._folders) + 1:02d}"
        key = self._folders[plan.name]
        code = await self.api.enrolment_code(self.communes[plan.commune], plan.name)
        arguments = [
            "speaker",
            f"--core={self.url}",
            f"--state={self.folder / key}",
            f"--code={code}",
            f"--output=wav:{self.folder / (key + '-wav')}",
            f"--lead-ms={self._lead_ms}",
            f"--clock-skew={plan.offset_s}s,{plan.rate_ppm:+d}ppm",
        ]
        if plan.media is not None:
            arguments.append(f"--media={plan.media}")
        elif plan.line is not None:
            arguments.append(f"--media={await self._behind(plan.line)}")
        self._arguments[plan.name] = arguments
        await self.start_speaker(plan.name)

    async def start_speaker(self, name: str) -> None:
        """Switch a speaker on, again perhaps: its state folder is as it left it."""
        self.speakers[name] = await Process.start(self._folders[name], self._arguments[name], self.folder)

    async def _behind(self, line: BadLine) -> str:
        """The address of a `loa impair` for this kind of line; it gives each speaker a fate of its own."""
        async with self._lines_lock:
            if line not in self._lines:
                seed = len(self._lines) + 1
                arguments = ["impair", f"--to=127.0.0.1:{self.media_port}", f"--seed={seed}", *line.arguments()]
                impair = await Process.start(f"impair-{seed}", arguments, self.folder)
                self._others.append(impair)
                self._lines[line] = await impair.line("impair: listening on ")
            return self._lines[line]

    def wav_folder(self, name: str) -> Path:
        """Where a speaker's sound card records to."""
        return self.folder / f"{self._folders[name]}-wav"

    async def endpoints(self) -> list[Json]:
        """All endpoints, as the API shows them."""
        return await self.api.items("/api/v1/endpoints")

    def check_alive(self) -> None:
        """LoaError when a process ended that should run."""
        for process in [*self.speakers.values(), *([self.core] if self.core else []), *self._others]:
            if not process.running:
                raise LoaError(f"{process.name} has ended; its log: {process.log}")
