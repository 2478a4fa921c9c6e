"""A running core keeps its keys: takes up what a ceremony changes in their folder, and renews the list in time."""

from __future__ import annotations

import asyncio
import contextlib

import structlog

from loa.broadcast.air.director import Director
from loa.broadcast.air.hub import Hub
from loa.broadcast.orders.keyring import KeyRing
from loa.codecs.authority import KeyList
from loa.errors import ConfigError, FolderBusy, MediaError, StoreError
from loa.timing.clock import Clock

WATCH_S = 5.0
REMIND_S = 3600.0
"""The same trouble is told once, and again so often as long as it lasts."""

log = structlog.get_logger("loa.keys")


class KeyKeeper:
    """`run` looks at the folder again and again, at once after `look`."""

    def __init__(self, keyring: KeyRing, hub: Hub, director: Director, clock: Clock) -> None:
        self._keyring = keyring
        self._hub = hub
        self._director = director
        self._clock = clock
        self._asked = asyncio.Event()
        self._said = ""
        self._said_s = 0.0

    def look(self) -> None:
        """A ceremony has changed the keys: take them up now."""
        self._asked.set()

    async def run(self) -> None:
        """Look for as long as the core runs."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(WATCH_S):
                    await self._asked.wait()
            self._asked.clear()
            before = self._keyring.key_list
            try:
                if self._keyring.refresh(self._clock.utc_ns() // 1_000_000_000):
                    self._changed(before)
                # At every look: one that was just being issued may have been signed by the old key.
                await self._director.order_anew(self._keyring.key_list.revoked)
            except FolderBusy:
                continue  # a ceremony goes on; what comes of it is there at the next look
            except (ConfigError, MediaError, StoreError) as error:
                self._complain(str(error))

    def _changed(self, before: KeyList) -> None:
        """Other keys are in force: the list goes to everybody before anything that the new key signs."""
        keyring = self._keyring
        self._hub.tell_all(keyring.key_list_envelope)
        revoked = set(keyring.key_list.revoked) - set(before.revoked)
        log.info(
            "the keys in force are others now",
            version=keyring.key_list.version,
            order_key=keyring.order_key.key_id.hex(),
            revoked=[key_id.hex() for key_id in sorted(revoked)],
        )
        if revoked:
            self._hub.renew_secret()

    def _complain(self, trouble: str) -> None:
        now_s = self._clock.monotonic_ns() / 1e9
        if trouble != self._said or now_s - self._said_s >= REMIND_S:
            self._said, self._said_s = trouble, now_s
            log.error("the keys cannot be kept", error=trouble)
