"""Broadcasts as they are listed: an officer sees what was heard in the own area, and of others nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from loa.app.api_client import ApiClient
from loa.edge.speaker import enrol
from loa.model import id_text
from tests import sounds
from tests.control_api.officers import Officers, city_with_officers
from tests.control_api.test_api import problem

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass(frozen=True)
class Stage(Officers):
    """With a broadcast to all of each area, one to a speaker of each, and one to the speakers of two."""

    broadcasts: Mapping[str, str]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(api: ApiClient, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    folder: Path = tmp_path_factory.mktemp("stage")
    sound = folder / "siren.wav"
    sound.write_bytes(sounds.wav(sounds.siren(0.5)))
    programme = str((await api.upload("Còi thử", sound))["id"])
    async with city_with_officers(api) as city:
        speakers: dict[str, str] = {}
        for name, area_id in city.areas.items():
            device = await enrol.claim(api.url, await api.enrolment_code(area_id, "Loa"), folder / name)
            speakers[name] = id_text(device)
        broadcasts: dict[str, str] = {}
        for name, area_id in city.areas.items():
            broadcasts[name] = (await api.start(programme, areas=[area_id]))["id"]
            broadcasts[f"speaker of {name}"] = (await api.start(programme, endpoints=[speakers[name]]))["id"]
        both = [speakers["commune"], speakers["other"]]
        broadcasts["two speakers"] = (await api.start(programme, endpoints=both))["id"]
        yield Stage(city.areas, city.officers, broadcasts)


SEEN = {
    "hamlet": {"city", "district", "commune", "hamlet", "speaker of hamlet"},
    "commune": {
        *("city", "district", "commune", "hamlet"),
        *("speaker of commune", "speaker of hamlet", "two speakers"),
    },
    "other": {"city", "other", "speaker of other", "two speakers"},
}


async def seen(stage: Stage, who: str, **filters: str) -> set[str]:
    """The names of the stage's broadcasts in the list that an officer gets."""
    ids = {item["id"] for item in await stage.officers[who].items("/api/v1/broadcasts", **filters)}
    return {name for name, broadcast_id in stage.broadcasts.items() if broadcast_id in ids}


@pytest.mark.parametrize("who", list(SEEN))
async def test_an_officer_sees_what_was_heard_in_the_own_area(stage: Stage, who: str) -> None:
    assert await seen(stage, who) == SEEN[who]
    for name, broadcast_id in stage.broadcasts.items():
        path = f"/api/v1/broadcasts/{broadcast_id}"
        if name in SEEN[who]:
            assert (await stage.officers[who].call("GET", path))["id"] == broadcast_id
            continue
        for method, call in (("GET", path), ("GET", f"{path}/orders"), ("POST", f"{path}/stop")):
            assert (await problem(stage.officers[who], method, call)).status == 404, (name, call)


async def test_a_list_is_narrowed_to_what_concerns_an_area(stage: Stage) -> None:
    everything = set(stage.broadcasts)
    assert await seen(stage, "whole city") == everything
    for name, expected in SEEN.items():
        assert await seen(stage, "whole city", area_id=stage.areas[name]) == expected
        assert await seen(stage, "commune", area_id=stage.areas[name]) == expected & SEEN["commune"]
    assert await seen(stage, "whole city", area_id=stage.areas["city"]) == everything
    assert await seen(stage, "whole city", area_id=stage.broadcasts["city"]) == set()
    assert (await problem(stage.officers["city"], "GET", "/api/v1/broadcasts?area_id=x")).status == 422


async def test_what_one_hears_and_others_hear_too_is_not_ones_to_stop(stage: Stage) -> None:
    officer = stage.officers["commune"]
    for name in ("city", "district", "two speakers"):
        path = f"/api/v1/broadcasts/{stage.broadcasts[name]}"
        for method, call in (("POST", f"{path}/stop"), ("GET", f"{path}/orders")):
            assert (await problem(officer, method, call)).slug == "forbidden", (name, call)
    for name in ("commune", "hamlet", "speaker of commune"):
        await officer.call("POST", f"/api/v1/broadcasts/{stage.broadcasts[name]}/stop")
