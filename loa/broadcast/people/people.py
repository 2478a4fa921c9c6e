"""The people of one core: everything that this package does, made fit for each other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from loa.broadcast.journal.act import system
from loa.broadcast.people.lockout import Gate, LocalGate
from loa.broadcast.people.own_account import OwnAccount
from loa.broadcast.people.passwords import Passwords
from loa.broadcast.people.proof import Proofs
from loa.broadcast.people.sessions import Lifetime, Sessions
from loa.broadcast.people.sign_in import SignIn
from loa.broadcast.people.users import Users
from loa.broadcast.store.database import Database
from loa.errors import StoreError

TIDY_S = 60.0

log = structlog.get_logger("loa.people")


class People:
    """Users, their sessions and how they sign in. Close it when it is done with."""

    def __init__(
        self,
        db: Database,
        lifetime: Lifetime,
        *,
        gate: Gate | None = None,
        passwords: Passwords | None = None,
    ) -> None:
        self._passwords = passwords or Passwords()
        self._proofs = Proofs(db, self._passwords, gate or LocalGate())
        self.users = Users(db, self._passwords)
        self.sessions = Sessions(db, lifetime)
        self.sign_in = SignIn(db, self._passwords, self._proofs, self.sessions)
        self.own = OwnAccount(db, self._passwords, self._proofs, self.sessions)

    async def tidy(self, now_ms: int) -> None:
        """Write down the failures that were counted, and forget what time has ended; StoreError."""
        await self._proofs.tell_failures(system(now_ms))
        await self.sessions.remove_old(now_ms)
        await self.sign_in.remove_old_devices(now_ms)

    async def keep_tidy(self, now_ms: Callable[[], int]) -> None:
        """Tidy from time to time, for ever."""
        while True:
            await asyncio.sleep(TIDY_S)
            try:
                await self.tidy(now_ms())
            except StoreError as error:
                log.error("what time has ended cannot be forgotten", error=str(error))

    def close(self) -> None:
        """End the threads."""
        self._passwords.close()
