"""A core is backed up while it speaks, and lost; another machine is restored and speaks to the same speaker."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from loa.app.api_client import ApiClient, ApiError, Json
from loa.app.demo.run import wait_for_clocks
from loa.app.demo.stage import Process, SpeakerPlan, Stage
from loa.app.demo.verdict import Recording, judge, reference
from loa.broadcast.journal.chain import Link, verify
from loa.broadcast.orders.keyring import KeyRing
from tests.e2e.shell import loa
from tests.e2e.test_one_voice import all_finished
from tests.postgres import PostgresServer

PLAN = SpeakerPlan("Cụm loa chuyển máy", 0, 1200, 50)


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """The address of the new machine's database; nothing for the one in its folder."""
    if request.param == "sqlite":
        yield ""
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    async with server.empty_database() as url:
        yield url


async def _on_air(stage: Stage, programme: Json) -> Json:
    """A broadcast that the speaker has begun to play."""
    broadcast = await stage.api.start(programme["id"], areas=[stage.city])
    while True:
        rows = await stage.api.items(f"/api/v1/broadcasts/{broadcast['id']}/receipts")
        if any(row["started_at"] for row in rows):
            return broadcast
        await asyncio.sleep(0.05)


@asynccontextmanager
async def _elsewhere(folder: Path, lost: Stage, database: str, archive: Path) -> AsyncIterator[Stage]:
    """A core on a new machine, restored from the archive with the root key that was kept elsewhere."""
    shutil.copytree(lost.folder / "core" / "keys", folder / "safe")
    token = (lost.folder / "core" / "admin.token").read_text()
    shutil.rmtree(lost.folder / "core")
    settings = folder / "loa.toml"
    settings.write_text(f"database_url = '{database}'\n")
    core = folder / "core"
    said = await loa(
        "restore", archive, "--config", settings, "--data-dir", core, "--root", folder / "safe", "--json"
    )
    assert json.loads(said)["keys"] == "new"
    assert json.loads(said)["missing"] == []
    assert not (core / "keys" / "root.key").exists()
    (core / "admin.token").write_text(token)
    async with Stage(folder, [f"--config={settings}"]) as stage:
        await stage.open_core()
        yield stage


@pytest.mark.alone
@pytest.mark.timeout(180)
async def test_the_same_speaker_hears_the_new_machine(
    stage: Stage, six_seconds: Path, tmp_path: Path, database: str
) -> None:
    await stage.add_speaker(PLAN)
    programme = await stage.api.upload("Sáu giây", six_seconds)
    officer = await stage.api.call("POST", "/api/v1/tokens", {"name": "Cán bộ xã", "role": "officer"})
    await wait_for_clocks(stage)
    broadcast = await _on_air(stage, programme)
    said = await loa("backup", tmp_path, "--data-dir", stage.folder / "core", "--json")
    archive = Path(json.loads(said)["file"])
    (receipt,) = await asyncio.wait_for(all_finished(stage, broadcast, 1), 60)
    assert (receipt["result"], receipt["concealed"]) == ("end", 0), "the backup disturbed nothing"
    lost_area = await stage.api.create_area("Xã lập sau bản sao", "commune", stage.city)
    old = KeyRing.open(stage.folder / "core" / "keys", 0).order_key
    assert stage.core is not None
    await stage.speakers[PLAN.name].stop()
    stage.core.kill()
    await stage.core.stop()

    new_machine = tmp_path / "machine-b"
    new_machine.mkdir()
    async with _elsewhere(new_machine, stage, database, archive) as there:
        cut_off = await there.api.call("GET", f"/api/v1/broadcasts/{broadcast['id']}")
        assert (cut_off["state"], cut_off["reason"]) == ("failed", "core_restarted")
        assert lost_area not in [row["id"] for row in await there.api.items("/api/v1/areas")]
        async with ApiClient(there.url, officer["token"]) as api:
            assert len(await api.items("/api/v1/areas")) == 6
            with pytest.raises(ApiError) as refused:
                await api.create_area("Không được", "commune")
            assert refused.value.status == 403

        wav = new_machine / "speaker-wav"
        arguments = [
            "speaker",
            f"--core={there.url}",
            f"--state={stage.folder / 'speaker-01'}",
            f"--output=wav:{wav}",
        ]
        arguments += [f"--clock-skew={PLAN.offset_s}s,{PLAN.rate_ppm:+d}ppm"]
        there.speakers[PLAN.name] = await Process.start("speaker", arguments, new_machine)
        await wait_for_clocks(there)
        again = await there.api.start(programme["id"], areas=[stage.city])
        (receipt,) = await asyncio.wait_for(all_finished(there, again, 1), 60)
        assert (receipt["result"], receipt["concealed"]) == ("end", 0)
        check = judge(await reference(there.api, again), PLAN, await Recording.load(wav, again["id"]))
        assert check.passed, check.faults

        async with there.api._session.get(f"{there.url}/api/v1/audit/export") as answer:
            lines = [json.loads(line) for line in (await answer.text()).splitlines()]
        assert verify(Link(line["seq"], line["entry"], bytes.fromhex(line["hash"])) for line in lines) is not None
        actions = [json.loads(line["entry"])["action"] for line in lines]
        assert actions.count("restore") == 1
        assert actions.index("restore") > actions.index("broadcast.start")
        ring = KeyRing.open(new_machine / "core" / "keys", 0)
        assert old.key_id in ring.key_list.revoked
