"""Enrolment by one-time codes (docs/protocol.md, *Enrolment*)."""

from __future__ import annotations

import hmac
from collections.abc import Collection
from dataclasses import dataclass, replace

from sqlalchemy.ext.asyncio import AsyncConnection

from loa.broadcast.geometry import Position
from loa.broadcast.journal import journal
from loa.broadcast.journal.act import Act
from loa.broadcast.names import clean
from loa.broadcast.orders.keyring import KeyRing
from loa.broadcast.records import Endpoint, Enrolment
from loa.broadcast.registry.areas import require_open
from loa.broadcast.store import areas as stored_areas
from loa.broadcast.store import endpoints as stored_endpoints
from loa.broadcast.store import enrolments as stored
from loa.broadcast.store.database import Database
from loa.broadcast.store.paging import FIRST, Page
from loa.codecs import enrolment_wire
from loa.codecs.enrolment_wire import EnrolmentCode
from loa.codecs.signed import KEY_BYTES
from loa.codecs.statement_wire import Placement
from loa.errors import EnrolmentError, StoreError, WireError
from loa.model import EndpointKind, id_text, new_id

MAX_WRONG_CLAIMS = 10
NONCE_BYTES = 16
_TRIES = 8


async def free_codes(connection: AsyncConnection, count: int) -> list[EnrolmentCode]:
    """So many new codes, each with an id that no other has; StoreError when they cannot be found."""
    found: dict[str, EnrolmentCode] = {}
    for _ in range(_TRIES):
        more = (EnrolmentCode.generate() for _ in range(count - len(found)))
        found |= {code.code_id: code for code in more}
        for used in await stored.used_code_ids(connection, found):
            del found[used]
        if len(found) == count:
            return list(found.values())
    raise StoreError("no enrolment code is free")


@dataclass(frozen=True, slots=True)
class ClaimAnswer:
    """What a device that proved to know the code is told. `key_list` and `placement` are envelopes."""

    endpoint_id: bytes
    root_key: bytes
    key_list: bytes
    placement: bytes
    mac: bytes


async def new_code(
    connection: AsyncConnection,
    area_id: bytes,
    kind: EndpointKind,
    name: str,
    act: Act,
    valid_s: int,
    position: Position | None = None,
) -> tuple[Enrolment, EnrolmentCode]:
    """A new code for one device, in the caller's transaction. The code is told here and never again."""
    (code,) = await free_codes(connection, 1)
    enrolment = Enrolment(
        id=new_id(act.now_ms),
        code_id=code.code_id,
        key=code.key(),
        area_id=area_id,
        kind=kind,
        name=name,
        created_ms=act.now_ms,
        expires_ms=act.now_ms + valid_s * 1000,
        position=position,
    )
    await stored.insert(connection, enrolment)
    await journal.record(
        connection,
        act,
        "enrolment.create",
        f"enrolment:{id_text(enrolment.id)}",
        areas=[area_id],
        after={"name": name, "kind": str(kind), "expires_ms": enrolment.expires_ms},
    )
    return enrolment, code


class Enrolments:
    """Codes, and the devices that come with them."""

    def __init__(self, db: Database, keyring: KeyRing | None) -> None:
        """`keyring`: what claims are answered with; None in a process that answers none."""
        self._db = db
        self._keyring = keyring

    async def create(
        self,
        area_id: bytes,
        kind: EndpointKind,
        name: str,
        act: Act,
        valid_s: int,
        position: Position | None = None,
    ) -> tuple[Enrolment, EnrolmentCode]:
        """A new code for one device in the area, which stands at `position` if that is known.

        The code is told here and never again. NotFound; Conflict for a closed area; PlaceError for a name that is
        none.
        """
        name = clean(name, "the name")
        async with self._db.write() as connection:
            require_open(await stored_areas.get(connection, area_id))
            return await new_code(connection, area_id, kind, name, act, valid_s, position)

    async def get(self, enrolment_id: bytes) -> Enrolment:
        """The enrolment; NotFound."""
        async with self._db.read() as connection:
            return await stored.get(connection, enrolment_id)

    async def list(self, page: Page = FIRST, within: Collection[bytes] | None = None) -> list[Enrolment]:
        """A page of the enrolments, only in these areas and below them if any are given; BadCursor."""
        async with self._db.read() as connection:
            return await stored.page(connection, page, within)

    async def forget(self, before_ms: int, most: int) -> int:
        """Forget codes, used or not, that were no longer valid before then, at most so many; how many.

        What devices they became stays.
        """
        async with self._db.write() as connection:
            return await stored.forget(connection, before_ms, most)

    async def claim(
        self, *, code_id: str, device_key: bytes, nonce: bytes, kind: str, mac: bytes, act: Act
    ) -> ClaimAnswer:
        """Make the device that knows the code an endpoint, once; the same device is answered the same again.

        EnrolmentError with the slug unknown, spent, expired, wrong, kind or used; WireError for a device key
        that has not 32 bytes or a nonce that has not 16.
        """
        if len(device_key) != KEY_BYTES or len(nonce) != NONCE_BYTES:
            raise WireError("a claim needs a device key of 32 bytes and a nonce of 16")
        # Anybody may claim, so only a claim that has something to write waits for the one writer.
        async with self._db.read() as connection:
            enrolment = await self._good(connection, code_id, act.now_ms)
            expected = enrolment_wire.claim_mac(
                enrolment.key, code_id=code_id, device_key=device_key, nonce=nonce, kind=kind
            )
            knows = hmac.compare_digest(expected, mac)
            if knows:
                if kind != enrolment.kind:
                    raise EnrolmentError("kind", f"this code is for a {enrolment.kind}")
                endpoint = await self._before(connection, enrolment, device_key)
        if not knows:
            # A code that is used cannot be guessed to any profit, and its device may still ask again.
            if enrolment.endpoint_id is None:
                await self._count_wrong(code_id, act)
            raise EnrolmentError("wrong", "the device does not know this code")
        if endpoint is None:
            endpoint = await self._enrol(code_id, device_key, act)
        async with self._db.read() as connection:
            endpoint = await stored_endpoints.get(connection, endpoint.id)
            path = await stored_areas.path(connection, endpoint.area_id)
        return self._answer(enrolment, endpoint, path, nonce)

    @staticmethod
    async def _good(connection: AsyncConnection, code_id: str, now_ms: int) -> Enrolment:
        """The enrolment of a code that may be tried."""
        enrolment = await stored.by_code(connection, code_id)
        if enrolment is None:
            raise EnrolmentError("unknown", "no enrolment has this code")
        if enrolment.wrong_claims >= MAX_WRONG_CLAIMS:
            raise EnrolmentError("spent", "this code was tried wrongly too often")
        if now_ms > enrolment.expires_ms:
            raise EnrolmentError("expired", "this code is no longer valid")
        return enrolment

    async def _count_wrong(self, code_id: str, act: Act) -> None:
        async with self._db.write() as connection:
            enrolment = await self._good(connection, code_id, act.now_ms)
            if enrolment.endpoint_id is None:
                await stored.count_wrong(connection, enrolment.id)
                # At most MAX_WRONG_CLAIMS times for a code, so strangers cannot fill the log.
                subject = f"enrolment:{id_text(enrolment.id)}"
                await journal.record(connection, act, "enrolment.wrong_claim", subject, areas=[enrolment.area_id])

    @staticmethod
    async def _before(connection: AsyncConnection, enrolment: Enrolment, device_key: bytes) -> Endpoint | None:
        """The endpoint that this device has become by the code before, or None while the code is unused."""
        if enrolment.endpoint_id is None:
            return None
        endpoint = await stored_endpoints.get(connection, enrolment.endpoint_id)
        if enrolment.claimed_by_key != device_key or endpoint.revoked_ms is not None:
            raise EnrolmentError("used", "this code has been used")
        return endpoint

    async def _enrol(self, code_id: str, device_key: bytes, act: Act) -> Endpoint:
        """The endpoint that the code becomes; of two devices at once, the second finds the code used."""
        async with self._db.write() as connection:
            enrolment = await self._good(connection, code_id, act.now_ms)
            if (endpoint := await self._before(connection, enrolment, device_key)) is not None:
                return endpoint
            endpoint = Endpoint(
                id=new_id(act.now_ms),
                kind=enrolment.kind,
                name=enrolment.name,
                area_id=enrolment.area_id,
                device_key=device_key,
                enrolled_ms=act.now_ms,
                revoked_ms=None,
                placement_serial=1,
                position=enrolment.position,
            )
            await stored_endpoints.insert(connection, endpoint)
            await stored.set_claimed(connection, enrolment.id, device_key, endpoint.id)
            await journal.record(
                connection,
                replace(act, actor=f"enrolment:{id_text(enrolment.id)}", name=enrolment.name),
                "endpoint.enrol",
                f"endpoint:{id_text(endpoint.id)}",
                areas=[endpoint.area_id],
                after={"name": endpoint.name, "kind": str(endpoint.kind)},
            )
        return endpoint

    def _answer(
        self, enrolment: Enrolment, endpoint: Endpoint, path: tuple[bytes, ...], nonce: bytes
    ) -> ClaimAnswer:
        assert self._keyring is not None
        placement = Placement(endpoint.id, endpoint.placement_serial, path).seal(self._keyring.order_key)
        root_key, key_list = self._keyring.root_public_key, self._keyring.key_list_envelope
        mac = enrolment_wire.answer_mac(
            enrolment.key,
            nonce=nonce,
            endpoint_id=endpoint.id,
            root_key=root_key,
            key_list=key_list,
            placement=placement,
        )
        return ClaimAnswer(endpoint.id, root_key, key_list, placement, mac)
