"""Browser sessions: opaque secrets in cookies, of which the store has only the SHA-256.

A session ends when nothing came for a while (looked at to the minute, so that a request is no write), after its
longest time, and when its user's password changes. Whoever sends a cookie proves by a second secret, which pages of
other sites cannot read, that they mean to: it is made of the first and kept nowhere.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from loa.broadcast.journal import journal
from loa.broadcast.journal.act import Act
from loa.broadcast.people.lockout import place_of
from loa.broadcast.people.person import Session, User
from loa.broadcast.people.rights import Principal, held
from loa.broadcast.store import sessions as stored
from loa.broadcast.store import users as stored_users
from loa.broadcast.store.database import Database
from loa.broadcast.store.remembered import Remembered
from loa.errors import NotFound, StoreError
from loa.model import id_text, new_id

TOUCH_MS = 60_000
MAX_SESSIONS = 20
"""For one user; one more ends the oldest."""
MAX_AGENT = 200

log = structlog.get_logger("loa.people")


@dataclass(frozen=True, slots=True)
class Lifetime:
    """How long a session lasts without a request, and at the most."""

    idle_ms: int = 30 * 60_000
    absolute_ms: int = 12 * 3_600_000


class Sessions:
    """All browser sessions."""

    def __init__(self, db: Database, lifetime: Lifetime) -> None:
        self._db = db
        self._lifetime = lifetime
        self._known = Remembered(db, self._by_sha256)

    async def check(self, text: str, now_ms: int, *, used: bool = True) -> Principal | None:
        """Whom the secret of a session stands for, while it lasts; StoreError. `used`: it goes on by this."""
        known = await self._known.get(secret_hash(text))
        if known is None:
            return None
        user, session = known
        if not user.active or not self.lasts(session, now_ms):
            return None
        if used and now_ms - session.seen_ms >= TOUCH_MS:
            await self._touch(session, now_ms)
        return principal(user, session)

    async def _by_sha256(self, sha256: bytes) -> tuple[User, Session] | None:
        async with self._db.read() as connection:
            session = await stored.by_sha256(connection, sha256)
            if session is None:
                return None
            try:
                return await stored_users.get(connection, session.user_id), session
            except NotFound:
                return None

    async def _touch(self, session: Session, now_ms: int) -> None:
        try:
            async with self._db.write() as connection:
                await stored.touch(connection, session.id, now_ms)
        except StoreError as error:
            # A store that takes nothing still knows who is who; the session ends a little early.
            log.warning("a session's use cannot be written down", error=str(error))

    def lasts(self, session: Session, now_ms: int) -> bool:
        """Whether time has not ended it."""
        return now_ms < session.expires_ms and now_ms - session.seen_ms <= self._lifetime.idle_ms

    async def of_user(self, user_id: bytes, now_ms: int) -> list[Session]:
        """A user's sessions that last, oldest first."""
        async with self._db.read() as connection:
            sessions = await stored.of_user(connection, user_id)
        return [session for session in sessions if self.lasts(session, now_ms)]

    async def get(self, session_id: bytes) -> Session:
        """The session, those that time has ended too; NotFound."""
        async with self._db.read() as connection:
            return await stored.get(connection, session_id)

    async def end(self, session_id: bytes, act: Act) -> None:
        """From now on the session is good for nothing; NotFound."""
        async with self._db.write() as connection:
            session = await stored.get(connection, session_id)
            await stored.remove(connection, session_id)
            await journal.record(connection, act, "session.end", f"session:{id_text(session.id)}")

    async def end_all(self, user_id: bytes, act: Act) -> int:
        """End all of one's own sessions; how many there were. NotFound."""
        async with self._db.write() as connection:
            await stored_users.get(connection, user_id)
            count = await stored.remove_of_user(connection, user_id)
            if count:
                subject = f"user:{id_text(user_id)}"
                await journal.record(connection, act, "user.end-sessions", subject, after={"sessions": count})
        return count

    async def remove_old(self, now_ms: int) -> int:
        """Forget the sessions that time has ended; how many there were."""
        async with self._db.write() as connection:
            return await stored.remove_old(connection, now_ms, now_ms - self._lifetime.idle_ms)

    async def open(
        self, connection: AsyncConnection, user: User, act: Act, *, second_factor: bool, agent: str
    ) -> tuple[Session, str]:
        """In the caller's transaction a new session, and its secret: told here and never again."""
        text = secrets.token_urlsafe(32)
        session = Session(
            id=new_id(act.now_ms),
            user_id=user.id,
            sha256=secret_hash(text),
            created_ms=act.now_ms,
            seen_ms=act.now_ms,
            expires_ms=act.now_ms + self._lifetime.absolute_ms,
            authenticated_ms=act.now_ms,
            second_factor=second_factor,
            address=place_of(act.origin),
            agent=agent[:MAX_AGENT],
        )
        for old in (await stored.of_user(connection, user.id))[: -(MAX_SESSIONS - 1)]:
            await stored.remove(connection, old.id)
        await stored.insert(connection, session)
        return session, text


def principal(user: User, session: Session) -> Principal:
    """Whom a session of the user stands for, and what they may do in it."""
    grants, withheld = held(
        user.grants, second_factor=session.second_factor, must_change_password=user.must_change_password
    )
    return Principal(
        actor=f"user:{id_text(user.id)}",
        name=user.login,
        grants=grants,
        user_id=user.id,
        session_id=session.id,
        authenticated_ms=session.authenticated_ms,
        withheld=withheld,
    )


def secret_hash(text: str) -> bytes:
    """What is kept of a secret with more than enough randomness."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def csrf_token(text: str) -> str:
    """The second secret of the session whose secret is `text`."""
    return hmac.new(text.encode("utf-8", "surrogateescape"), b"loa csrf", hashlib.sha256).hexdigest()
