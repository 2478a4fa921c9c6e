"""Proving who one is: password and code are looked at behind the lock-out, and a code is good once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from loa.broadcast.journal import journal
from loa.broadcast.journal.act import Act
from loa.broadcast.people import totp
from loa.broadcast.people.failure_tally import FailureTally
from loa.broadcast.people.lockout import Attempt, Gate
from loa.broadcast.people.passwords import Passwords, Queue
from loa.broadcast.people.person import Credentials, User
from loa.broadcast.store import users as stored
from loa.broadcast.store.database import Database
from loa.errors import Busy, NotFound, SignInRefused, StoreError
from loa.model import id_text

UNKNOWN = "user:unknown"
"""The subject of failures with login names that nobody has. What was typed is not kept: it may be a password."""

log = structlog.get_logger("loa.people")


@dataclass(frozen=True, slots=True)
class Claim:
    """Who somebody says they are, and with what. `user`, `kept`: what is known of them, if they are known."""

    attempt: Attempt
    user: User | None
    kept: Credentials | None
    password: str = field(repr=False)
    code: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Proved:
    """It is the user; `second_factor` says how it was proved a second time (app, recovery), None if it was not."""

    user: User
    second_factor: str | None


class Proofs:
    """Looks at what people prove themselves with, and counts what fails."""

    def __init__(self, db: Database, passwords: Passwords, gate: Gate) -> None:
        self._db = db
        self._passwords = passwords
        self._gate = gate
        self._tally = FailureTally()

    @asynccontextmanager
    async def proved(self, claim: Claim, act: Act) -> AsyncIterator[tuple[AsyncConnection, Proved]]:
        """The block runs when the claim is proved, in the transaction in which its code is used up.

        SignInRefused, Busy, StoreError. What the block raises undoes it all, and is no failure of the caller's.
        """
        async with self.password(claim, act) as (user, kept):
            if kept.totp_secret is None:
                async with self._db.write() as connection:
                    user, _ = await as_proved(connection, user, kept)
                    yield connection, Proved(user, None)
                return
            if not claim.code:
                raise SignInRefused("second-factor", "a code is needed: the app's, or a recovery code")
            async with self._code(claim, act), self._db.write() as connection:
                user, kept = await as_proved(connection, user, kept)
                how = await _use_code(connection, user, kept, claim.code, act.now_ms)
                yield connection, Proved(user, how)

    @asynccontextmanager
    async def password(self, claim: Claim, act: Act) -> AsyncIterator[tuple[User, Credentials]]:
        """The block runs when the password is the user's, and in time. See `proved`."""
        attempt = claim.attempt
        said = await self._gate.begin(attempt, act.now_ms)
        if isinstance(said, int):
            raise _locked(said)
        opens = None if claim.user is None or claim.kept is None or not claim.user.active else claim.kept.password
        known = attempt.device is not None or attempt.known_address
        try:
            right = await self._passwords.verify(opens, claim.password, Queue.KNOWN if known else Queue.STRANGERS)
        except Busy:
            await self._gate.undecided(said)
            raise
        if not right or claim.user is None or claim.kept is None:
            await self._failed(claim.user, act)
            raise SignInRefused("wrong", "the login name or the password is wrong")
        try:
            expires_ms = claim.kept.password_expires_ms
            if expires_ms is not None and act.now_ms > expires_ms:
                raise SignInRefused("expired", "this one-time password is too old: ask for a new one")
            yield claim.user, claim.kept
        except BaseException as error:
            if isinstance(error, SignInRefused) and error.slug == "code":
                await self._failed(claim.user, act)
            else:
                await self._gate.undecided(said)
            raise
        await self._gate.succeeded(said)

    @asynccontextmanager
    async def _code(self, claim: Claim, act: Act) -> AsyncIterator[None]:
        said = await self._gate.begin_code(claim.attempt, act.now_ms)
        if isinstance(said, int):
            raise _locked(said)
        try:
            yield
        except BaseException as error:
            if not (isinstance(error, SignInRefused) and error.slug == "code"):
                await self._gate.undecided(said)
            raise
        await self._gate.succeeded(said)

    async def _failed(self, user: User | None, act: Act) -> None:
        subject = UNKNOWN if user is None else _subject(user)
        if count := self._tally.failed(subject, act.now_ms):
            await self._tell(act, subject, count)

    async def _tell(self, act: Act, subject: str, count: int) -> None:
        try:
            async with self._db.write() as connection:
                await journal.record(connection, act, "session.refuse", subject, after={"failures": count})
        except StoreError as error:
            log.error("failed sign-ins cannot be written down", subject=subject, failures=count, error=str(error))

    def untold_failures(self, user: User) -> int:
        """The failures before a success that no entry tells of."""
        return self._tally.untold(_subject(user))

    def told_failures(self, user: User) -> None:
        """The entry of a success tells of them now."""
        self._tally.forget(_subject(user))

    async def tell_failures(self, act: Act) -> None:
        """Write down what was counted and not yet told."""
        for subject, count in self._tally.due(act.now_ms):
            await self._tell(act, subject, count)


async def as_proved(connection: AsyncConnection, user: User, kept: Credentials) -> tuple[User, Credentials]:
    """The user as they are in this transaction; SignInRefused unless what was proved is still what proves it."""
    try:
        now, kept_now = await stored.get(connection, user.id), await stored.credentials(connection, user.id)
    except NotFound:
        raise _changed() from None
    same = (kept_now.password, kept_now.totp_secret) == (kept.password, kept.totp_secret)
    if not now.active or not same:
        raise _changed()
    return now, kept_now


async def _use_code(connection: AsyncConnection, user: User, kept: Credentials, code: str, now_ms: int) -> str:
    assert kept.totp_secret is not None
    counter = totp.matching_counter(kept.totp_secret, code, now_ms, kept.totp_counter)
    if counter is not None and await stored.use_counter(connection, user.id, counter):
        return "app"
    if await stored.use_recovery_code(connection, user.id, totp.recovery_hash(user.id, code)):
        return "recovery"
    raise SignInRefused("code", "this code is wrong, or was used")


def _subject(user: User) -> str:
    return f"user:{id_text(user.id)}"


def _locked(wait_ms: int) -> SignInRefused:
    return SignInRefused("locked", "too many wrong passwords or codes: try again later", wait_ms)


def _changed() -> SignInRefused:
    return SignInRefused("wrong", "the account was changed meanwhile: sign in again")
