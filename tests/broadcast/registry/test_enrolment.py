"""One code makes one endpoint: claims that are right, wrong, late, repeated and at once."""

from __future__ import annotations

import asyncio
import secrets

import pytest

from loa.broadcast.journal.act import system
from loa.broadcast.orders.keyring import KeyRing
from loa.broadcast.registry.areas import Areas
from loa.broadcast.registry.endpoints import Endpoints
from loa.broadcast.registry.enrolment import MAX_WRONG_CLAIMS, ClaimAnswer, Enrolments
from loa.broadcast.store.database import Database
from loa.codecs import signed
from loa.codecs.authority import open_key_list
from loa.codecs.enrolment_wire import EnrolmentCode, answer_mac, claim_mac
from loa.codecs.signed import Kind, SigningKey
from loa.codecs.statement_wire import Placement
from loa.errors import EnrolmentError, NotFound, WireError
from loa.model import EndpointKind

NOW_MS = 1_790_000_000_000
VALID_S = 3600
DEVICE, OTHER_DEVICE = SigningKey(b"1" * 32).public_key, SigningKey(b"2" * 32).public_key


@pytest.fixture
def enrolments(db: Database, keyring: KeyRing) -> Enrolments:
    return Enrolments(db, keyring)


async def _code(db: Database, enrolments: Enrolments) -> EnrolmentCode:
    area = await Areas(db).create(None, "An Biên", "commune", None, system(NOW_MS))
    _, code = await enrolments.create(area.id, EndpointKind.SPEAKER, "Loa 1", system(NOW_MS), VALID_S)
    return code


async def _claim(
    enrolments: Enrolments,
    code: EnrolmentCode,
    device_key: bytes = DEVICE,
    *,
    key: bytes | None = None,
    kind: str = "speaker",
    now_ms: int = NOW_MS,
    nonce: bytes = b"n" * 16,
) -> ClaimAnswer:
    mac = claim_mac(key or code.key(), code_id=code.code_id, device_key=device_key, nonce=nonce, kind=kind)
    return await enrolments.claim(
        code_id=code.code_id, device_key=device_key, nonce=nonce, kind=kind, mac=mac, act=system(now_ms)
    )


async def _slug(claim: asyncio.Future[ClaimAnswer] | asyncio.Task[ClaimAnswer]) -> str:
    try:
        await claim
    except EnrolmentError as error:
        return error.slug
    return "enrolled"


async def test_a_claim_makes_an_endpoint_and_proves_the_root_to_the_device(
    db: Database, enrolments: Enrolments, keyring: KeyRing
) -> None:
    code = await _code(db, enrolments)
    answer = await _claim(enrolments, code)
    assert answer.mac == answer_mac(
        code.key(),
        nonce=b"n" * 16,
        endpoint_id=answer.endpoint_id,
        root_key=answer.root_key,
        key_list=answer.key_list,
        placement=answer.placement,
    )
    key_list = open_key_list(answer.key_list, answer.root_key)
    envelope = signed.parse(answer.placement, Kind.PLACEMENT)
    envelope.check(key_list.keys[0].public_key)
    placement = Placement.decode(envelope.body)
    endpoint = await Endpoints(db).get(answer.endpoint_id)
    assert placement.endpoint_id == endpoint.id
    assert placement.areas == await Areas(db).path(endpoint.area_id)
    assert (endpoint.name, endpoint.kind, endpoint.device_key) == ("Loa 1", EndpointKind.SPEAKER, DEVICE)
    assert answer.root_key == keyring.root_public_key


async def test_the_same_device_is_answered_the_same_again(db: Database, enrolments: Enrolments) -> None:
    code = await _code(db, enrolments)
    first = await _claim(enrolments, code)
    assert await _claim(enrolments, code) == first
    later = await _claim(enrolments, code, nonce=b"m" * 16, now_ms=NOW_MS + VALID_S * 1000)
    assert (later.endpoint_id, later.placement) == (first.endpoint_id, first.placement)
    assert later.mac != first.mac
    assert len(await Endpoints(db).list()) == 1


async def test_a_code_is_used_once(db: Database, enrolments: Enrolments) -> None:
    code = await _code(db, enrolments)
    await _claim(enrolments, code)
    with pytest.raises(EnrolmentError) as caught:
        await _claim(enrolments, code, OTHER_DEVICE)
    assert caught.value.slug == "used"


async def test_a_revoked_device_does_not_come_back_with_its_old_code(db: Database, enrolments: Enrolments) -> None:
    code = await _code(db, enrolments)
    answer = await _claim(enrolments, code)
    await Endpoints(db).revoke(answer.endpoint_id, system(NOW_MS))
    with pytest.raises(EnrolmentError) as caught:
        await _claim(enrolments, code)
    assert caught.value.slug == "used"


async def test_an_expired_code_enrols_nothing(db: Database, enrolments: Enrolments) -> None:
    code = await _code(db, enrolments)
    with pytest.raises(EnrolmentError) as caught:
        await _claim(enrolments, code, now_ms=NOW_MS + VALID_S * 1000 + 1)
    assert caught.value.slug == "expired"
    assert await Endpoints(db).list() == []


async def test_an_unknown_code_enrols_nothing(db: Database, enrolments: Enrolments) -> None:
    await _code(db, enrolments)
    for code_id in ("ZZZZZ", "", "x" * 1000, "'; --"):
        with pytest.raises(EnrolmentError) as caught:
            await _claim(enrolments, EnrolmentCode(code_id, "0" * 15))
        assert caught.value.slug == "unknown"


async def test_wrong_claims_are_counted_durably_and_spend_the_code(
    db_url: str, db: Database, enrolments: Enrolments, keyring: KeyRing
) -> None:
    code = await _code(db, enrolments)
    for _ in range(MAX_WRONG_CLAIMS - 1):
        with pytest.raises(EnrolmentError) as caught:
            await _claim(enrolments, code, key=secrets.token_bytes(32))
        assert caught.value.slug == "wrong"
    reopened = await Database.open(db_url)
    again = Enrolments(reopened, keyring)
    assert await _slug(asyncio.ensure_future(_claim(again, code, key=b"w" * 32))) == "wrong"
    assert await _slug(asyncio.ensure_future(_claim(again, code))) == "spent"
    assert await _slug(asyncio.ensure_future(_claim(enrolments, code))) == "spent"
    assert await Endpoints(reopened).list() == []
    await reopened.close()


async def test_wrong_claims_on_a_used_code_do_not_shut_its_device_out(db: Database, enrolments: Enrolments) -> None:
    code = await _code(db, enrolments)
    first = await _claim(enrolments, code)
    for _ in range(MAX_WRONG_CLAIMS + 2):
        claim = _claim(enrolments, code, OTHER_DEVICE, key=b"w" * 32)
        assert await _slug(asyncio.ensure_future(claim)) == "wrong"
    assert await _claim(enrolments, code) == first


async def test_claims_that_write_nothing_do_not_wait_for_the_writer(db: Database, enrolments: Enrolments) -> None:
    used, spent, fresh = [await _code(db, enrolments) for _ in range(3)]
    first = await _claim(enrolments, used)
    for _ in range(MAX_WRONG_CLAIMS):
        assert await _slug(asyncio.ensure_future(_claim(enrolments, spent, key=b"w" * 32))) == "wrong"
    late = NOW_MS + VALID_S * 1000 + 1
    async with db.write(), asyncio.timeout(5):
        for claim, slug in (
            (_claim(enrolments, EnrolmentCode("ZZZZZ", "0" * 15)), "unknown"),
            (_claim(enrolments, fresh, now_ms=late), "expired"),
            (_claim(enrolments, fresh, key=b"w" * 32, now_ms=late), "expired"),
            (_claim(enrolments, fresh, kind="board"), "kind"),
            (_claim(enrolments, spent), "spent"),
            (_claim(enrolments, used, key=b"w" * 32), "wrong"),
            (_claim(enrolments, used, OTHER_DEVICE), "used"),
        ):
            assert await _slug(asyncio.ensure_future(claim)) == slug
        assert await _claim(enrolments, used) == first


async def test_of_wrong_claims_at_once_each_is_counted_and_no_more(db: Database, enrolments: Enrolments) -> None:
    code = await _code(db, enrolments)
    claims = [asyncio.ensure_future(_claim(enrolments, code, key=b"w" * 32)) for _ in range(2 * MAX_WRONG_CLAIMS)]
    slugs = [await _slug(claim) for claim in claims]
    assert sorted(slugs) == ["spent"] * MAX_WRONG_CLAIMS + ["wrong"] * MAX_WRONG_CLAIMS
    assert [each.wrong_claims for each in await enrolments.list()] == [MAX_WRONG_CLAIMS]


async def test_a_mac_over_other_values_is_wrong(db: Database, enrolments: Enrolments) -> None:
    code = await _code(db, enrolments)
    mac = claim_mac(code.key(), code_id=code.code_id, device_key=DEVICE, nonce=b"n" * 16, kind="speaker")
    for device_key, nonce, forged in (
        (OTHER_DEVICE, b"n" * 16, mac),
        (DEVICE, b"m" * 16, mac),
        (DEVICE, b"n" * 16, b""),
    ):
        with pytest.raises(EnrolmentError) as caught:
            await enrolments.claim(
                code_id=code.code_id,
                device_key=device_key,
                nonce=nonce,
                kind="speaker",
                mac=forged,
                act=system(NOW_MS),
            )
        assert caught.value.slug == "wrong"


async def test_a_code_for_a_speaker_makes_no_board(db: Database, enrolments: Enrolments) -> None:
    code = await _code(db, enrolments)
    with pytest.raises(EnrolmentError) as caught:
        await _claim(enrolments, code, kind="board")
    assert caught.value.slug == "kind"
    assert (await _claim(enrolments, code)).endpoint_id


async def test_a_claim_of_the_wrong_shape_is_malformed(db: Database, enrolments: Enrolments) -> None:
    code = await _code(db, enrolments)
    with pytest.raises(WireError):
        await _claim(enrolments, code, device_key=b"short")
    with pytest.raises(WireError):
        await _claim(enrolments, code, nonce=b"")


async def test_of_many_devices_at_once_one_wins(db: Database, enrolments: Enrolments) -> None:
    code = await _code(db, enrolments)
    keys = [SigningKey(bytes([n]) * 32).public_key for n in range(12)]
    claims = [asyncio.ensure_future(_claim(enrolments, code, key)) for key in keys]
    slugs = sorted([await _slug(claim) for claim in claims])
    assert slugs == ["enrolled"] + ["used"] * 11
    assert len(await Endpoints(db).list()) == 1


async def test_the_same_device_at_once_becomes_one_endpoint(db: Database, enrolments: Enrolments) -> None:
    code = await _code(db, enrolments)
    answers = await asyncio.gather(*(_claim(enrolments, code) for _ in range(8)))
    assert len({answer.endpoint_id for answer in answers}) == 1


async def test_the_secret_of_a_code_is_not_kept_and_not_shown(db: Database, enrolments: Enrolments) -> None:
    area = await Areas(db).create(None, "An Biên", "commune", None, system(NOW_MS))
    enrolment, code = await enrolments.create(area.id, EndpointKind.BOARD, "Bảng 1", system(NOW_MS), VALID_S)
    assert await enrolments.get(enrolment.id) == enrolment
    assert await enrolments.list() == [enrolment]
    assert code.secret not in repr(enrolment)
    assert enrolment.key.hex() not in repr(enrolment)
    with pytest.raises(NotFound):
        await enrolments.create(b"\xff" * 16, EndpointKind.BOARD, "Bảng 2", system(NOW_MS), VALID_S)
