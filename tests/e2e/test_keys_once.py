"""No (key, SSRC, index) twice: everything that leaves the core is recorded through stop, restart and kill -9."""

from __future__ import annotations

from pathlib import Path

import pytest

from loa.app.demo.stage import Stage
from tests.e2e.listener import Fate, Listener


async def on_air(stage: Stage, listener: Listener, programme: str, packets: int) -> str:
    """Start a broadcast and wait until the listener has that many packets of its sound."""
    heard = len(listener.tunes)
    broadcast = await stage.api.start(programme, areas=[stage.city])
    await listener.until(lambda: len(listener.tunes) > heard)
    stream = listener.streams[listener.tunes[-1].ssrc]
    await listener.until(lambda: len(stream.indices) >= packets)
    return str(broadcast["id"])


@pytest.mark.timeout(120)
async def test_no_key_ssrc_and_index_is_used_twice(stage: Stage, ten_seconds: Path, tmp_path: Path) -> None:
    fates: Fate = {}
    programme = (await stage.api.upload("Mười giây", ten_seconds))["id"]
    async with Listener(tmp_path / "listener", fates) as listener:
        code = await stage.api.enrolment_code(stage.communes[0], "Máy ghi")
        await listener.enrol(stage.url, code)

        await listener.connect(stage.url)
        first = await on_air(stage, listener, programme, 60)
        tune = listener.tunes[-1]
        before = len(listener.streams[tune.ssrc].indices)
        repeats = listener.streams[tune.ssrc].indices[:10]
        listener.nack(tune.ssrc, *repeats)
        listener.nack(tune.block_ssrc, 0, 1)
        stream = listener.streams[tune.ssrc]
        await listener.until(lambda: set(repeats) <= set(stream.indices[before:]))
        await stage.api.call("POST", f"/api/v1/broadcasts/{first}/stop")
        await on_air(stage, listener, programme, 60)

        assert stage.core is not None
        await stage.core.stop()
        await listener.disconnect()
        await stage.open_core()
        await listener.connect(stage.url)
        await on_air(stage, listener, programme, 60)

        stage.core.kill()
        await stage.core.stop()
        await listener.disconnect()
        await stage.open_core()
        await listener.connect(stage.url)
        await on_air(stage, listener, programme, 60)

        assert listener.reused == []
        assert len(listener.tunes) == 4
        assert len({(tune.ssrc, tune.broadcast_id, tune.generation) for tune in listener.tunes}) == 4
        keys = {stream.key.key for stream in listener.streams.values()}
        assert len(keys) == 4, "each generation has a key of its own"
        assert len(fates) > 4 * 60
