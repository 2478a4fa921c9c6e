"""A core as a process, with a store in which thousands of endpoints stand before it starts."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.processor import cpu_s
from loa.app.api_client import ApiClient
from loa.app.load import core_metrics
from loa.app.load.identities import Enrolled
from loa.broadcast.journal.act import system
from loa.broadcast.records import Endpoint
from loa.broadcast.registry.areas import Areas
from loa.broadcast.store import endpoints as stored
from loa.broadcast.store.address import sqlite_address
from loa.broadcast.store.database import Database
from loa.codecs.signed import SigningKey
from loa.codecs.statement_wire import Placement
from loa.model import EndpointKind, id_text
from tests.certificates import Authority

MEDIA_COUNTERS_S = 6.0
"""A core asks its media process every five seconds."""


def endpoint_id(number: int) -> bytes:
    """The id of endpoint `number`."""
    return b"endpoint" + number.to_bytes(8, "big")


def device_key(number: int) -> SigningKey:
    """Its key."""
    return SigningKey(hashlib.sha256(endpoint_id(number)).digest())


def enrolled(number: int) -> Enrolled:
    """Who it is to a load generator. It has signed its own placement: the core tells it the true one."""
    placement = Placement(endpoint_id(number), 0, ()).seal(device_key(number))
    return Enrolled(number, f"Cụm loa {number}", endpoint_id(number), device_key(number).seed, placement)


class Child:
    """A process of Python that is spoken to by lines, and ended with the stack."""

    def __init__(self, stack: ExitStack, arguments: list[str], folder: Path, **environment: str) -> None:
        log = stack.enter_context((folder / f"{arguments[1]}-{time.monotonic_ns()}.log").open("w"))
        self._process = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=os.environ | environment,
        )
        stack.callback(self.end)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def end(self) -> None:
        """End it, if it runs."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.communicate(timeout=20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.communicate()

    def line(self) -> str:
        """The next line that it says; RuntimeError when it has ended."""
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        if not said:
            raise RuntimeError(f"a process of the benchmark has ended: {self._process.args!r}")
        return said.strip()

    def tell(self, **what: object) -> None:
        """Tell it something."""
        self.tell_line(json.dumps(what))

    def tell_line(self, line: str) -> None:
        """Tell it a line."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def ask(self, **what: object) -> Any:
        """Tell it something, and what it answers."""
        self.tell(**what)
        return json.loads(self.line())

    def rss_bytes(self) -> int:
        """The memory it has."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return 1024 * int(re.findall(r"VmRSS:\s+(\d+)", status)[0])

    def cpu_s(self) -> float:
        """The processor time it has used."""
        return cpu_s(self.pid)


class City:
    """A core with `count` endpoints in one commune."""

    def __init__(self, stack: ExitStack, folder: Path, count: int, *, tls: bool = False) -> None:
        self.folder = folder / "core"
        self.folder.mkdir(mode=0o700, parents=True)
        self.count = count
        self.area = id_text(asyncio.run(_populate(self.folder, count)))
        environment = {"LOA_API_REQUESTS_PER_S": "100000", "LOA_API_BURST": "1000000"}
        if tls:
            cert, key = Authority(folder).issue("core")
            environment |= {"LOA_TLS_CERT": str(cert), "LOA_TLS_KEY": str(key)}
        arguments = [
            "-m",
            "loa",
            "serve",
            "--data-dir",
            str(self.folder),
            "--http-port",
            "0",
            "--media-port",
            "0",
        ]
        self.core = Child(stack, arguments, folder, **environment)
        while not (found := re.findall(r"https?://\S+", self.core.line())):
            continue
        self.url = found[0]
        self.token = (self.folder / "admin.token").read_text().strip()

    def connect(self, crowd: Child, count: int | None = None, **how: object) -> Any:
        """Let the first `count` endpoints, or all, of a `benchmarks.link_crowd` come; what that says of it."""
        return crowd.ask(
            do="connect",
            url=self.url,
            core=str(self.folder),
            endpoints=self.count,
            count=self.count if count is None else count,
            **how,
        )


async def media_counters(api: ApiClient) -> dict[str, float]:
    """What the media process has counted, as the core shows it, which has asked it since this was called."""
    await asyncio.sleep(MEDIA_COUNTERS_S)
    prefix = "loa_media_"
    return {
        name.removeprefix(prefix).removesuffix("_total"): value
        for name, value in (await core_metrics.read(api)).items()
        if name.startswith(prefix)
    }


async def _populate(folder: Path, count: int) -> bytes:
    db = await Database.open(sqlite_address(folder / "loa.sqlite"))
    try:
        now_ms = time.time_ns() // 1_000_000
        areas = Areas(db)
        city = await areas.create(None, "Thành phố thử", "city", None, system(now_ms))
        commune = await areas.create(city.id, "Phường thử", "commune", None, system(now_ms))
        async with db.write() as connection:
            for number in range(count):
                key = device_key(number).public_key
                made = Endpoint(
                    endpoint_id(number), EndpointKind.SPEAKER, f"Cụm loa {number}", commune.id, key, now_ms, None, 1
                )
                await stored.insert(connection, made)
        return commune.id
    finally:
        await db.close()
