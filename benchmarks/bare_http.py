"""The limit for one request: an aiohttp handler that answers JSON, on uvloop.

`python -m benchmarks.bare_http` prints its address, and ends with its input. `BODY` in the environment is what
it answers.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys

import uvloop
from aiohttp import web


async def _run() -> None:
    shown = json.loads(os.environ["BODY"])

    async def handler(_request: web.Request) -> web.Response:
        return web.json_response(shown)

    app = web.Application()
    app.router.add_get("/device/{id}", handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    uvloop.run(_run())
