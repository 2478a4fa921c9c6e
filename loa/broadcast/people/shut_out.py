"""What everybody proves who they are with is good for nothing any more: somebody else may have read all of it."""

from __future__ import annotations

from loa.broadcast.journal import journal
from loa.broadcast.journal.act import Act
from loa.broadcast.store import sessions as stored_sessions
from loa.broadcast.store import users as stored
from loa.broadcast.store.database import Database


async def shut_everybody_out(db: Database, act: Act) -> int:
    """No password and no code opens an account, and no session is open; how many users could sign in before.

    Each of them needs a one-time password: the first administrator's is given from the shell. StoreError.
    """
    async with db.write() as connection:
        count = await stored.take_credentials(connection)
        await stored_sessions.remove_all(connection)
        await journal.record(connection, act, "user.shut_out_all", "user:all", after={"users": count})
    return count
