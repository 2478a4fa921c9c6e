"""Somebody else has been on the core: all that was good there for getting in is good for nothing any more."""

from __future__ import annotations

from dataclasses import dataclass

from loa.app.store import opened_store
from loa.broadcast.journal import chain, journal
from loa.broadcast.journal.act import Act
from loa.broadcast.journal.chain import Link
from loa.broadcast.people.shut_out import shut_everybody_out
from loa.broadcast.store import enrolments as stored_enrolments
from loa.broadcast.store import journal as stored_journal
from loa.broadcast.store.database import Database
from loa.broadcast.store.tokens import Tokens
from loa.config import CoreConfig
from loa.control_api.bearer import BearerTokens
from loa.control_api.first_token import new_admin_token

_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class ShutOut:
    """What was made good for nothing."""

    tokens: int
    codes: int
    users: int


async def revoke_all_tokens(config: CoreConfig, act: Act) -> int:
    """Revoke every token, and put a new administrator's into the file for it; how many were good.

    It can be done again after it was cut off. StoreError; ConfigError.
    """
    async with opened_store(config) as db:
        return await _revoke_tokens(config, db, act)


async def shut_out(config: CoreConfig, act: Act) -> ShutOut:
    """Revoke every token, end every enrolment code that has not been used, and take everybody's way in.

    Whoever read the store can answer a device that enrols with such a code, in the core's name, and has the secrets
    of all authenticator apps. StoreError; ConfigError.
    """
    async with opened_store(config) as db:
        tokens = await _revoke_tokens(config, db, act)
        async with db.write() as connection:
            codes = await stored_enrolments.end_open(connection, act.now_ms)
            await journal.record(connection, act, "enrolment.end_open", "enrolment:all", after={"codes": codes})
        users = await shut_everybody_out(db, act)
    return ShutOut(tokens, codes, users)


async def _revoke_tokens(config: CoreConfig, db: Database, act: Act) -> int:
    tokens = BearerTokens(Tokens(db))
    revoked = await tokens.revoke_all(act)
    await new_admin_token(tokens, config.data_dir / "admin.token", act)
    return revoked


async def check_audit(config: CoreConfig) -> Link | None:
    """The newest entry of the audit chain, which holds from its beginning; AuditError where it does not."""
    last: Link | None = None
    async with opened_store(config) as db:
        while True:
            async with db.read() as connection:
                some = await stored_journal.links(connection, 0 if last is None else last.seq, _AT_ONCE)
            if not some:
                return last
            last = chain.verify(some, last)
