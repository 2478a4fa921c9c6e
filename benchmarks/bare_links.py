"""A bare aiohttp WebSocket server under uvloop: what a link costs before anything is Loa's.

Prints its address. A line on its input, a number of seconds: send each socket a message every 20 ms for so long.
"""

from __future__ import annotations

import asyncio
import sys
import time

import uvloop
from aiohttp import web

SUBPROTOCOL = "loa.link.v1"
PERIOD_S = 0.02
MESSAGE_BYTES = 200


async def _run() -> None:
    sockets: set[web.WebSocketResponse] = set()

    async def serve(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=(SUBPROTOCOL,), compress=False)
        await socket.prepare(request)
        sockets.add(socket)
        async for _ in socket:
            pass
        sockets.discard(socket)
        return socket

    app = web.Application()
    app.router.add_get("/link", serve)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=4096).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        began_s = loop.time()
        for turn in range(round(float(line) / PERIOD_S)):
            due_s = began_s + turn * PERIOD_S
            await asyncio.sleep(max(0.0, due_s - loop.time()))
            due_ns = time.monotonic_ns() + round(1e9 * (due_s - loop.time()))
            message = due_ns.to_bytes(8, "big") + bytes(MESSAGE_BYTES - 8)
            for socket in sockets:
                await socket.send_bytes(message)


if __name__ == "__main__":
    uvloop.run(_run())
