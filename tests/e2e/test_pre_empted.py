"""An alert to one of three speakers, in the middle of a bulletin to all: real processes, every frame compared."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from loa.app.api_client import Json
from loa.app.demo.check import Skew, check_speaker
from loa.app.demo.run import wait_for_clocks
from loa.app.demo.stage import SpeakerPlan, Stage
from loa.app.demo.verdict import Recording, Reference, judge, reference
from tests import sounds
from tests.e2e.test_moved import receipts, said

FRAME_NS = 20_000_000
NEAR, BESIDE, FAR = PLANS = [
    SpeakerPlan("Loa gần", 0, 3600, 60),
    SpeakerPlan("Loa bên cạnh", 0, -5, -40),
    SpeakerPlan("Loa xa", 2, 0, 0),
]


def drowned(bulletin: Reference, alert: Reference) -> range:
    """The frames of the bulletin that are not heard where the alert is, in whole or in part.

    One plays after the other in whole blocks of the card; frames before the bulletin's lead its decoder in.
    """
    length_ns = len(alert.pcm) * 62_500 // 3
    first, past = (
        (at_ns - bulletin.start_ns) // FRAME_NS for at_ns in (alert.start_ns, alert.start_ns + length_ns)
    )
    return range(first - 1, past + 2)


async def over(stage: Stage, broadcast: Json, count: int) -> dict[str, Json]:
    """The tune receipts by endpoint, once `count` endpoints have finished."""

    def all_finished(rows: list[Json]) -> bool:
        return [row["state"] for row in rows if row["action"] == "tune"] == ["finished"] * count

    return {row["endpoint_id"]: row for row in await receipts(stage, broadcast, all_finished)}


@pytest.mark.alone
@pytest.mark.timeout(120)
async def test_an_alert_to_one_speaker_takes_it_out_of_a_bulletin_and_gives_it_back(
    stage: Stage, tmp_path: Path
) -> None:
    api = stage.api
    await asyncio.gather(*(stage.add_speaker(plan) for plan in PLANS))
    for name, sound in (("bulletin", sounds.siren(6.0)), ("alert", sounds.siren(2.0)[::-1])):
        (tmp_path / f"{name}.wav").write_bytes(sounds.wav(np.ascontiguousarray(sound)))
    routine = await api.upload("Bản tin", tmp_path / "bulletin.wav")
    urgent = await api.upload("Báo động", tmp_path / "alert.wav", klass="emergency")
    await wait_for_clocks(stage)
    ids = {row["name"]: row["id"] for row in await stage.endpoints()}
    near = ids[NEAR.name]

    bulletin = await api.start(routine["id"], areas=[stage.city], play_delay_ms=400)
    await receipts(
        stage, bulletin, lambda rows: all(said(rows, each, "tune") == ["started"] for each in ids.values())
    )
    alert = await api.start(urgent["id"], endpoints=[near], play_delay_ms=400)
    now = await api.call("GET", f"/api/v1/broadcasts/{bulletin['id']}")
    assert [(each["endpoints"], each["to_at"]) for each in now["pre_empted"]] == [(1, None)]
    of_alert, of_bulletin = await over(stage, alert, 1), await over(stage, bulletin, 3)

    assert (of_alert[near]["result"], of_alert[near]["played"]) == ("end", urgent["frames"])
    refs = await reference(api, bulletin), await reference(api, alert)
    for name, endpoint in ids.items():
        row = of_bulletin[endpoint]
        assert (row["result"], row["concealed"]) == ("end", 0), name
        # The alert's frames, but for the two at its ends that are played in part.
        missing = urgent["frames"] if endpoint == near else 0
        assert 0 <= row["played"] - (routine["frames"] - missing) <= (2 if missing else 0), name

    for plan in (BESIDE, FAR):
        check = judge(refs[0], plan, await Recording.load(stage.wav_folder(plan.name), bulletin["id"]))
        assert check.faults == [], plan.name
    check = judge(refs[1], NEAR, await Recording.load(stage.wav_folder(NEAR.name), alert["id"]))
    assert check.faults == []
    heard = await Recording.load(stage.wav_folder(NEAR.name), bulletin["id"])
    not_heard = drowned(*refs)
    skew, at_ns = Skew(NEAR.offset_s * 1_000_000_000, NEAR.rate_ppm), heard.about["wav_local_ns"]
    check = check_speaker(
        heard.pcm,
        refs[0].pcm,
        name=NEAR.name,
        wav_local_ns=at_ns,
        skew=skew,
        start_ns=refs[0].start_ns,
        concealed=not_heard,
    )
    assert check.faults == []
    # In its own recording, what was drowned is silence.
    edges_ns = (refs[0].start_ns + number * FRAME_NS for number in (not_heard[2], not_heard[-4]))
    first, past = (int((skew.to_local(edge_ns) - at_ns) * 48_000 / 1_000_000_000) for edge_ns in edges_ns)
    assert past - first > 90 * 960
    assert not heard.pcm[first:past].any()

    ended = await api.call("GET", f"/api/v1/broadcasts/{bulletin['id']}")
    (interval,) = ended["pre_empted"]
    assert interval["endpoints"] == 1
    assert ended["start_at"] < interval["from_at"] < interval["to_at"] < ended["ended_at"]
    assert (await api.call("GET", f"/api/v1/broadcasts/{alert['id']}"))["pre_empted"] == []
