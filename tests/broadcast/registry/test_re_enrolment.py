"""After the root was replaced: which devices are left behind, and codes by which they come back."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from loa.broadcast.journal.act import Act, system
from loa.broadcast.orders.keyring import KeyRing
from loa.broadcast.records import Endpoint
from loa.broadcast.registry import re_enrolment
from loa.broadcast.registry.areas import Areas
from loa.broadcast.registry.endpoints import Endpoints
from loa.broadcast.registry.enrolment import Enrolments
from loa.broadcast.registry.re_enrolment import NewCode, enrol_again, left_behind
from loa.broadcast.store import endpoints as stored
from loa.broadcast.store import journal as stored_journal
from loa.broadcast.store.database import Database
from loa.codecs.enrolment_wire import EnrolmentCode, claim_mac
from loa.codecs.signed import SigningKey
from loa.model import EndpointKind, new_id

NOW_MS = 1_790_000_000_000
ACT = Act("shell:lan", "lan", NOW_MS + 1_000)
VALID_S = 30 * 86_400


async def a_device(db: Database, area_id: bytes, name: str, enrolled_ms: int = NOW_MS) -> bytes:
    device_key = SigningKey.generate().public_key
    endpoint = Endpoint(new_id(enrolled_ms), EndpointKind.SPEAKER, name, area_id, device_key, enrolled_ms, None, 1)
    async with db.write() as connection:
        await stored.insert(connection, endpoint)
    return endpoint.id


async def city(db: Database) -> tuple[bytes, bytes]:
    """Two communes."""
    top = await Areas(db).create(None, "Hải Phòng", "city", None, system(NOW_MS))
    one = await Areas(db).create(top.id, "Phù Long", "commune", None, system(NOW_MS))
    two = await Areas(db).create(top.id, "An Biên", "commune", None, system(NOW_MS))
    return one.id, two.id


async def test_who_was_enrolled_before_and_is_not_revoked_is_left_behind(db: Database) -> None:
    one, two = await city(db)
    await a_device(db, one, "Loa 2")
    await a_device(db, one, "Loa 1")
    await a_device(db, two, "Loa 3")
    await a_device(db, two, "new", NOW_MS + 1)
    gone = await a_device(db, two, "gone")
    await Endpoints(db).revoke(gone, system(NOW_MS))
    found = await left_behind(db, NOW_MS)
    assert [(device.place, device.endpoint.name) for device in found] == [
        (("Hải Phòng", "An Biên"), "Loa 3"),
        (("Hải Phòng", "Phù Long"), "Loa 1"),
        (("Hải Phòng", "Phù Long"), "Loa 2"),
    ]
    assert await left_behind(db, NOW_MS - 1) == []


async def test_each_gets_a_code_that_enrols_it_and_the_old_endpoint_is_revoked(
    db: Database, keyring: KeyRing
) -> None:
    one, two = await city(db)
    old = [await a_device(db, area, f"Loa {n}") for n, area in enumerate((one, two, one))]
    kept: list[NewCode] = []
    assert await enrol_again(db, await left_behind(db, NOW_MS), ACT, VALID_S, kept.extend) == 3
    assert {code.device.endpoint.id for code in kept} == set(old)
    assert await left_behind(db, NOW_MS) == []
    assert "code" not in repr(kept[0]).lower().replace("newcode", "")
    for made in kept:
        assert made.expires_ms == ACT.now_ms + VALID_S * 1000
        code, device = EnrolmentCode.parse(made.code), SigningKey.generate().public_key
        mac = claim_mac(code.key(), code_id=code.code_id, device_key=device, nonce=b"n" * 16, kind="speaker")
        answer = await Enrolments(db, keyring).claim(
            code_id=code.code_id, device_key=device, nonce=b"n" * 16, kind="speaker", mac=mac, act=ACT
        )
        again = await Endpoints(db).get(answer.endpoint_id)
        before = await Endpoints(db).get(made.device.endpoint.id)
        assert (again.name, again.area_id, again.revoked_ms) == (before.name, before.area_id, None)
        assert before.revoked_ms == ACT.now_ms


async def test_it_is_written_down_who_did_it(db: Database) -> None:
    one, _ = await city(db)
    await a_device(db, one, "Loa 1")
    kept: list[NewCode] = []
    await enrol_again(db, await left_behind(db, NOW_MS), ACT, VALID_S, kept.extend)
    async with db.read() as connection:
        entries = [json.loads(link.entry) for link in await stored_journal.links(connection, 0, 100)]
    assert [(entry["actor"], entry["action"]) for entry in entries[-2:]] == [
        ("shell:lan", "endpoint.revoke"),
        ("shell:lan", "enrolment.create"),
    ]
    assert kept[0].code.replace("-", "")[5:] not in json.dumps(entries)


async def test_codes_that_could_not_be_kept_are_good_for_nothing(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(re_enrolment, "BATCH", 2)
    one, _ = await city(db)
    for n in range(5):
        await a_device(db, one, f"Loa {n}")
    kept: list[NewCode] = []

    def full_after_one_batch(codes: Sequence[NewCode]) -> None:
        if kept:
            raise OSError("No space left on device")
        kept.extend(codes)

    with pytest.raises(Exception, match="No space left"):
        await enrol_again(db, await left_behind(db, NOW_MS), ACT, VALID_S, full_after_one_batch)
    assert [device.endpoint.name for device in await left_behind(db, NOW_MS)] == ["Loa 2", "Loa 3", "Loa 4"]
    assert await enrol_again(db, await left_behind(db, NOW_MS), ACT, VALID_S, kept.extend) == 3
    assert len({code.code for code in kept}) == 5
