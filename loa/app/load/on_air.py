"""What a load run has on air: its own bulletin, and an emergency above it every few seconds."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from importlib import resources
from pathlib import Path
from typing import Any

from loa.app.api_client import ApiClient, ApiError
from loa.codecs.ogg_opus import OggOpusWriter, read_ogg_opus

FRAMES_PER_S = 50
EMERGENCY_S = 3.0
EMERGENCY_PRIORITY = 255
TITLE = "Bản tin thử tải · load test"
EMERGENCY_TITLE = "Khẩn cấp thử tải · load test emergency"
_KEPT = ("state", "reason", "frames_total", "frames_aired", "receipts")


def bulletin(seconds: float, *, siren: bool = False) -> bytes:
    """An Ogg Opus file of that length: the shipped bulletin again and again, or its siren (3 s at the most)."""
    source = read_ogg_opus((resources.files("loa") / "assets" / "bulletin.ogg").read_bytes())
    wanted = int(seconds * FRAMES_PER_S)
    packets = source.packets[: int(EMERGENCY_S * FRAMES_PER_S)] if siren else source.packets
    repeated = [packets[at % len(packets)] for at in range(wanted)]
    writer = OggOpusWriter(serial=1)
    return writer.headers() + writer.pages(repeated, final=True)


class OnAir:
    """Puts programmes on air in one area, and remembers what it has put there."""

    def __init__(self, api: ApiClient, area_id: str) -> None:
        self._api = api
        self._area = area_id
        self.broadcasts: list[dict[str, Any]] = []
        self.failures: list[str] = []

    async def upload(self, title: str, sound: bytes, klass: str) -> str:
        """A programme of the area; its id. ApiError."""
        with tempfile.TemporaryDirectory(prefix="loa-load-") as folder:
            file = Path(folder) / "sound.ogg"
            file.write_bytes(sound)
            made = await self._api.upload(title, file, klass, self._area)
        return str(made["id"])

    async def start(self, programme_id: str, **more: Any) -> dict[str, Any]:
        """Take a programme on air now; what the API said, and how long it took to say it. ApiError."""
        began_s = time.monotonic()
        made = await self._api.start(programme_id, areas=[self._area], **more)
        kept = {
            "id": made["id"],
            "priority": made["priority"],
            "request_ms": round((time.monotonic() - began_s) * 1000, 2),
        }
        self.broadcasts.append(kept)
        return kept

    async def emergencies(self, programme_id: str, every_s: float) -> None:
        """Put the emergency above everything every so many seconds, until cancelled."""
        due_s = time.monotonic() + every_s / 2
        while True:
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            due_s += every_s
            try:
                await self.start(programme_id, priority=EMERGENCY_PRIORITY)
            except ApiError as error:
                self.failures.append(f"emergency: {error}")

    async def stop_all(self) -> None:
        """Stop what may still be on air."""
        for each in self.broadcasts:
            with contextlib.suppress(ApiError):
                await self._api.call("POST", f"/api/v1/broadcasts/{each['id']}/stop")

    async def receipts(self) -> None:
        """Ask the core how far its orders came, and keep its answer with each broadcast."""
        for each in self.broadcasts:
            with contextlib.suppress(ApiError):
                shown = await self._api.call("GET", f"/api/v1/broadcasts/{each['id']}")
                each |= {name: shown[name] for name in _KEPT}
