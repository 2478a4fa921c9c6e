"""Enrolment over HTTP: a code enrols one device, once, in its time."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import pytest_asyncio

from loa.app.api_client import ApiClient, ApiError
from loa.edge.speaker import enrol, identity
from loa.errors import EnrolmentError
from tests.control_api.conftest import MovableClock

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def code(api: ApiClient) -> str:
    area = await api.create_area("Xã Phù Long", "commune")
    return await api.enrolment_code(area, "Cụm loa Bến Gót")


async def refused(api: ApiClient, code: str, folder: Path) -> str:
    with pytest.raises(EnrolmentError) as caught:
        await enrol.claim(api.url, code, folder)
    assert identity.load(folder) is None
    return caught.value.slug


async def test_a_code_enrols_a_device_with_private_files(api: ApiClient, code: str, tmp_path: Path) -> None:
    folder = tmp_path / "state"
    endpoint_id = await enrol.claim(api.url, code.lower().replace("-", " "), folder)
    loaded = identity.load(folder)
    assert loaded is not None
    assert loaded.endpoint_id == endpoint_id
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    rows = {row["id"].replace("-", ""): row for row in await api.items("/api/v1/endpoints")}
    assert rows[endpoint_id.hex()]["name"] == "Cụm loa Bến Gót"


async def test_the_same_device_may_ask_again_and_another_may_not(api: ApiClient, code: str, tmp_path: Path) -> None:
    first = await enrol.claim(api.url, code, tmp_path / "a")
    assert await enrol.claim(api.url, code, tmp_path / "a") == first
    assert await refused(api, code, tmp_path / "b") == "used"


async def test_of_two_devices_at_once_one_is_enrolled(api: ApiClient, code: str, tmp_path: Path) -> None:
    results = await asyncio.gather(
        *(enrol.claim(api.url, code, tmp_path / name) for name in "ab"), return_exceptions=True
    )
    won = [result for result in results if isinstance(result, bytes)]
    lost = [result for result in results if isinstance(result, EnrolmentError)]
    assert (len(won), len(lost)) == (1, 1)
    assert lost[0].slug == "used"


async def test_a_wrong_secret_is_refused_and_ten_spend_the_code(api: ApiClient, code: str, tmp_path: Path) -> None:
    wrong = code[:-1] + ("0" if code[-1] != "0" else "1")
    for attempt in range(10):
        assert await refused(api, wrong, tmp_path / f"thief-{attempt}") == "wrong"
    assert await refused(api, code, tmp_path / "late") == "spent"


async def test_an_unknown_code_is_refused(api: ApiClient, tmp_path: Path) -> None:
    assert await refused(api, "ZZZZZ-ZZZZZ-ZZZZZ-ZZZZZ", tmp_path) == "unknown"


async def test_an_expired_code_is_refused(api: ApiClient, code: str, tmp_path: Path, clock: MovableClock) -> None:
    with clock.later(86_400 + 1):
        assert await refused(api, code, tmp_path) == "expired"
    await enrol.claim(api.url, code, tmp_path)


async def test_an_enrolment_needs_a_real_area(api: ApiClient) -> None:
    with pytest.raises(ApiError) as caught:
        await api.enrolment_code("0192f0c8-0000-7000-8000-000000000000", "x")
    assert caught.value.status == 404
