"""Signing in: login name, password and, where an authenticator app is enrolled, a code; out comes a session."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, replace

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from loa.broadcast.journal import journal
from loa.broadcast.journal.act import Act
from loa.broadcast.people.lockout import Attempt, place_of
from loa.broadcast.people.passwords import Passwords
from loa.broadcast.people.person import KnownDevice, Session, User, folded_login, is_login
from loa.broadcast.people.proof import Claim, Proofs
from loa.broadcast.people.sessions import Sessions, secret_hash
from loa.broadcast.store import sessions as stored_sessions
from loa.broadcast.store import users as stored
from loa.broadcast.store.database import Database
from loa.errors import Busy, StoreError
from loa.model import id_text, new_id

DEVICE_KNOWN_MS = 180 * 86_400_000
ADDRESS_KNOWN_MS = 30 * 86_400_000
"""How long after a sign-in a browser, and an address, is known to the account."""
MAX_DEVICES = 10
"""Browsers known to one account; one more forgets the one that was not seen for the longest."""
NOBODY = ""
"""The account that all login names try which nobody can have."""

log = structlog.get_logger("loa.people")


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody signs in with.

    `code`: of the authenticator app, or a recovery code. `device`: the secret that this browser got before.
    `replaces`: the secret of the browser's session until now, which ends. `agent`: what the browser calls itself.
    """

    login: str
    password: str = field(repr=False)
    code: str | None = field(default=None, repr=False)
    device: str | None = field(default=None, repr=False)
    replaces: str | None = field(default=None, repr=False)
    agent: str = ""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session that was opened: its secret, and the browser's, are told here and never again."""

    user: User
    session: Session
    secret: str = field(repr=False)
    device: str = field(repr=False)


class SignIn:
    """Opens sessions."""

    def __init__(self, db: Database, passwords: Passwords, proofs: Proofs, sessions: Sessions) -> None:
        self._db = db
        self._passwords = passwords
        self._proofs = proofs
        self._sessions = sessions

    async def sign_in(self, asked: Asked, act: Act) -> SignedIn:
        """A new session for who proves to be that user. `act` is a stranger's, with the address.

        SignInRefused, Busy, StoreError.
        """
        claim, device = await self._claim(asked, act)
        async with self._proofs.proved(claim, act) as (connection, proved):
            user = proved.user
            own = replace(act, actor=f"user:{id_text(user.id)}", name=user.login)
            replaced = await _end(connection, asked.replaces)
            second_factor = proved.second_factor is not None
            session, secret = await self._sessions.open(
                connection, user, own, second_factor=second_factor, agent=asked.agent
            )
            device_secret = asked.device
            if device is None or device_secret is None:
                device_secret = await _new_device(connection, user.id, act)
            else:
                await stored_sessions.touch_device(connection, device.id, session.address, act.now_ms)
            await stored.update(connection, user.id, {"signed_in_ms": act.now_ms})
            told = {
                "second_factor": proved.second_factor,
                "failures_before": self._proofs.untold_failures(user),
                "replaces": replaced,
            }
            await journal.record(connection, own, "session.create", f"session:{id_text(session.id)}", after=told)
        self._proofs.told_failures(user)
        if claim.kept is not None and claim.kept.password is not None:
            await self._keep_up(user, claim.kept.password, asked.password)
        return SignedIn(user, session, secret, device_secret)

    async def _claim(self, asked: Asked, act: Act) -> tuple[Claim, KnownDevice | None]:
        """What is known of who asks, before anything is proved."""
        login = folded_login(asked.login)
        if not is_login(login):
            return Claim(Attempt(NOBODY, act.origin), None, None, asked.password), None
        async with self._db.read() as connection:
            user = await stored.by_login(connection, login)
            if user is None:
                return Claim(Attempt(login, act.origin), None, None, asked.password), None
            kept = await stored.credentials(connection, user.id)
            device = await _device(connection, asked.device, user.id, act.now_ms)
            since_ms = act.now_ms - ADDRESS_KNOWN_MS
            known_address = await stored_sessions.seen_at(connection, user.id, place_of(act.origin), since_ms)
        attempt = Attempt(
            account=login,
            address=act.origin,
            device=None if device is None else device.id,
            known_address=known_address,
            protected=user.protected,
            pardoned_ms=kept.pardoned_ms,
        )
        return Claim(attempt, user, kept, asked.password, asked.code), device

    async def _keep_up(self, user: User, kept: str, password: str) -> None:
        """Hash the password anew when it was hashed with other parameters than today's."""
        if not self._passwords.needs_rehash(kept):
            return
        try:
            fresh = await self._passwords.hash(password)
            async with self._db.write() as connection:
                await stored.replace_password(connection, user.id, kept, fresh)
        except (Busy, StoreError) as error:
            log.warning("a password is not hashed anew yet", error=str(error))

    async def remove_old_devices(self, now_ms: int) -> None:
        """Forget the browsers that have not signed in for long."""
        async with self._db.write() as connection:
            await stored_sessions.remove_old_devices(connection, now_ms - DEVICE_KNOWN_MS)


async def _end(connection: AsyncConnection, secret: str | None) -> str | None:
    """End the session with this secret, if there is one; its id."""
    session = None if secret is None else await stored_sessions.by_sha256(connection, secret_hash(secret))
    if session is None:
        return None
    await stored_sessions.remove(connection, session.id)
    return id_text(session.id)


async def _device(
    connection: AsyncConnection, secret: str | None, user_id: bytes, now_ms: int
) -> KnownDevice | None:
    if secret is None:
        return None
    device = await stored_sessions.device_by_sha256(connection, secret_hash(secret))
    if device is None or device.user_id != user_id or now_ms - device.seen_ms > DEVICE_KNOWN_MS:
        return None
    return device


async def _new_device(connection: AsyncConnection, user_id: bytes, act: Act) -> str:
    secret = secrets.token_urlsafe(32)
    for old in (await stored_sessions.devices(connection, user_id))[: -(MAX_DEVICES - 1)]:
        await stored_sessions.remove_device(connection, old.id)
    device = KnownDevice(
        id=new_id(act.now_ms),
        user_id=user_id,
        sha256=secret_hash(secret),
        address=place_of(act.origin),
        created_ms=act.now_ms,
        seen_ms=act.now_ms,
    )
    await stored_sessions.insert_device(connection, device)
    return secret
