"""Browser sessions, and the browsers that are known, in the store. In the caller's transaction."""

from __future__ import annotations

from sqlalchemy import delete, exists, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from loa.broadcast.people.person import KnownDevice, Session
from loa.broadcast.store.tables import known_device, session
from loa.errors import NotFound
from loa.model import id_text


async def insert(connection: AsyncConnection, new: Session) -> None:
    """Write a new session down."""
    await connection.execute(
        session.insert().values(
            id=new.id,
            user_id=new.user_id,
            sha256=new.sha256,
            created_ms=new.created_ms,
            seen_ms=new.seen_ms,
            expires_ms=new.expires_ms,
            authenticated_ms=new.authenticated_ms,
            second_factor=new.second_factor,
            address=new.address,
            agent=new.agent,
        )
    )


async def by_sha256(connection: AsyncConnection, sha256: bytes) -> Session | None:
    """The session whose secret has this SHA-256, those that have ended by time too."""
    row = (await connection.execute(select(session).where(session.c.sha256 == sha256))).one_or_none()
    return None if row is None else Session(**row._mapping)


async def get(connection: AsyncConnection, session_id: bytes) -> Session:
    """The session, those that have ended by time too; NotFound."""
    row = (await connection.execute(select(session).where(session.c.id == session_id))).one_or_none()
    if row is None:
        raise NotFound(f"no session {id_text(session_id)}")
    return Session(**row._mapping)


async def of_user(connection: AsyncConnection, user_id: bytes) -> list[Session]:
    """A user's sessions, oldest first, those that have ended by time too."""
    query = select(session).where(session.c.user_id == user_id).order_by(session.c.id)
    return [Session(**row._mapping) for row in await connection.execute(query)]


async def touch(connection: AsyncConnection, session_id: bytes, seen_ms: int) -> None:
    """Something came from the session's browser."""
    await connection.execute(session.update().where(session.c.id == session_id).values(seen_ms=seen_ms))


async def remove(connection: AsyncConnection, session_id: bytes) -> None:
    """The session is no more."""
    await connection.execute(delete(session).where(session.c.id == session_id))


async def prove_again(connection: AsyncConnection, session_id: bytes, now_ms: int, *, second_factor: bool) -> None:
    """The session's user has proved anew who they are."""
    values = {"authenticated_ms": now_ms, "second_factor": second_factor}
    await connection.execute(session.update().where(session.c.id == session_id).values(values))


async def remove_of_user(connection: AsyncConnection, user_id: bytes) -> int:
    """The user's sessions are no more; how many there were."""
    return (await connection.execute(delete(session).where(session.c.user_id == user_id))).rowcount


async def remove_all(connection: AsyncConnection) -> None:
    """No session is any more, and every browser is a stranger's again."""
    await connection.execute(delete(session))
    await connection.execute(delete(known_device))


async def remove_old(connection: AsyncConnection, now_ms: int, idle_since_ms: int) -> int:
    """Sessions that have ended by time are no more; how many there were."""
    ended = or_(session.c.expires_ms <= now_ms, session.c.seen_ms < idle_since_ms)
    return (await connection.execute(delete(session).where(ended))).rowcount


async def device_by_sha256(connection: AsyncConnection, sha256: bytes) -> KnownDevice | None:
    """The browser whose secret has this SHA-256."""
    row = (await connection.execute(select(known_device).where(known_device.c.sha256 == sha256))).one_or_none()
    return None if row is None else KnownDevice(**row._mapping)


async def devices(connection: AsyncConnection, user_id: bytes) -> list[KnownDevice]:
    """The browsers a user has signed in with, the one seen least recently first."""
    query = select(known_device).where(known_device.c.user_id == user_id)
    rows = await connection.execute(query.order_by(known_device.c.seen_ms, known_device.c.id))
    return [KnownDevice(**row._mapping) for row in rows]


async def seen_at(connection: AsyncConnection, user_id: bytes, address: str, since_ms: int) -> bool:
    """Whether a browser signed in to the account from this address since then."""
    known = exists().where(
        known_device.c.user_id == user_id, known_device.c.address == address, known_device.c.seen_ms >= since_ms
    )
    return bool((await connection.execute(select(known))).scalar_one())


async def insert_device(connection: AsyncConnection, new: KnownDevice) -> None:
    """Write a browser down."""
    await connection.execute(
        known_device.insert().values(
            id=new.id,
            user_id=new.user_id,
            sha256=new.sha256,
            address=new.address,
            created_ms=new.created_ms,
            seen_ms=new.seen_ms,
        )
    )


async def touch_device(connection: AsyncConnection, device_id: bytes, address: str, seen_ms: int) -> None:
    """The browser has signed in again."""
    await connection.execute(
        known_device.update().where(known_device.c.id == device_id).values(address=address, seen_ms=seen_ms)
    )


async def remove_device(connection: AsyncConnection, device_id: bytes) -> None:
    """The browser is a stranger's again."""
    await connection.execute(delete(known_device).where(known_device.c.id == device_id))


async def remove_devices_of_user(connection: AsyncConnection, user_id: bytes) -> None:
    """All the user's browsers are strangers' again."""
    await connection.execute(delete(known_device).where(known_device.c.user_id == user_id))


async def remove_old_devices(connection: AsyncConnection, seen_before_ms: int) -> None:
    """Browsers that have not signed in since then are strangers' again."""
    await connection.execute(delete(known_device).where(known_device.c.seen_ms < seen_before_ms))
