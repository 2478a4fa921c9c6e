"""Telling the service manager how it goes: sd_notify(3), one datagram a message.

    READY=1  STOPPING=1  STATUS=one line for people  WATCHDOG=1

Without NOTIFY_SOCKET nobody asks, and nothing is sent. Whoever cannot be told keeps no broadcast from going on:
what was not taken waits, of each kind the latest, and is sent before what comes next.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, MutableMapping
from contextlib import asynccontextmanager

import structlog

MAX_STATUS_CHARS = 200
PERIOD_S = 1.0
"""How often the status is looked at."""
_NS_PER_S = 1_000_000_000

log = structlog.get_logger("loa.service")


class ServiceManager:
    """The other end of NOTIFY_SOCKET, or nobody."""

    def __init__(self, address: str = "", watchdog_s: float | None = None) -> None:
        """`address`: a path, or "@" and an abstract name; "" for nobody. `watchdog_s`: when it loses patience."""
        self.watchdog_s = watchdog_s
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket: socket.socket | None = None
        self._told_of_failure = False
        self._waiting: dict[str, str] = {}  # by kind: what comes before the "="

    @classmethod
    def take(cls, environment: MutableMapping[str, str]) -> ServiceManager:
        """What the environment says, taken out of it: the message is ours, and no child's.

        A value that cannot be is a warning, and then nobody is told.
        """
        address = environment.pop("NOTIFY_SOCKET", "")
        period_us, owner = environment.pop("WATCHDOG_USEC", ""), environment.pop("WATCHDOG_PID", "")
        if not address:
            return cls()
        if not address.startswith(("/", "@")) or len(address) < 2:
            log.warning("NOTIFY_SOCKET is neither a path nor an abstract name; no service manager is told")
            return cls()
        return cls(address, _watchdog_s(period_us, owner))

    def __enter__(self) -> ServiceManager:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def ready(self) -> None:
        """It serves."""
        self._send("READY=1")

    def stopping(self) -> None:
        """It goes down."""
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        """What `systemctl status` shows."""
        self._send("STATUS=" + " ".join(text.split())[:MAX_STATUS_CHARS])

    def alive(self) -> None:
        """A beat of the watchdog."""
        self._send("WATCHDOG=1")

    @property
    def waiting(self) -> tuple[str, ...]:
        """What has not been taken yet."""
        return tuple(self._waiting.values())

    def again(self) -> None:
        """Try to send what waits."""
        try:
            for kind, message in list(self._waiting.items()):
                if self._socket is None:
                    self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
                    self._socket.setblocking(False)
                self._socket.sendto(message.encode(), self._address)
                del self._waiting[kind]
                self._told_of_failure = False
        except OSError as error:
            self._waiting.pop("WATCHDOG", None)  # a beat is true now, and perhaps not later
            if not self._told_of_failure:
                log.warning("the service manager cannot be told", error=error.strerror or str(error))
                self._told_of_failure = True

    def _send(self, message: str) -> None:
        if self._address:
            kind = message.partition("=")[0]
            self._waiting.pop(kind, None)
            self._waiting[kind] = message
            self.again()


class Teller:
    """What is to be told when: a changed status, and beats at half of the watchdog's patience. Knows no clock."""

    def __init__(self, manager: ServiceManager) -> None:
        self._manager = manager
        self._status = ""
        self._beat_due_ns: int | None = None

    def tell(self, now_ns: int, status: str, alive: bool) -> None:
        """Tell what is due. While it is not `alive` there is no beat."""
        self._manager.again()
        if status != self._status:
            self._status = status
            self._manager.status(status)
        if self._manager.watchdog_s is None or not alive:
            return
        if self._beat_due_ns is None or now_ns >= self._beat_due_ns:
            self._manager.alive()
            self._beat_due_ns = now_ns + int(self._manager.watchdog_s * _NS_PER_S / 2)


@asynccontextmanager
async def telling(
    manager: ServiceManager, status: Callable[[], str], alive: Callable[[], bool]
) -> AsyncIterator[None]:
    """Inside, the manager is told. That it is told shows that the event loop runs; `alive` speaks for the rest."""
    task = asyncio.create_task(_tell(manager, status, alive))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait((task,))


async def _tell(manager: ServiceManager, status: Callable[[], str], alive: Callable[[], bool]) -> None:
    teller = Teller(manager)
    period_s = PERIOD_S if manager.watchdog_s is None else min(PERIOD_S, manager.watchdog_s / 8)
    while True:
        teller.tell(time.monotonic_ns(), status(), alive())
        await asyncio.sleep(period_s)


def _watchdog_s(period_us: str, owner: str) -> float | None:
    """The watchdog's patience in seconds; None when there is none, or when it watches another process."""
    if not period_us:
        return None
    if not _is_count(period_us) or (owner and not _is_count(owner)):
        log.warning(
            "WATCHDOG_USEC and WATCHDOG_PID must be whole numbers above 0; the watchdog gets no beats",
            watchdog_usec=period_us[:32],
            watchdog_pid=owner[:32],
        )
        return None
    if owner and int(owner) != os.getpid():
        return None
    return int(period_us) / 1_000_000


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 18 and int(text) > 0
