"""A core as a service: from its start to the signal that ends it, with the service manager told of both."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from loa.app.api_process import ApiProcess
from loa.app.core import Core
from loa.app.old_objects import set_aside
from loa.app.open_files import raise_file_limit
from loa.app.sd_notify import ServiceManager, telling
from loa.app.serving import ServingProcess
from loa.config import CoreConfig
from loa.errors import StoreError

EXIT_ON_THE_SPOT = 130
SWITCH_INTERVAL_S = 0.0005
"""How long a thread of the store waits for a busy event loop to yield the interpreter: twice for each statement."""

log = structlog.get_logger("loa.service")


class _Signals:
    """SIGTERM and SIGINT, which mean the same."""

    def __init__(self) -> None:
        self._came = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._came.set)

    async def or_done(self, work: Coroutine[Any, Any, object]) -> asyncio.Task[object]:
        """Begin this work; return when it is done or a signal has come."""
        task, signalled = asyncio.create_task(work), asyncio.create_task(self._came.wait())
        await asyncio.wait((task, signalled), return_when=asyncio.FIRST_COMPLETED)
        signalled.cancel()
        if not task.done():
            self._came.clear()
        return task


async def run_core(config: CoreConfig, announce: Callable[[str], None]) -> None:
    """Run a core, or an api process, until SIGTERM or SIGINT, which end a start that takes long too.

    SIGHUP: look at the keys now. A core that was replaced by another ends too.

    The first signal begins `Core.drain`, a second one cuts that short. One that comes when it closes ends the
    process on the spot: the sound ends with it, and the next start tells what was on air as failed. `announce` gets
    one line when the core is ready, and at the first start of all one with the administrator's password. LoaError
    when it cannot start.
    """
    raise_file_limit()  # each link and each listener is one
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    signals = _Signals()
    core: ServingProcess = ApiProcess(config) if config.role == "api" else Core(config)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, core.look_at_keys)
    with set_aside(), ServiceManager.take(os.environ) as manager:
        opening = await signals.or_done(core.__aenter__())
        if not opening.done():
            opening.cancel()
            await asyncio.gather(opening, return_exceptions=True)
            return
        await opening
        async with telling(manager, core.status, lambda: core.alive):
            try:
                announce(f"loa: ready on {core.url}")
                manager.ready()
                await _welcome(core, announce)
                await _cancel(await signals.or_done(core.replaced.wait()))
                log.info("stopping")
                manager.stopping()
                await _cancel(await signals.or_done(core.drain()))
            finally:
                closing = await signals.or_done(core.__aexit__())
                if not closing.done():
                    log.error("ended on the spot")
                    os._exit(EXIT_ON_THE_SPOT)
                await closing


async def _cancel(task: asyncio.Task[Any]) -> None:
    """End a task, unless it has ended by itself; its error is raised, its being cancelled is not."""
    task.cancel()
    await asyncio.wait((task,))
    if not task.cancelled():
        task.result()


async def _welcome(core: ServingProcess, announce: Callable[[str], None]) -> None:
    def show(login: str, password: str) -> None:
        announce(
            f"loa: tài khoản quản trị: {login}, mật khẩu dùng một lần: {password} (chỉ hiện một lần)"
            f" · administrator: {login}, one-time password: {password} (shown once)"
        )

    try:
        await core.welcome(show)
    except StoreError as error:
        # The voice does not wait for it: the next start shows another password.
        log.error("the first administrator cannot be made", error=str(error))
