"""Many enrolled endpoints in one process: real links, bound addresses, and a kernel that drops their sound.

`python -m benchmarks.crowd URL FOLDER`, a code a line on its input, prints "ready" when all are bound, and lives
until its input ends.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path

from benchmarks.drop import drop_all
from loa.codecs import channel_wire
from loa.codecs.channel_wire import Type
from tests.e2e.listener import Listener

AT_ONCE = 8
KEEPALIVE_S = 5.0


class Sink(Listener):
    """An endpoint whose address is bound, and which hears nothing more."""

    def deafen(self) -> None:
        """From now on the kernel drops what comes; the link stays."""
        assert self._transport is not None
        bare: socket.socket = self._transport.get_extra_info("socket")
        drop_all(bare)

    async def stay(self) -> None:
        """Keep the address bound."""
        while True:
            await asyncio.sleep(KEEPALIVE_S)
            self.send(Type.KEEPALIVE, channel_wire.padded(b""))


async def _run(url: str, folder: Path) -> None:
    loop = asyncio.get_running_loop()
    codes = [line.strip() for line in iter(sys.stdin.readline, "\n")]
    gate = asyncio.Semaphore(AT_ONCE)

    async def join(number: int, code: str) -> Sink:
        async with gate:
            sink = await Sink(folder / str(number), {}).__aenter__()
            await sink.enrol(url, code)
            await sink.connect(url)
            sink.deafen()
            return sink

    sinks = await asyncio.gather(*(join(number, code) for number, code in enumerate(codes)))
    staying = [asyncio.create_task(sink.stay()) for sink in sinks]
    print("ready", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    for task in staying:
        task.cancel()
    await asyncio.gather(*(sink.__aexit__() for sink in sinks))


if __name__ == "__main__":
    asyncio.run(_run(sys.argv[1], Path(sys.argv[2])))
