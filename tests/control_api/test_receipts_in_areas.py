"""Receipts over HTTP: an officer sees those of the own area, one by one or, when they are old, in figures."""

from __future__ import annotations

from pathlib import Path

import pytest

from loa.app.api_client import ApiClient
from loa.app.core import Core
from loa.broadcast.orders.folding import Folding
from loa.codecs.link_wire import Receipt, Result
from loa.edge.speaker import enrol
from loa.model import ReceiptState, id_text
from tests import sounds
from tests.control_api.officers import city_with_officers
from tests.control_api.test_api import problem, upload

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_old_receipts_are_figures_of_ones_own_area(core: Core, api: ApiClient, tmp_path: Path) -> None:
    programme = await upload(api, tmp_path, sounds.wav(sounds.siren(0.5)))
    receipts, now_ms = core.services.receipts, core.services.now_ms
    result = Result(played=20, repaired=3, recovered=0, concealed=1, unsigned=0, reason="end")
    async with city_with_officers(api) as city:
        devices = {}
        for name in ("commune", "hamlet", "other"):
            code = await api.enrolment_code(city.areas[name], "Loa")
            devices[name] = await enrol.claim(api.url, code, tmp_path / name)
        broadcast = await api.start(programme["id"], areas=[city.areas["city"]])
        path = f"/api/v1/broadcasts/{broadcast['id']}"
        await api.call("POST", f"{path}/stop")
        await core._director.chronicle.scribe.settled()
        tune = (await api.call("GET", f"{path}/orders"))["items"][0]["order_id"]
        for device in devices.values():
            done = Receipt(bytes.fromhex(tune), ReceiptState.FINISHED, now_ms, result=result)
            await receipts.record(device, [done], now_ms)

        async def seen(who: str, query: str = "") -> tuple[set[str], list[tuple[str, int, int]]]:
            said = await city.officers[who].call("GET", f"{path}/receipts{query}")
            rows = {row["endpoint_id"] for row in said["items"]}
            return rows, [(each["state"], each["endpoints"], each["played"]) for each in said["folded"]]

        of = {name: id_text(device) for name, device in devices.items()}
        assert await seen("city") == (set(of.values()), [])
        assert await seen("commune") == ({of["commune"], of["hamlet"]}, [])
        assert await seen("city", f"?area_id={city.areas['hamlet']}") == ({of["hamlet"]}, [])
        assert await seen("neighbour") == (set(), [])

        async for _ in Folding(receipts._db).run(now_ms + 10_000, now_ms):
            pass
        assert await seen("city") == (set(), [("finished", 3, 60)])
        assert await seen("commune") == (set(), [("finished", 2, 40)])
        assert await seen("city", f"?area_id={city.areas['hamlet']}") == (set(), [("finished", 1, 20)])
        assert await seen("city", "?state=started") == (set(), [])
        assert await seen("neighbour") == (set(), [])
        assert (await api.call("GET", path))["receipts"] == {"finished": 3}
        elsewhere = await api.create_area("Tỉnh khác", "city")
        made = await api.call("POST", "/api/v1/tokens", {"name": "x", "role": "viewer", "area_id": elsewhere})
        async with ApiClient(api.url, made["token"]) as stranger:
            assert (await problem(stranger, "GET", f"{path}/receipts")).slug == "not-found"
